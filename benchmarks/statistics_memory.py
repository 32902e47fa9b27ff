"""Whether statistics stay as large as they are: after 1 h and after 24 h of a 30 frames/s camera.

Nothing is restored and nobody waits: simulated_stream.py tells of 2.6 million frames whatever keeps
count of a stream, a profile, a bench or the metrics. Lists that are thinned out when they are full
go up and down, so of each part the largest size in the first hour is compared with the largest
after it.
"""

import logging
import time

from common import Limit, arguments, publish, result
from simulated_stream import FRAMES_PER_SECOND, most_bytes

AT_MOST_RATIO = 1.01


def main() -> None:
    """Simulate a day."""
    parser = arguments(__doc__)
    parser.add_argument("--hours", type=int, default=24)
    chosen = parser.parse_args()
    if chosen.hours < 2:
        parser.error("--hours must be 2 or more: the bytes of the first are what is compared with")
    logging.getLogger("crispstream.stream").setLevel(logging.ERROR)  # of the camera's stalls
    begun = time.monotonic()
    sizes = most_bytes(chosen.hours)
    figures = {
        "most_bytes_first_hour": {part: first for part, (first, _) in sizes.items()},
        "most_bytes_later": {part: later for part, (_, later) in sizes.items()},
        "frames": chosen.hours * 3600 * FRAMES_PER_SECOND,
        "took_seconds": time.monotonic() - begun,
    }
    settings = {"hours": chosen.hours, "frames_per_second": FRAMES_PER_SECOND}
    limits = {
        f"{part}_later_over_first_hour": Limit(later / first, AT_MOST_RATIO)
        for part, (first, later) in sizes.items()
    }
    publish(result("statistics_memory", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
