"""What the ladder keeps of a deadline while other programs take the cores.

A synthetic camera of 320x180 at 30 frames a second, restored under the policy `deadline`, once by
the best rung alone and once by the ladder, in turns. In the middle third of each run a busy loop
takes time on every core. A frame is missed if it was late, or never restored.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from common import Limit, arguments, median_and_range, publish, result

from crispstream.core.machine import usable_cores
from crispstream.runtime.stream.ladder.ladder import Ladder
from crispstream.runtime.stream.ladder.rungs import open_ladder
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.outcome import StreamReport
from crispstream.runtime.stream.sinks.null import NullSink
from crispstream.runtime.stream.source import open_source

AT_MOST_RATIO = 0.5
WIDTH, HEIGHT, FRAMES_PER_SECOND = 320, 180, 30
BUSY = "while True: pass"


@contextmanager
def hogs(number: int, after_seconds: float, for_seconds: float) -> Iterator[None]:
    """Let busy processes run for a part of what is done in here."""
    over = threading.Event()

    def keep_busy() -> None:
        with ExitStack() as ending:
            if over.wait(after_seconds):
                return
            for _ in range(number):
                process = subprocess.Popen([sys.executable, "-S", "-c", BUSY])
                ending.callback(process.wait)
                ending.callback(process.kill)
            over.wait(for_seconds)

    thread = threading.Thread(target=keep_busy, name="hogs")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def missed_share(report: StreamReport) -> float:
    """Return the share of the captured frames that were late or never restored."""
    wanted = report.captured - report.drops["stop"]
    return 1 - (report.frames - report.late) / wanted


def run_once(rungs: str, chosen: argparse.Namespace) -> tuple[StreamReport, Ladder]:
    """Restore the camera for a while, with the cores taken in the middle third."""
    frames = round(chosen.seconds * FRAMES_PER_SECOND)
    third = chosen.seconds / 3
    with open_ladder(
        rungs, "edge-s", budget_ms=chosen.budget_ms, backend="onnxruntime", frames_in_flight=3
    ) as ladder:
        ladder.keep_up_with(FRAMES_PER_SECOND)
        ladder.reserve(WIDTH, HEIGHT)
        source = open_source(
            f"synth://pattern?size={WIDTH}x{HEIGHT}&fps={FRAMES_PER_SECOND}&live=1&frames={frames}"
        )
        try:
            with hogs(chosen.hogs, third, third):
                report = run_stream(
                    source,
                    ladder,
                    NullSink(),
                    policy="deadline",
                    budget_ms=chosen.budget_ms,
                    on_outcome=ladder.observe,
                )
        finally:
            source.close()
    return report, ladder


def told(report: StreamReport, ladder: Ladder) -> dict[str, Any]:
    """Return what one run came to."""
    use = ladder.use()
    return {
        "missed_share": missed_share(report),
        "late": report.late,
        "dropped": dict(report.drops),
        "missed_in_a_row": report.missed_in_a_row,
        "changes": use.changes,
        "rungs": {rung.name: asdict(rung) for rung in use.rungs},
        "switches": [asdict(switch) for switch in use.switches],
    }


def main() -> None:
    """Run the best rung alone and the ladder in turns."""
    parser = arguments(__doc__)
    parser.add_argument("--rungs", default="edge-s:fp32,edge-s:int8-cpu,edge-n,bicubic")
    parser.add_argument("--budget-ms", type=float, default=33.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hogs", type=int, default=usable_cores(), help="busy processes")
    chosen = parser.parse_args()
    best = chosen.rungs.partition(",")[0]
    runs: dict[str, list[dict[str, Any]]] = {"alone": [], "ladder": []}
    for _ in range(chosen.repeats):
        for name, rungs in (("alone", best), ("ladder", chosen.rungs)):
            report, ladder = run_once(rungs, chosen)
            runs[name].append(told(report, ladder))
            line = f"{name}: {runs[name][-1]['missed_share']:.1%} missed; {ladder.use().line()}"
            print(line, file=sys.stderr, flush=True)
            time.sleep(1)
    shares = {
        name: median_and_range([each["missed_share"] for each in several])
        for name, several in runs.items()
    }
    ratio = shares["ladder"]["median"] / max(shares["alone"]["median"], 1e-9)
    settings = {
        key: getattr(chosen, key) for key in ("rungs", "budget_ms", "seconds", "repeats", "hogs")
    }
    figures = {"missed_share": shares, "runs": runs}
    limits = {"missed_with_ladder_over_without": Limit(ratio, AT_MOST_RATIO)}
    publish(result("ladder", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
