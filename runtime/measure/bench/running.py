"""The run of a bench: warm-up, then rounds in which each variant has its turns.

    round 1: A direct, B direct, A streamed, B streamed
    round 2: B direct, A direct, B streamed, A streamed, and so on in turns

The order alternates so that neither variant is always the one that comes later on a machine which
is getting slower. Durations of one round and scope are a pair: what both felt is in both.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from crispstream.core.clock import Clock
from crispstream.core.pixels import Bytes
from crispstream.runtime.measure.gather import Gather

from .pace import Pace
from .record import SCOPES, Settings
from .rounds import Track
from .stopwatches import Lap, collector_off, direct_turn, streamed_turn
from .subjects import Benched, Subject

_Turn = Callable[[Benched, Sequence[Bytes], Pace, Clock, threading.Event], list[Lap]]
_TURNS: dict[str, _Turn] = {
    "engine": direct_turn,
    "copies": direct_turn,
    "end_to_end": streamed_turn,
}
_LEAD_IN = 1
"""Frames that begin each turn, untimed."""


@dataclass
class Competitor:
    """A subject with what was measured of it so far."""

    subject: Subject
    tracks: Mapping[str, Track]
    """By scope, in the order of `SCOPES`."""
    warm_up_frames: int = 0
    """Those that begin each turn are among them."""
    first_frame_ms: float = 0.0
    this_round: dict[str, list[int]] = field(default_factory=dict)
    """Scope -> durations, ns."""


class Running:
    """What runs while the clock does."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        settings: Settings,
        frames: Sequence[Bytes],
        scopes: Sequence[str],
        percentiles: Sequence[float],
        *,
        clock: Clock,
        sleep: Callable[[float], None],
        stop: threading.Event,
    ) -> None:
        """`run_bench` tells what the arguments mean; the time line begins now."""
        self.begun_ns = clock()
        self.rounds = 0
        self._settings = settings
        self._frames = frames
        self._clock = clock
        self._stop = stop
        self._pace = Pace(settings.paced_fps, settings.idle_ms, clock, sleep, stop)
        wanted = [scope for scope in SCOPES if scope in scopes]
        self._turns = tuple(dict.fromkeys(_TURNS[scope] for scope in wanted))
        self.competitors = [
            Competitor(
                subject,
                {scope: self._track(percentiles) for scope in wanted},
            )
            for subject in subjects
        ]

    def _track(self, percentiles: Sequence[float]) -> Track:
        gather = Gather(percentiles, self._clock, begun_ns=self.begun_ns)
        fps = self._settings.paced_fps
        return Track(gather, self._settings.deadline_ms, None if fps is None else 1000 / fps)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return (self._clock() - self.begun_ns) / 1e9

    def warm_up(self) -> None:
        """Run each variant for a while, and once through all that its turns go through."""
        for competitor in self.competitors:
            if self._stop.is_set():
                return
            begun_ns = self._clock()
            competitor.subject.restorer.restore(self._frames[0])
            competitor.first_frame_ms = (self._clock() - begun_ns) / 1e6
            begun_ns = self._clock()
            while self._clock() - begun_ns < self._settings.warm_up_ms * 1e6:
                if not self._pace.wait():
                    return
                frame_hwc = self._frames[competitor.warm_up_frames % len(self._frames)]
                competitor.subject.restorer.restore(frame_hwc)
                competitor.warm_up_frames += 1
            for turn in self._turns:
                untimed = self._laps(competitor, turn)
                competitor.warm_up_frames += len(untimed)

    def round(self) -> None:
        """Give each variant its turns; a round that the stop cuts short does not count."""
        forward = self.rounds % 2 == 0
        for turn in self._turns:
            for competitor in self.competitors if forward else reversed(self.competitors):
                for lap in self._laps(competitor, turn):
                    self._note(competitor, lap)
                if self._stop.is_set():
                    return
        for competitor in self.competitors:
            for scope, track in competitor.tracks.items():
                track.rounds.add(competitor.this_round[scope])
            competitor.this_round.clear()
        self.rounds += 1

    def _laps(self, competitor: Competitor, turn: _Turn) -> list[Lap]:
        """Run a turn; the variants of a round get the same frames."""
        count = self._settings.block + _LEAD_IN
        first = self.rounds * count
        frames = [self._frames[(first + each) % len(self._frames)] for each in range(count)]
        restorer = competitor.subject.restorer
        with collector_off():
            laps = turn(restorer, frames, self._pace, self._clock, self._stop)
        competitor.warm_up_frames += _LEAD_IN
        return laps

    def _note(self, competitor: Competitor, lap: Lap) -> None:
        for scope, duration_ns in lap.durations_ns.items():
            if scope in competitor.tracks:
                competitor.tracks[scope].record(duration_ns, lap.ended_ns)
                competitor.this_round.setdefault(scope, []).append(duration_ns)
