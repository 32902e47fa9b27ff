"""How soon a real RTSP server that failed is live again, and what failing leaves behind.

GStreamer's RTSP server on loopback, a process of its own, is killed again and again, and starts
again after 0.2 to 3 s, or after 10 to 20 s each eighth time, when the reader's waits are at their
longest. In between it fails in other ways: stopped (SIGSTOP), silent, frozen picture, another
size, leaping timestamps. Measured is the time from its return to the first good frame: of the new
connection after a kill, else one that shows the new picture, size or time. Needs the GStreamer
packages named in .ci/run. Takes 7 minutes.
"""

import itertools
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import Limit, arguments, publish, result
from memory import resident_bytes

from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.live.reconnect import ReconnectingSource
from crispstream.runtime.stream.source import open_source
from tests.helpers.rtsp_server import RtspServer, why_no_rtsp_server

AT_MOST_SECONDS = 3.0
AT_MOST_RATIO = 1.02
SIZES = ("320x180", "160x96")
_SETTLED_ROUNDS = 12
_KILLS_TO_ONE_OTHER = 2
_KILLS_TO_A_LONG_OUTAGE = 8
_GUARD_SECONDS = 60.0


class Reader:
    """Reads the source on a thread of its own, as a run does, and notes when frames came."""

    def __init__(self, source: ReconnectingSource) -> None:
        """Begin."""
        self._source = source
        self._changed = threading.Condition()
        self._latest: Frame | None = None
        self.uneven = 0
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for frame in self._source:
            with self._changed:
                if self._latest is not None and frame.pts <= self._latest.pts:
                    self.uneven += 1
                self._latest = frame
                self._changed.notify_all()

    def seconds_until(self, good: Callable[[Frame], bool]) -> float:
        """Return the seconds from now until a good frame that was captured from now on."""
        begun_ns = time.perf_counter_ns()
        with self._changed:
            came = self._changed.wait_for(
                lambda: (
                    self._latest is not None
                    and self._latest.captured_ns > begun_ns
                    and good(self._latest)
                ),
                _GUARD_SECONDS,
            )
            if not came or self._latest is None:
                raise SystemExit(f"the stream did not come back: {self._source.health.events}")
            return (self._latest.captured_ns - begun_ns) / 1e9

    def end(self) -> None:
        """Stop the source and the thread."""
        self._source.stop()
        self._thread.join(_GUARD_SECONDS)


class Leaps(logging.Handler):
    """Counts how often the source tells that its feed's clock jumped."""

    def __init__(self) -> None:
        """Listen."""
        super().__init__(logging.WARNING)
        self.count = 0
        logging.getLogger("crispstream.stream").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note; the frame that leapt comes right after this."""
        self.count += "its clock jumped" in record.getMessage()


class Faults:
    """The ways to fail; each returns the seconds from the server's return to a good frame."""

    def __init__(self, server: RtspServer, reader: Reader, source: ReconnectingSource) -> None:
        """Take a server that runs, and who reads it."""
        self._server, self._reader, self._source = server, reader, source
        self._chance = random.Random(6)
        self._leaps = Leaps()
        self._kills = 0
        self._size = SIZES[0]
        self._jumped_seconds = 0.0

    def killed(self) -> float:
        """Power cut: the process dies and another one takes its port."""
        reconnects = self._source.health.reconnects
        self._kills += 1
        is_long = self._kills % _KILLS_TO_A_LONG_OUTAGE == 0
        self._server.kill()
        time.sleep(self._chance.uniform(*((10.0, 20.0) if is_long else (0.2, 3.0))))
        self._size = SIZES[0]
        self._jumped_seconds = 0.0
        self._server.start()
        return self._reader.seconds_until(lambda _: self._source.health.reconnects > reconnects)

    def stopped(self) -> float:
        """The process hangs; its connections stay open."""
        self._server.halt()
        self._pause()
        self._server.go_on()
        return self._reader.seconds_until(lambda _: True)

    def silent(self) -> float:
        """It answers but sends no pictures."""
        self._server.silence()
        self._pause()
        self._server.speak()
        return self._reader.seconds_until(lambda _: True)

    def frozen(self) -> float:
        """It sends one picture again and again."""
        self._server.freeze()
        self._reader.seconds_until(lambda _: self._source.health.state == "stalled")
        self._pause()
        self._server.thaw()
        return self._reader.seconds_until(lambda _: self._source.health.state == "live")

    def resized(self) -> float:
        """Another size from one picture to the next."""
        self._size = SIZES[SIZES.index(self._size) - 1]
        self._server.resize(self._size)
        height = int(self._size.partition("x")[2])
        return self._reader.seconds_until(lambda frame: frame.pixels_hwc.shape[0] == height)

    def leaping(self) -> float:
        """Timestamps go on elsewhere, ahead or back."""
        seconds = self._chance.choice((3600.0, 10.0))
        seconds = -seconds if self._jumped_seconds > 0 else seconds
        self._jumped_seconds += seconds
        before = self._leaps.count
        self._server.jump(seconds)
        return self._reader.seconds_until(lambda _: self._leaps.count > before)

    def _pause(self) -> None:
        time.sleep(self._chance.uniform(0.2, 4.0))

    def in_turn(self, kills: int) -> list[tuple[str, Callable[[], float]]]:
        """Return names and functions: so many kills, and the others in turn between them."""
        others = itertools.cycle(
            (self.stopped, self.silent, self.frozen, self.resized, self.leaping)
        )
        kinds: list[Callable[[], float]] = []
        for number in range(1, kills + 1):
            kinds.append(self.killed)
            if number % _KILLS_TO_ONE_OTHER == 0:
                kinds.append(next(others))
        return [(kind.__name__, kind) for kind in kinds]


