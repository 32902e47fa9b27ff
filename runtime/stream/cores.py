"""How many threads a codec gets beside an engine."""

from crispstream.core.machine import usable_cores

# Each codec thread holds a frame and delays it by one; more than these never paid.
_MOST_CODEC_THREADS = 4


def codec_threads() -> int:
    """Return the cores this process may use, up to 4."""
    return min(usable_cores(), _MOST_CODEC_THREADS)
