"""Proof that an exported graph computes what its PyTorch network does.

Both are run on real frames. The float output is compared before clip and rounding, because
bytes hide small differences and NaN, and the bytes as well, because they are what is shipped.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch

from crispstream.core.errors import ExportError
from crispstream.core.pixels import Bytes
from crispstream.train.models.edge import Edge

from .graph import ByteGraph

LIMIT_LEVELS = {"fp32": 1, "fp16": 2}
"""Largest difference of a byte from PyTorch at the same precision, in grey levels."""


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

    @property
    def passed(self) -> bool:
        """Whether the bytes stay within the limit and no float is NaN or infinite."""
        return bool(np.isfinite(self.float_largest)) and self.bytes_largest <= self.limit_levels

    def as_certificate(self) -> dict[str, Any]:
        """Return what certificate.json keeps."""
        return {"judged_by": "parity with PyTorch", "passed": self.passed, **asdict(self)}


@dataclass(frozen=True)
class _Outputs:
    restored: list[Bytes]
    levels: list[np.typing.NDArray[np.float32]]


def check_parity(
    network: Edge, onnx_with_floats: bytes, precision: str, frames: Sequence[Bytes]
) -> Parity:
    """Compare the graph that `onnx_from_network` made with its network.

    Raises:
        ExportError: if the difference is beyond the limit of this precision.
    """
    ours = _run_onnx(onnx_with_floats, frames)
    same = _run_torch(ByteGraph(network, precision), frames)
    exact = same if precision == "fp32" else _run_torch(ByteGraph(network, "fp32"), frames)
    parity = Parity(
        precision,
        len(frames),
        _largest(ours.levels, same.levels),
        int(_largest(ours.restored, same.restored)),
        float(
            np.mean([np.mean(a != b) for a, b in zip(ours.restored, same.restored, strict=True)])
        ),
        _largest(ours.levels, exact.levels),
        int(_largest(ours.restored, exact.restored)),
        LIMIT_LEVELS[precision],
    )
    if not parity.passed:
        raise ExportError(
            f"the {precision} graph differs from PyTorch by {parity.bytes_largest} grey levels "
            f"({parity.float_largest:.3g} before rounding), expected at most {parity.limit_levels};"
            " do not ship it: check the weights for values that this precision cannot hold"
        )
    return parity


def same_outputs(before: bytes, after: bytes, frames: Sequence[Bytes]) -> bool:
    """Return whether two graphs agree to 1/1000 grey level before rounding."""
    try:
        a, b = _run_onnx(before, frames), _run_onnx(after, frames)
    except Exception:  # noqa: BLE001  (whatever ONNX Runtime dislikes about a rewritten graph)
        return False
    return _largest(a.levels, b.levels) < 1e-3


def same_bytes(before: bytes, after: bytes, frames: Sequence[Bytes]) -> bool:
    """Return whether two graphs restore the frames to the very same bytes."""
    a, b = (_session(data) for data in (before, after))
    feeds = ({"frame": frame[None]} for frame in frames)
    return all(np.array_equal(a.run(["restored"], f)[0], b.run(["restored"], f)[0]) for f in feeds)


def _session(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def _run_onnx(data: bytes, frames: Sequence[Bytes]) -> _Outputs:
    session = _session(data)
    both = [session.run(None, {"frame": frame[None]}) for frame in frames]
    return _Outputs([pair[0] for pair in both], [pair[1] for pair in both])


@torch.inference_mode()
def _run_torch(graph: ByteGraph, frames: Sequence[Bytes]) -> _Outputs:
    both = [graph(torch.from_numpy(frame[None])) for frame in frames]
    return _Outputs([pair[0].numpy() for pair in both], [pair[1].numpy() for pair in both])


def _largest(a: Sequence[Any], b: Sequence[Any]) -> float:
    pairs = zip(a, b, strict=True)
    return max(float(np.abs(x.astype(np.float64) - y.astype(np.float64)).max()) for x, y in pairs)
