"""Proof that an exported graph computes what its PyTorch network does.

Both are run on real frames. The float output is compared before clip and rounding, because
bytes hide small differences and NaN, and the bytes as well, because they are what is shipped.

A recurrent network is run on sequences: each frame, the same moved on step by step, then the next
frame, as at a cut that nobody told of. Graph and PyTorch each carry what they made themselves, so
that an error which feeds itself shows: the figures are given for each place in a sequence too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from crispstream.core.errors import ExportError
from crispstream.core.pixels import Bytes
from crispstream.core.sequences import FRAMES, moving, results
from crispstream.core.tensors import RESTORED, STATE_OUT
from crispstream.train.models.edge import Edge

from .graph import FLOAT_OUTPUT, ByteGraph, states_of

LIMIT_LEVELS = {"fp32": 1, "fp16": 2}
"""Largest difference of a byte from PyTorch at the same precision, in grey levels."""

Array = npt.NDArray[Any]
Sequences = Sequence[Sequence[Bytes]]
"""Frames [H,W,3] that follow each other, of one size in each sequence."""


@dataclass(frozen=True)
class Parity:
    """How far a graph is from PyTorch, over all frames. Differences are in grey levels."""

    precision: str
    frames: int
    float_largest: float
    """Before clip and rounding, against PyTorch at the same precision."""
    bytes_largest: int
    bytes_changed_share: float
    """Share of bytes that differ at all."""
    float_largest_from_fp32: float
    """Before clip and rounding, against PyTorch in fp32."""
    bytes_largest_from_fp32: int
    limit_levels: int
    float_largest_by_place: tuple[float, ...] | None = None
    """Of a recurrent network: `float_largest` at each place in the sequences."""
    state_largest: float | None = None
    """Of a recurrent network: how far its states are from PyTorch's, as they are."""

    @property
    def passed(self) -> bool:
        """Whether the bytes stay within the limit and no float is NaN or infinite."""
        states = 0.0 if self.state_largest is None else self.state_largest
        finite = bool(np.isfinite(self.float_largest)) and bool(np.isfinite(states))
        return finite and self.bytes_largest <= self.limit_levels

    def as_certificate(self) -> dict[str, Any]:
        """Return what certificate.json keeps; figures that a graph has none of are left out."""
        figures = {name: value for name, value in asdict(self).items() if value is not None}
        return {"judged_by": "parity with PyTorch", "passed": self.passed, **figures}


@dataclass(frozen=True)
class _Gap:
    """How one frame of a graph differs from PyTorch's."""

    place: int
    """In its sequence, from 0."""
    levels: float
    bytes_: float
    changed: float
    levels_fp32: float
    bytes_fp32: float
    states: float


def sequences_of(network: Edge, frames: Sequence[Bytes], length: int = FRAMES) -> Sequences:
    """Return what a network is compared on: each frame alone, or of each a sequence of `length`.

    A sequence ends in the next frame, where that is of the same size.
    """
    if not states_of(network):
        return [[frame] for frame in frames]
    made = []
    for frame, after in zip(frames, (*frames[1:], frames[0]), strict=True):
        cut = [after] if after.shape == frame.shape else []
        made.append([*moving(frame, length - len(cut)), *cut])
    return made


def check_parity(
    network: Edge, onnx_with_floats: bytes, precision: str, frames: Sequence[Bytes]
) -> Parity:
    """Compare the graph that `onnx_from_network` made with its network.

    Raises:
        ExportError: if the difference is beyond the limit of this precision.
    """
    graph = ByteGraph(network, precision)
    exact = graph if precision == "fp32" else ByteGraph(network, "fp32")
    session = _session(onnx_with_floats)
    gaps = [
        gap
        for sequence in sequences_of(network, frames)
        for gap in _gaps(session, graph, exact, sequence)
    ]
    parity = _parity(precision, gaps, carries=bool(graph.states))
    if not parity.passed:
        raise ExportError(
            f"the {precision} graph differs from PyTorch by {parity.bytes_largest} grey levels "
            f"({parity.float_largest:.3g} before rounding), expected at most {parity.limit_levels};"
            " do not ship it: check the weights for values that this precision cannot hold"
        )
    return parity


