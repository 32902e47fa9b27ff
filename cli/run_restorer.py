"""What restores in `crispstream run`: one model, or a ladder of them, and how it is driven."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from .warn import warn_uncertified

if TYPE_CHECKING:
    from crispstream.core.pixels import Bytes
    from crispstream.runtime.engine.building.monitor import Progress
    from crispstream.runtime.frame import StreamInfo
    from crispstream.runtime.restorer import Restorer
    from crispstream.runtime.stream.drift import Watch
    from crispstream.runtime.stream.ladder.ladder import Ladder
    from crispstream.runtime.stream.ladder.use import LadderUse

    from .run_one import Request

# Frames that may be with the sinks while the restorer goes on: rides out an encoder's slow frame.
_FRAMES_WITH_SINK = 2
# On a GPU one frame is copied while another is restored: worth its delay where none is urgent.
_FRAMES_ON_GPU = 2


class Running:
    """An open restorer, and what the loop is to do with it.

    Attributes:
        restorer: one model, or a ladder.
        restorers: that model, or the rungs of the ladder, best first.
        best: the model, or the first rung of the ladder.
        in_flight: frames to keep inside of it.
        policy: as asked for; what it comes to, once `make_ready` has seen the stream.
        is_cut: tells new scenes, for a recurrent network; None for others.
    """

    def __init__(
        self,
        restorer: "Restorer | Ladder",
        restorers: "Sequence[Restorer]",
        ladder: "Ladder | None",
        request: "Request",
        in_flight: int,
    ) -> None:
        """Take ownership of the restorer."""
        self.restorer = restorer
        self.restorers = restorers
        self.best = restorers[0]
        self.in_flight = in_flight
        self.policy = request.policy
        self.is_cut: Callable[[Bytes], bool] | None = None
        self._ladder = ladder
        self._budget_ms = request.budget_ms
        self._live = False

    def make_ready(self, info: "StreamInfo") -> None:
        """Prepare for frames of a stream: buffers, engines, and what `auto` means for it.

        Raises:
            UsageError: if a budget is asked for a source that waits.
        """
        from crispstream.runtime.stream.compose import policy_for
        from crispstream.runtime.stream.cut import CutDetector

        self._live = info.live
        self.policy = policy_for(self.policy, info, self._budget_ms)
        for restorer in self.restorers:
            if restorer.uncertified:
                warn_uncertified(restorer.name, restorer.precision)
        if self._ladder is not None and info.live and info.frame_rate is not None:
            self._ladder.keep_up_with(float(info.frame_rate))
        self.restorer.reserve(info.width, info.height)
        if self.restorer.recurrent:
            self.is_cut = CutDetector()

    @property
    def on_outcome(self) -> Callable[[int, bool], None] | None:
        """What the ladder wants to know of each frame; None without one."""
        return None if self._ladder is None else self._ladder.observe

    def looks_on(self, drift: "Watch | None") -> "Watch | None":
        """Return what looks at each frame: the watch on drift, and a ladder's eye on the pace."""
        from crispstream.runtime.stream.drift import each_of

        if self._ladder is None or not self._live:
            return drift
        return each_of(drift, self._ladder.watch)

    def use(self) -> "LadderUse | None":
        """Return what each rung did; None without a ladder."""
        return None if self._ladder is None else self._ladder.use()

    def close(self) -> None:
        """Close the restorer."""
        self.restorer.close()


def open_running(request: "Request", *, on_build: "Progress") -> Running:
    """Open what a request asks for: a ladder where there is a budget, else one model.

    Raises:
        CrispstreamError: as `Restorer.open` and `open_ladder` do.
    """
    if request.budget_ms is not None and request.has_ladder:
        return _open_ladder(request, request.budget_ms, on_build)
    from crispstream.runtime.restorer import Restorer

    computed = request.backend if request.model != "bicubic" else "onnxruntime"
    abreast, in_flight = abreast_and_in_flight(_waits(request), computed, request.threads)
    restorer = Restorer.open(
        request.model,
        request.precision,
        request.backend,
        threads=request.threads,
        frames_in_flight=in_flight + _FRAMES_WITH_SINK,
        side_by_side=abreast,
        allow_uncertified=request.allow_uncertified,
        cuda_graph=request.cuda_graph,
        on_build=on_build,
        tile=request.tile,
    )
    return Running(restorer, [restorer], None, request, in_flight)


def _open_ladder(request: "Request", budget_ms: float, on_build: "Progress") -> Running:
    from crispstream.runtime.stream.ladder.rungs import open_ladder

    ladder = open_ladder(
        request.ladder,
        request.model,
        budget_ms=budget_ms,
        precision=request.precision,
        backend=request.backend,
        threads=request.threads,
        frames_in_flight=1 + _FRAMES_WITH_SINK,
        allow_uncertified=request.allow_uncertified,
        cuda_graph=request.cuda_graph,
        on_build=on_build,
        tile=request.tile,
    )
    rungs = cast("Sequence[Restorer]", ladder.restorers)  # which is what a ladder is opened with
    return Running(ladder, rungs, ladder, request, in_flight=1)


def _waits(request: "Request") -> bool:
    """Whether the source waits until its frames are taken, as far as its address tells."""
    from crispstream.runtime.stream.source import path_of

    if request.policy != "auto":
        return request.policy == "all"
    synthetic = request.source.startswith("synth://")
    live = any(f"{word}=1" in request.source for word in ("live", "timecode"))
    return not live if synthetic else path_of(request.source) is not None


def abreast_and_in_flight(waits: bool, backend: str, threads: int | None) -> tuple[int, int]:
    """Return the frames to compute at once, and those to keep in the restorer.

    Many for files, one where each frame is urgent. Only the CPU computes several at once: a GPU
    is kept busy by one, while it copies another.
    """
    from crispstream.runtime.engine.available import CPU, choose_backend
    from crispstream.runtime.engine.choose import frames_side_by_side

    if not waits:
        return 1, 1
    if choose_backend(backend).name != CPU:
        return 1, _FRAMES_ON_GPU
    abreast = frames_side_by_side(threads)
    return abreast, abreast
