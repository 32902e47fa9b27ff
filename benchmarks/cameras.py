"""Several cameras on one engine: whether they share it fairly, and let each other alone.

saturated  four cameras, each as fast as the engine: how far the frames that each gets are from
           the mean of all, and what sharing costs beside one camera that has the engine alone
paced      four cameras that the engine is fast enough for, at phases left to chance; the source
           of one breaks. The 95th percentile of capture to restored of the three others after
           that, over the one before it; beside it the same where nothing breaks, in turns, which
           is the noise of the machine.
"""

import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common import Limit, arguments, median_and_range, publish, result

from crispstream.core.errors import SourceError
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.latency import Histogram
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.cameras.cameras import run_cameras
from crispstream.runtime.stream.cameras.config import load_config
from crispstream.runtime.stream.cameras.turns import SharedRestorer, Turns
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sinks.null import NullSink
from crispstream.runtime.stream.source import open_source

WIDTH, HEIGHT = 320, 180
CAMERAS = 4
AT_MOST_DEVIATION = 0.05
AT_MOST_CHANGE = 0.10
_SATURATED_FPS = 150
_SETTLING_SECONDS = 1.0


def uri(fps: int) -> str:
    """Return a synthetic camera's address."""
    return f"synth://pattern?size={WIDTH}x{HEIGHT}&fps={fps}&live=1&frames=10000000"


class BreakableSource:
    """A live source that breaks when it is told to."""

    def __init__(self, fps: int) -> None:
        """Give pictures like any camera until then."""
        self.broken = threading.Event()
        self.damaged = 0
        self._source = open_source(uri(fps))

    @property
    def info(self) -> StreamInfo:
        """As of the camera."""
        return self._source.info

    @property
    def health(self) -> Health:
        """As of the camera."""
        return self._source.health

    def __iter__(self) -> Iterator[Frame]:
        """Give frames, and then an error."""
        for frame in self._source:
            if self.broken.is_set():
                raise SourceError("the cable is cut")
            yield frame

    def stop(self) -> None:
        """End."""
        self._source.stop()

    def close(self) -> None:
        """End."""
        self._source.close()


class PacedCamera:
    """One camera of several, with the ages of its frames."""

    def __init__(self, model: Restorer, turns: Turns, fps: int) -> None:
        """Share the model and its turns."""
        self.source = BreakableSource(fps)
        self.ledger = Ledger(self.source.health)
        self._restorer = model.twin()
        self._shared = SharedRestorer(self._restorer, turns)
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._shared.reserve(WIDTH, HEIGHT)
        self._thread.start()

    def _run(self) -> None:
        try:
            run_stream(self.source, self._shared, NullSink(), policy="latest", ledger=self.ledger)
        except SourceError:
            self._restorer.close()  # as `run_cameras` does with a camera that broke

    def end(self) -> None:
        """Stop and let go of everything."""
        self.source.stop()
        self._thread.join()
        self._restorer.close()

    def counts(self) -> Mapping[float, int]:
        """Return upper edge in ms -> frames of that age so far."""
        return dict(self.ledger.ages.buckets())


def p95_ms(before: Mapping[float, int], after: Mapping[float, int]) -> float:
    """Return the percentile of what came between two counts, within a bucket of 2 %."""
    window = Histogram()
    for edge_ms, count in after.items():
        for _ in range(count - before.get(edge_ms, 0)):
            window.record(round(edge_ms * 1e6))
    return window.percentile_ms(95)


def saturated(model: str, cameras: int, seconds: float) -> list[int]:
    """Return how many frames each camera got."""
    tables = "".join(
        f'[camera.c{number}]\nsource = "{uri(_SATURATED_FPS)}"\nsinks = "null://"\n'
        for number in range(cameras)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cameras.toml"
        path.write_text(f'model = "{model}"\n{tables}')
        report = run_cameras(load_config(path), stop=threading.Event(), seconds=seconds)
    return [camera.snapshot.restored for camera in report.cameras.values() if camera.snapshot]


def paced(model: Restorer, fps: int, seconds: float, *, killed: bool) -> list[float]:
    """Return for three cameras the ratio of the percentiles after and before the fourth breaks."""
    turns = Turns()
    cameras = [PacedCamera(model, turns, fps) for _ in range(CAMERAS)]
    for camera in cameras:
        time.sleep(random.random() / fps)
        camera.start()
    time.sleep(_SETTLING_SECONDS)
    marks = []
    for _ in range(2):
        begun = [camera.counts() for camera in cameras]
        time.sleep(seconds)
        marks.append((begun, [camera.counts() for camera in cameras]))
        if killed:
            cameras[-1].source.broken.set()
    for camera in cameras:
        camera.end()
    first, second = ([p95_ms(*pair) for pair in zip(*mark, strict=True)] for mark in marks)
    return [after / before for before, after in zip(first[:-1], second[:-1], strict=True)]


def measure_saturated(chosen: Any) -> tuple[dict[str, Any], dict[str, Limit]]:  # noqa: ANN401
    """Return figures and claims of the first part."""
    frames = saturated(chosen.model, CAMERAS, chosen.seconds)
    (alone,) = saturated(chosen.model, 1, chosen.seconds)
    mean = statistics.mean(frames)
    deviation = max(abs(count - mean) for count in frames) / mean
    figures = {
        "saturated_frames": frames,
        "saturated_frames_per_second": sum(frames) / chosen.seconds,
        "alone_frames_per_second": alone / chosen.seconds,
    }
    return figures, {"deviation_from_the_mean": Limit(deviation, AT_MOST_DEVIATION)}


def measure_paced(chosen: Any) -> tuple[dict[str, Any], dict[str, Limit]]:  # noqa: ANN401
    """Return figures and claims of the second part."""
    ratios: dict[str, list[float]] = {"killed": [], "kept": []}
    with Restorer.open(chosen.model, frames_in_flight=3) as model:
        for _ in range(chosen.repeats):
            for what, kept in ratios.items():
                kept += paced(model, chosen.fps, chosen.window_seconds, killed=what == "killed")
    figures = {
        f"p95_after_over_before_{what}": median_and_range(kept) for what, kept in ratios.items()
    }
    change = abs(statistics.median(ratios["killed"]) - 1)
    return figures, {"change_of_p95_when_one_is_killed": Limit(change, AT_MOST_CHANGE)}


def main() -> None:
    """Measure both."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default="edge-n")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the saturated part")
    parser.add_argument("--fps", type=int, default=12, help="of each paced camera")
    parser.add_argument("--window-seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    shared, fair = measure_saturated(chosen)
    alone, calm = measure_paced(chosen)
    settings = {key: getattr(chosen, key) for key in ("model", "seconds", "fps", "window_seconds")}
    settings |= {"repeats": chosen.repeats, "cameras": CAMERAS, "size": f"{WIDTH}x{HEIGHT}"}
    content = result(
        "cameras", settings=settings, figures={**shared, **alone}, limits={**fair, **calm}
    )
    publish(content, chosen)


if __name__ == "__main__":
    main()
