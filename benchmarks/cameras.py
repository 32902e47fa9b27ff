"""Several cameras on one engine: whether they share it fairly, and let each other alone.

saturated  four cameras, each as fast as the engine: how far the frames that each gets are from
           the mean of all, and what sharing costs beside one camera that has the engine alone
paced      three synthetic cameras and one that an RTSP server on loopback plays, which the engine
           is fast enough for; their rates differ, so that they meet at every phase. The server
           is killed, and its camera tries for the rest of the run to get it back. The 95th
           percentile of capture to restored of the three others after that, over the one before,
           over the same in runs where nothing is killed, in turns. The limit is on the frames of
           all three: each alone gives some 120 a window, whose percentile moves by 10 % by itself.
           Needs the GStreamer packages named in .ci/run.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import Limit, arguments, median_and_range, publish, result

from crispstream.runtime.latency import Histogram
from crispstream.runtime.stream.cameras.cameras import CamerasReport, States, run_cameras
from crispstream.runtime.stream.cameras.config import load_config
from tests.helpers.rtsp_server import RtspServer, why_no_rtsp_server

WIDTH, HEIGHT = 320, 180
CAMERAS = 4
AT_MOST_DEVIATION = 0.05
AT_MOST_CHANGE = 0.10
_SATURATED_FPS = 150
_RATES = (11, 12, 13)
_RTSP_FPS = 5
_SETTLED_FRAMES = 10
_GUARD_SECONDS = 60.0


def synth(fps: int) -> str:
    """Return a synthetic camera's address."""
    return f"synth://pattern?size={WIDTH}x{HEIGHT}&fps={fps}&live=1&frames=10000000"


def run(
    model: str,
    sources: Sequence[str],
    seconds: float,
    stop: threading.Event | None = None,
    on_tick: Callable[[States], None] | None = None,
) -> CamerasReport:
    """Restore cameras, named c0, c1, ..., for a while."""
    tables = "".join(
        f'[camera.c{number}]\nsource = "{source}"\nsinks = "null://"\n'
        for number, source in enumerate(sources)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cameras.toml"
        path.write_text(f'model = "{model}"\n{tables}')
        config = load_config(path)
        stop = stop or threading.Event()
        return run_cameras(config, stop=stop, seconds=seconds, on_tick=on_tick)


def saturated(model: str, cameras: int, seconds: float) -> list[int]:
    """Return how many frames each camera got."""
    report = run(model, [synth(_SATURATED_FPS)] * cameras, seconds)
    return [camera.snapshot.restored for camera in report.cameras.values() if camera.snapshot]


Counts = Mapping[float, int]
"""Upper edge in ms -> frames of that age so far."""


class Windows:
    """Counts the ages of the synthetic cameras' frames before and after a moment."""

    def __init__(self, seconds: float, at_half: Callable[[], None]) -> None:
        """Two windows of so many seconds; between them `at_half` is called."""
        self.stop = threading.Event()
        self.counts: list[list[Counts]] = []  # at the beginning and end of each window
        self._seconds = seconds
        self._at_half = at_half
        self._due = 0.0

    def __call__(self, states: States) -> None:
        """Look at the cameras, ten times a second."""
        frames = [0 if it.snapshot is None else it.snapshot.restored for it in states.values()]
        now = time.monotonic()
        if min(frames) < _SETTLED_FRAMES or now < self._due:
            return
        self._note(states)
        if len(self.counts) == 2:
            self._at_half()
            self._note(states)
        self._due = time.monotonic() + self._seconds
        if len(self.counts) == 4:
            self.stop.set()

    def _note(self, states: States) -> None:
        paced = list(states.values())[: len(_RATES)]
        self.counts.append([dict(it.ages.buckets()) if it.ages else {} for it in paced])

    def ratios(self) -> list[float]:
        """Return the 95th percentile of the second window over the first's.

        One for each camera, and last the one of the frames of all.
        """
        if len(self.counts) < 4:
            raise SystemExit("the cameras did not settle; see the messages above")
        first, second = (
            [
                p95_ms(*pair)
                for pair in zip(*map(_and_all, self.counts[begin : begin + 2]), strict=True)
            ]
            for begin in (0, 2)
        )
        return [after / before for before, after in zip(first, second, strict=True)]


def _and_all(cameras: Sequence[Counts]) -> list[Counts]:
    total: Counter[float] = Counter()
    for counts in cameras:
        total.update(counts)
    return [*cameras, total]


def p95_ms(before: Counts, after: Counts) -> float:
    """Return the percentile of what came between two counts, within a bucket of 2 %."""
    window = Histogram()
    for edge_ms, count in after.items():
        for _ in range(count - before.get(edge_ms, 0)):
            window.record(round(edge_ms * 1e6))
    return window.percentile_ms(95)


def paced(model: str, seconds: float, *, killed: bool) -> list[float]:
    """Return the ratios of the percentiles after and before the fourth camera breaks."""
    with RtspServer(size=f"{WIDTH}x{HEIGHT}", fps=_RTSP_FPS) as server:
        windows = Windows(seconds, server.kill if killed else lambda: None)
        sources = [*(synth(fps) for fps in _RATES), server.url]
        report = run(model, sources, _GUARD_SECONDS + 2 * seconds, windows.stop, windows)
    rtsp = report.cameras[f"c{len(_RATES)}"].snapshot
    if killed and rtsp is not None and rtsp.state not in ("lost", "connecting", "ended"):
        raise SystemExit(f"the killed camera is {rtsp.state}")
    return windows.ratios()


def measure_saturated(chosen: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Limit]]:
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


def measure_paced(chosen: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Limit]]:
    """Return figures and claims of the second part."""
    ratios: dict[str, list[list[float]]] = {"killed": [], "kept": []}
    for _ in range(chosen.repeats):
        for what, several in ratios.items():
            several.append(paced(chosen.model, chosen.window_seconds, killed=what == "killed"))
            told = ", ".join(f"{ratio:.3f}" for ratio in several[-1])
            print(f"{what}: p95 after over before {told}", file=sys.stderr, flush=True)
    by_camera = {what: list(zip(*several, strict=True)) for what, several in ratios.items()}
    changes = [
        statistics.median(killed) / statistics.median(kept) - 1
        for killed, kept in zip(by_camera["killed"], by_camera["kept"], strict=True)
    ]
    figures = {
        f"p95_after_over_before_{what}": [median_and_range(list(each)) for each in cameras]
        for what, cameras in by_camera.items()
    }
    *each, of_all = changes
    limits = {"change_of_p95_when_one_is_killed": Limit(abs(of_all), AT_MOST_CHANGE)}
    return {**figures, "changes_of_p95_by_camera": each, "change_of_p95": of_all}, limits


def main() -> None:
    """Measure both."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default="edge-n")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the saturated part")
    parser.add_argument("--window-seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=6)
    chosen = parser.parse_args()
    if reason := why_no_rtsp_server():
        raise SystemExit(reason)
    shared, fair = measure_saturated(chosen)
    alone, calm = measure_paced(chosen)
    settings = {key: getattr(chosen, key) for key in ("model", "seconds", "window_seconds")}
    settings |= {"repeats": chosen.repeats, "cameras": CAMERAS, "size": f"{WIDTH}x{HEIGHT}"}
    settings |= {"frames_per_second": [*_RATES, _RTSP_FPS]}
    content = result(
        "cameras", settings=settings, figures={**shared, **alone}, limits={**fair, **calm}
    )
    publish(content, chosen)


if __name__ == "__main__":
    main()
