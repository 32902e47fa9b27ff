"""How many threads a codec gets beside an engine."""

import os

# Each codec thread holds a frame and delays it by one; more than these never paid.
_MOST_CODEC_THREADS = 4


def codec_threads() -> int:
    """Return the cores this process may use, which containers and taskset can lower, up to 4."""
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        return min(len(os.sched_getaffinity(0)), _MOST_CODEC_THREADS)
    return min(os.cpu_count() or 1, _MOST_CODEC_THREADS)
