"""How much each layer loses in INT8, and what mixing buys: points of quality against work.

Quality is the PSNR of a quantised graph's frames to the fp32 graph's, in dB: it needs no truth.
If fp32 stands p dB from the truth and a quantised graph f dB from fp32, their errors being
unrelated, INT8 costs 10 log10(1 + 10^((p - f) / 10)) dB: 0.03 dB at p = 30, f = 52.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from crispstream.core.errors import UsageError
from crispstream.core.pixels import Bytes
from crispstream.core.sequences import arriving, results
from crispstream.core.tensors import RESTORED

from .cpu_form import cpu_form
from .graph import GraphView
from .observe import Floats, session_of
from .placement import USUAL, layers_of
from .ranges import Ranges
from .tensorrt_form import Form, tensorrt_form
from .work import macs_of, relative_work

KEEP_DB = 52.0
"""PSNR to fp32 that the chosen point keeps at least."""

_NEARLY = 1.03  # predictions are no finer: of points that close the best is taken
_CLOSEST_DB = 120.0  # of equal frames, whose PSNR is infinite

Build = Callable[[Collection[str]], Form]


@dataclass(frozen=True)
class LayerLoss:
    """One layer in INT8 and all others in floating point."""

    name: str
    role: str
    kept_db: float
    """PSNR to fp32."""
    macs: int
    """Multiply-accumulates a frame."""


@dataclass(frozen=True)
class Point:
    """A choice of layers."""

    layers: tuple[str, ...]
    """Those in INT8."""
    kept_db: float
    """PSNR to fp32."""
    work: float
    """Predicted time of the convolutions over that without INT8, see `work`."""
    weight_bytes: int
    """Of all convolutions."""


@dataclass(frozen=True)
class Sensitivity:
    """What was measured of one flavour."""

    flavour: str
    losses: tuple[LayerLoss, ...]
    points: tuple[Point, ...]
    """No other point is at least as good in both quality and work; least work first."""
    chosen: Point


def measure_sensitivity(
    flavour: str,
    fp32: GraphView,
    fp16: GraphView,
    ranges: Ranges,
    frames: Sequence[Bytes],
    *,
    keep_db: float = KEEP_DB,
    skip_sides: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> Sensitivity:
    """Try each layer alone, then choices of layers together.

    `progress` is called after each graph tried, see `trials_of`.

    Raises:
        UsageError: if no point keeps `keep_db`; the message names the best there is.
    """

    def build(layers: Collection[str]) -> Form:
        if flavour == "int8":
            return tensorrt_form(fp16, fp32, layers, ranges, skip_sides=skip_sides)
        return cpu_form(fp32, layers, ranges, skip_sides=skip_sides)

    trial = _Trial(flavour, build, fp32, frames, progress)
    losses = trial.alone()
    points = _front(trial.together(losses))
    return Sensitivity(flavour, losses, points, _choice(points, keep_db, flavour))


def trials_of(fp32: GraphView) -> int:
    """Return how many graphs `measure_sensitivity` tries at most."""
    layers = layers_of(fp32)
    mixtures: int = 2 ** len({layer.role for layer in layers} - {USUAL})
    return 2 * len(layers) + mixtures


class _Trial:
    """Graphs of one flavour on a few frames."""

    def __init__(
        self,
        flavour: str,
        build: Build,
        fp32: GraphView,
        frames: Sequence[Bytes],
        progress: Callable[[], None],
    ) -> None:
        self._flavour = flavour
        self._literally = flavour == "int8"
        self._build = build
        self._frames = frames
        self._recurrent = bool(fp32.state_inputs)
        self._progress = progress
        self._layers = layers_of(fp32)
        self._macs = macs_of(fp32)
        self._weights = {n.name: fp32.constants[n.input[1]].size for n in fp32.convolutions()}
        self._exact = self._restored(fp32.model.SerializeToString())

    def alone(self) -> tuple[LayerLoss, ...]:
        """Return the loss of each layer with all others in floating point."""
        return tuple(
            LayerLoss(
                one.name, one.role, self._kept_db(self._build([one.name])), self._macs[one.name]
            )
            for one in self._layers
        )

    def together(self, losses: Sequence[LayerLoss]) -> list[Point]:
        """Return a point for each choice of layers worth a trial.

        The most harmful left out one after the other, and the usual layers with each mixture of
        the other roles: what does harm may be worth it, as a last convolution with much work.
        """
        by_harm = [loss.name for loss in sorted(losses, key=_harm)]
        choices = [frozenset(by_harm[:count]) for count in range(len(by_harm), 0, -1)]
        for others in _mixtures({loss.role for loss in losses} - {USUAL}):
            roles = {USUAL, *others}
            choices.append(frozenset(loss.name for loss in losses if loss.role in roles))
        forms = [self._build(choice) for choice in dict.fromkeys(choices) if choice]
        return [self._point(form) for form in forms if form.int8_layers]

    def _point(self, form: Form) -> Point:
        small = sum(self._weights[name] for name in form.int8_layers)
        wide = 2 if self._literally else 4
        total = sum(self._weights.values())
        return Point(
            form.int8_layers,
            self._kept_db(form),
            relative_work(self._flavour, self._macs, GraphView(form.onnx_bytes)),
            small + wide * (total - small),
        )

    def _kept_db(self, form: Form) -> float:
        """Return the PSNR to fp32 over all frames."""
        found = self._restored(form.onnx_bytes)
        self._progress()
        pairs = zip(found, self._exact, strict=True)
        square = float(np.mean([np.mean(np.square(a - b)) for a, b in pairs]))
        kept = 10 * math.log10(255**2 / square) if square else _CLOSEST_DB
        return min(kept, _CLOSEST_DB)

    def _restored(self, onnx_bytes: bytes) -> list[Floats]:
        """Return what a graph makes of each frame; a recurrent one of the last in a sequence."""
        session = session_of(onnx_bytes, literally=self._literally)
        made = []
        for frame_hwc in self._frames:
            shown = arriving(frame_hwc) if self._recurrent else [frame_hwc]
            *_, last = results(session, shown, [RESTORED])
            made.append(last[0].astype(np.float32))
        return made


def _mixtures(roles: Collection[str]) -> Iterator[tuple[str, ...]]:
    for count in range(len(roles) + 1):
        yield from combinations(sorted(roles), count)


def _harm(loss: LayerLoss) -> float:
    """Return the square error that a layer adds for each multiply-accumulate it makes cheaper."""
    return float(10 ** (-loss.kept_db / 10)) / loss.macs


def _front(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other beats, least work first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (one.work, -one.kept_db)):
        if not front or point.kept_db > front[-1].kept_db:
            front.append(point)
    return tuple(front)


def _choice(points: Sequence[Point], keep_db: float, flavour: str) -> Point:
    """Return the point of least work that keeps enough, or a better one at nearly that work."""
    enough = [point for point in points if point.kept_db >= keep_db]
    if not enough:
        best = max(point.kept_db for point in points)
        raise UsageError(
            f"no choice of layers keeps {keep_db:g} dB in {flavour}, the best keeps {best:.1f}; "
            "lower --keep, or fine-tune for INT8 first, see docs/int8.md"
        )
    least = min(point.work for point in enough)
    near = [point for point in enough if point.work <= least * _NEARLY]
    return max(near, key=lambda point: point.kept_db)
