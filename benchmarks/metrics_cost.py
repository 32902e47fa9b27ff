"""What `--metrics` costs: the CPU time of a scrape, and what it adds where nobody asks.

scraped    one camera of 30 frames a second, then eight on one engine, scraped over loopback while
           they run. Told is the CPU time of the thread that answers: reading the books, writing
           the text, sending it. The claim sets it against the CPU time that the run takes
           meanwhile, for a scrape a second; Prometheus asks every 15 or 60 s.
unasked    `crispstream run` of the sample clip without `--metrics` and with it, in turns; nobody
           asks. CPU time covers all threads of the process, that of the metrics too.
"""

import contextlib
import io
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from common import Limit, arguments, paired_ratio, publish, result, write_looped_sample

from crispstream.cli import main as command_line
from crispstream.runtime.measure.metrics.address import read_address
from crispstream.runtime.measure.metrics.exposition import Exposition
from crispstream.runtime.measure.metrics.server import PATH, MetricsServer
from crispstream.runtime.stream.cameras.cameras import CamerasReport, States, run_cameras
from crispstream.runtime.stream.cameras.config import load_config
from crispstream.runtime.stream.cameras.running import CameraRun
from crispstream.runtime.stream.watched import Watched

MODEL = "edge-n"
CAMERAS = (1, 8)
FRAMES_PER_SECOND = 30
AT_MOST_SHARE = 0.01
AT_MOST_RATIO = 1.01
_SETTLED_SECONDS = 2.0
_SCRAPES_A_SECOND = 2
_ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
"""The format that Prometheus prefers."""


class TimedServer(MetricsServer):
    """Notes the CPU seconds of each answer."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        """Serve what is told of `watched` at any free port."""
        self.cpu_seconds: list[float] = []
        exposition = Exposition(lambda: tuple(watched), version="benchmark")
        super().__init__(read_address("0"), exposition.text)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer, in a thread of its own."""
        begun = time.thread_time()
        super().process_request_thread(request, client_address)
        self.cpu_seconds.append(time.thread_time() - begun)


class Scraper:
    """Scrapes the cameras from the tenth of a second in which they look whether to end."""

    def __init__(self) -> None:
        """Listen; nothing is told before the cameras begin."""
        self.watched: list[Watched] = []
        self.server = TimedServer(self.watched)
        self.answer = b""
        self._due = time.monotonic() + _SETTLED_SECONDS

    def begin(self, runs: Sequence[CameraRun]) -> None:
        """Tell of these cameras."""
        self.watched[:] = [run.watched for run in runs]

    def __call__(self, _: States) -> None:
        """Ask, if it is time."""
        if time.monotonic() < self._due:
            return
        self._due += 1 / _SCRAPES_A_SECOND
        connection = HTTPConnection("127.0.0.1", self.server.address.port, timeout=10)
        connection.request("GET", PATH, headers={"Accept": _ACCEPT})
        self.answer = connection.getresponse().read()
        connection.close()


def run(cameras: int, seconds: float) -> tuple[Scraper, CamerasReport]:
    """Restore live cameras for a while, and scrape them."""
    scraper = Scraper()
    source = f"synth://pattern?size=320x180&fps={FRAMES_PER_SECOND}&live=1&frames=1000000"
    tables = (f"[camera.c{n}]\nsource = '{source}'\nsinks = 'null://'\n" for n in range(cameras))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cameras.toml"
        path.write_text(f"model = '{MODEL}'\n{''.join(tables)}")
        report = run_cameras(
            load_config(path),
            stop=threading.Event(),
            seconds=seconds,
            on_tick=scraper,
            on_begin=scraper.begin,
        )
    scraper.server.stop()
    return scraper, report


def measure_scraped(cameras: int, seconds: float) -> tuple[dict[str, Any], Limit]:
    """Return what a scrape of so many cameras costs, and the claim about it."""
    scraper, report = run(cameras, seconds)
    scrapes = scraper.server.cpu_seconds
    frames = sum(each.snapshot.restored for each in report.cameras.values() if each.snapshot)
    if report.failed or not frames or not scrapes:
        raise SystemExit(f"{frames} frames and {len(scrapes)} scrapes; see the messages above")
    per_scrape = statistics.median(scrapes)
    others = report.cpu_seconds - sum(scrapes)
    share = per_scrape / (others / report.elapsed_seconds)
    figures = {
        "scrapes": len(scrapes),
        "lines": sum(not line.startswith(b"#") for line in scraper.answer.splitlines()),
        "bytes": len(scraper.answer),
        "scrape_cpu_ms": 1e3 * per_scrape,
        "frame_cpu_ms": 1e3 * others / frames,
        "scrape_over_frame": per_scrape / (others / frames),
        "share_of_the_run_at_a_scrape_a_second": share,
        "share_of_a_core_at_a_scrape_in_15_s": per_scrape / 15,
    }
    return figures, Limit(share, AT_MOST_SHARE)


def cpu_seconds(clip: Path, report: Path, *words: str) -> float:
    """Return the CPU seconds a frame of `crispstream run` on a clip."""
    asked = ["run", str(clip), "null://", "--model", MODEL, "--json", "--report", str(report)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = command_line.main([*asked, *words])
    if code:
        raise SystemExit(f"crispstream run {' '.join(words)} ended with {code}")
    told = json.loads(report.read_text())
    return float(told["cpu_seconds"] / told["frames"])


def measure_unasked(rounds: int, turns: int) -> tuple[dict[str, Any], Limit]:
    """Return what metrics add that nobody asks for, and the claim about it."""
    ways: dict[str, tuple[str, ...]] = {"without": (), "with": ("--metrics", "0")}
    spent: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        clip, report = Path(folder) / "clip.mp4", Path(folder) / "report.json"
        write_looped_sample(clip, turns)
        for words in ways.values():  # imports, and the clip into memory
            cpu_seconds(clip, report, *words)
        for index in range(rounds):
            for way in (list(ways), list(ways)[::-1])[index % 2]:
                spent[way].append(cpu_seconds(clip, report, *ways[way]))
    ratio = paired_ratio(spent["with"], spent["without"])
    figures = {
        "frame_cpu_ms": 1e3 * statistics.median(spent["without"]),
        "cpu_ratio": ratio.median, "cpu_low": ratio.low, "cpu_high": ratio.high,
    }  # fmt: skip
    return figures, Limit(ratio.median, AT_MOST_RATIO)


def main() -> None:
    """Measure both."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each scraped run")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3, help="of the sample's 30 frames")
    chosen = parser.parse_args()
    figures, limits = {}, {}
    for cameras in CAMERAS:
        what = f"{cameras} camera{'s'[: cameras > 1]}"
        figures[what], limits[f"{what}: share of CPU time at a scrape a second"] = measure_scraped(
            cameras, chosen.seconds
        )
    figures["unasked"], limits["CPU time of a frame, with over without, nobody asks"] = (
        measure_unasked(chosen.rounds, chosen.turns)
    )
    settings = {key: getattr(chosen, key) for key in ("seconds", "rounds", "turns")}
    settings |= {"model": MODEL, "size": "320x180", "frames_per_second": FRAMES_PER_SECOND}
    publish(result("metrics_cost", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
