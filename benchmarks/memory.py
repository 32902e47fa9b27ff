"""Whether memory stays flat: resident size after 200 and after 2,000 restored frames.

One run into an H.264 file, as `crispstream run` does it. The resident size is what Linux
counts for the process.
"""

import tempfile
from pathlib import Path

from common import Limit, arguments, publish, result

from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sink import open_sink
from crispstream.runtime.stream.source import open_source

AT_MOST_RATIO = 1.02
EARLY_FRAME = 200


def resident_bytes() -> int:
    """Return the resident size of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise SystemExit("/proc/self/status has no VmRSS; this script needs Linux")


def measure(model: str, frames: int) -> dict[int, int]:
    """Return frame number -> resident bytes, every EARLY_FRAME frames."""
    sizes: dict[int, int] = {}

    def look(count: int, _latencies: object) -> None:
        if count % EARLY_FRAME == 0 or count == frames:
            sizes[count] = resident_bytes()

    source = open_source(f"synth://pattern?size=320x180&frames={frames}")
    with (
        tempfile.TemporaryDirectory() as folder,
        Restorer.open(model, precision="fp32") as restorer,
    ):
        sink = open_sink(str(Path(folder) / "out.mp4"), source.info, restorer.scale)
        run_stream(source, restorer, sink, on_frame=look)
    source.close()
    return sizes


def main() -> None:
    """Measure one model."""
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--model", default="edge-n")
    chosen = parser.parse_args()
    if chosen.frames <= EARLY_FRAME:
        parser.error(f"--frames must be more than {EARLY_FRAME}")
    sizes = measure(chosen.model, chosen.frames)
    ratio = sizes[chosen.frames] / sizes[EARLY_FRAME]
    figures = {"resident_bytes_after_frames": {str(count): size for count, size in sizes.items()}}
    settings = {"model": chosen.model, "frames": chosen.frames}
    limits = {"last_over_early": Limit(ratio, AT_MOST_RATIO)}
    publish(result("memory", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
