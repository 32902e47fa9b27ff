"""What of this machine the process may use."""

import os


def usable_cores() -> int:
    """Return the CPU cores this process may run on, which taskset and cpusets can lower.

    A time quota (`docker --cpus`) lowers the share of each core, not their number.
    """
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