def _parity(precision: str, gaps: Sequence[_Gap], *, carries: bool) -> Parity:
    places = max(gap.place for gap in gaps) + 1
    by_place = tuple(
        _worst(gap.levels for gap in gaps if gap.place == place) for place in range(places)
    )
    return Parity(
        precision,
        len(gaps),
        _worst(gap.levels for gap in gaps),
        int(_worst(gap.bytes_ for gap in gaps)),
        float(np.mean([gap.changed for gap in gaps])),
        _worst(gap.levels_fp32 for gap in gaps),
        int(_worst(gap.bytes_fp32 for gap in gaps)),
        LIMIT_LEVELS[precision],
        by_place if carries else None,
        _worst(gap.states for gap in gaps) if carries else None,
    )


def _gaps(
    session: Any,  # noqa: ANN401  (untyped library)
    graph: ByteGraph,
    exact: ByteGraph,
    sequence: Sequence[Bytes],
) -> Iterator[_Gap]:
    """Compare frame by frame: the outputs of a whole sequence may take gigabytes."""
    names = [RESTORED, *(f"{STATE_OUT}{state.name}" for state in graph.states), FLOAT_OUTPUT]
    same = _run_torch(graph, sequence)
    wide = None if exact is graph else _run_torch(exact, sequence)
    for place, ours in enumerate(results(session, sequence, names)):
        theirs = next(same)
        fp32 = theirs if wide is None else next(wide)
        yield _Gap(
            place,
            _largest(ours[-1], theirs[-1]),
            _largest(ours[0], theirs[0]),
            float(np.mean(ours[0] != theirs[0])),
            _largest(ours[-1], fp32[-1]),
            _largest(ours[0], fp32[0]),
            _worst([0.0, *map(_largest, ours[1:-1], theirs[1:-1])]),
        )


def same_outputs(before: bytes, after: bytes, sequences: Sequences) -> bool:
    """Return whether two graphs agree to 1/1000 grey level before rounding."""
    try:
        pairs = _both(before, after, sequences, FLOAT_OUTPUT)
        return all(_largest(a, b) < 1e-3 for a, b in pairs)
    except Exception:  # noqa: BLE001  (whatever ONNX Runtime dislikes about a rewritten graph)
        return False


def same_bytes(before: bytes, after: bytes, sequences: Sequences) -> bool:
    """Return whether two graphs restore the frames to the very same bytes."""
    return all(np.array_equal(a, b) for a, b in _both(before, after, sequences, RESTORED))


def _both(
    before: bytes, after: bytes, sequences: Sequences, name: str
) -> Iterator[tuple[Array, Array]]:
    """Yield an output of both graphs, frame by frame."""
    a, b = _session(before), _session(after)
    for sequence in sequences:
        for x, y in zip(results(a, sequence, [name]), results(b, sequence, [name]), strict=True):
            yield x[0], y[0]


def _session(data: bytes) -> Any:  # noqa: ANN401  (untyped library)
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def _run_torch(graph: ByteGraph, sequence: Sequence[Bytes]) -> Iterator[list[Array]]:
    """Yield (restored, states, levels) of each frame."""
    height, width, _ = sequence[0].shape
    states: Sequence[Tensor] = graph.zeros(width, height)
    for frame_hwc in sequence:
        with torch.inference_mode():
            found = graph(torch.from_numpy(np.ascontiguousarray(frame_hwc)[None]), *states)
        states = found[1:-1]
        yield [one.numpy() for one in found]


def _largest(a: Array, b: Array) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def _worst(gaps: Iterable[float]) -> float:
    """Return the largest; NaN, which is worse than any, if there is one."""
    return float(np.max(list(gaps)))