def held() -> dict[str, int]:
    """Return what this process holds now."""
    return {
        "resident_bytes": resident_bytes(),
        "threads": threading.active_count(),
        "threads_of_the_process": len(list(Path("/proc/self/task").iterdir())),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
    }


def measure(rounds: int) -> tuple[dict[str, list[float]], list[dict[str, int]], dict[str, int]]:
    """Return kind -> seconds, what was held after each round, and counts of the source."""
    seconds: dict[str, list[float]] = {}
    after: list[dict[str, int]] = []
    with RtspServer(size=SIZES[0], gop=25) as server:
        source = open_source(server.url)
        assert isinstance(source, ReconnectingSource)
        reader = Reader(source)
        try:
            reader.seconds_until(lambda _: True)
            faults = Faults(server, reader, source)
            for name, fail in faults.in_turn(rounds):
                seconds.setdefault(name, []).append(fail())
                time.sleep(1.0)
                after.append(held())
        finally:
            reader.end()
        counts = {"reconnects": source.health.reconnects, "times_not_growing": reader.uneven}
    return seconds, after, counts


def figures_of(
    seconds: dict[str, list[float]], after: list[dict[str, int]], counts: dict[str, int]
) -> dict[str, object]:
    """Return what is published."""
    sizes = [held["resident_bytes"] for held in after]
    slope = np.polyfit(range(len(sizes[_SETTLED_ROUNDS:])), sizes[_SETTLED_ROUNDS:], 1)[0]
    return {
        "seconds_until_live_again": {
            name: {
                "median": float(np.median(values)),
                "longest": max(values),
                "rounds": len(values),
            }
            for name, values in seconds.items()
        },
        "resident_bytes_per_round": float(slope),
        "held_after_rounds": {
            str(number): after[number - 1] for number in (1, _SETTLED_ROUNDS, len(after))
        },
        **counts,
    }


def main() -> None:
    """Let it fail again and again."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="how often it is killed")
    chosen = parser.parse_args()
    if chosen.rounds + chosen.rounds // _KILLS_TO_ONE_OTHER <= _SETTLED_ROUNDS + 1:
        parser.error("--rounds must be 10 or more")
    if reason := why_no_rtsp_server():
        raise SystemExit(reason)
    seconds, after, counts = measure(chosen.rounds)
    settled, last = after[_SETTLED_ROUNDS - 1], after[-1]
    longest = max(max(values) for values in seconds.values())
    limits = {
        "longest_seconds_until_live_again": Limit(longest, AT_MOST_SECONDS),
        "resident_last_over_settled": Limit(
            last["resident_bytes"] / settled["resident_bytes"], AT_MOST_RATIO
        ),
        "threads_left": Limit(last["threads"] - settled["threads"], 0),
        "descriptors_left": Limit(last["descriptors"] - settled["descriptors"], 0),
    }
    figures = figures_of(seconds, after, counts)
    settings = {"kills": chosen.rounds, "size": SIZES[0], "frames_per_second": 25, "gop": 25}
    publish(result("rtsp_faults", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
