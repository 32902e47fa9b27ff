"""One network at one frame size: its graphs, each proved equal to PyTorch.

network -> copy in range -> graph -> simplified -> proof -> weights put back -> what is shipped
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crispstream.core.errors import ExportError
from crispstream.core.pixels import SCALE, Bytes

from .half import first_overflow
from .modules import ModuleProof, has_warps, prove_modules
from .proof import Array, Feed, Proof, prove, relative_error, run_onnx, run_torch, session_of, worst
from .scaling import Scaling, check_range, scaling_for
from .static import (
    IMAGE,
    LEVELS,
    Shape,
    StaticGraph,
    deployed,
    onnx_from_static,
    static_graph,
)
from .surgery import differing_parts, simplified, with_tensors, without_output

SIMPLIFIED_WITHIN = 1e-5
"""How far a simplified graph may be from the plain one, relative to the largest value."""

_SIGMA_LARGEST, _LABELS = 5.0, 40


@dataclass(frozen=True)
class Proved:
    """A graph to be shipped and how it was proved."""

    precision: str
    data: bytes
    proof: Proof
    scaling: Scaling | None
    was_simplified: bool
    modules: ModuleProof | None = None
    """Of a network of warps in fp32."""

    def as_certificate(self) -> dict[str, Any]:
        """Return what certificate.json keeps."""
        scaled = None if self.scaling is None else self.scaling.as_certificate()
        return {
            **self.proof.as_certificate(),
            **({} if self.modules is None else {"module_by_module": asdict(self.modules)}),
            "last_conv_scaled_for_the_proof": scaled,
            "simplified_by_onnxsim": self.was_simplified,
        }


def prove_network(
    network: nn.Module,
    shape: Shape,
    frames: Sequence[Bytes],
    precisions: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
) -> list[Proved]:
    """Return the graphs of `network` for frames of `shape`'s size.

    Raises:
        ExportError: if a graph differs from PyTorch, the weights overflow fp16, or nothing can
            be proved with these weights and frames.
    """
    feeds = [feed_of(shape, frame) for frame in frames]
    scaling = _scaling(network, shape, feeds[0])
    return [_proved(network, shape, feeds, scaling, one, progress) for one in precisions]


def feed_of(shape: Shape, frame_hwc: Bytes) -> Feed:
    """Return the inputs of a graph for a frame of its size; further maps are made from it.

    Raises:
        ExportError: if the network asks for a map that nobody can make from a frame.
    """
    if shape.restores:
        return {"frame": frame_hwc[None]}
    image = frame_hwc.astype(np.float32).transpose(2, 0, 1)[None] / 255
    return {IMAGE: image, **{name: _map(name, image) for name in shape.maps}}


def _map(name: str, image_bchw: Array) -> Array:
    """Return a map [1,1,4H,4W] with edges where the frame has them, over the usual range."""
    grey = image_bchw.mean(axis=1, keepdims=True).repeat(SCALE, 2).repeat(SCALE, 3)
    if name == "sigma":
        return np.asarray(grey * _SIGMA_LARGEST, np.float32)
    if name == "labels":
        return np.asarray(np.floor(grey * (_LABELS - 1)), np.float32)
    raise ExportError(
        f"the network asks for a map '{name}', and the proof knows how to make sigma and labels "
        "only; add it to export/published.py"
    )


def _scaling(network: nn.Module, shape: Shape, feed: Feed) -> Scaling | None:
    """Return how the copy for the proof is scaled; None if the network gives no frame."""
    if shape.outputs != ("hr",):
        return None

    def restored(candidate: nn.Module) -> Tensor:
        graph = static_graph(candidate, shape, "fp32")
        (name,) = graph.floats
        values = torch.from_numpy(run_torch(graph, feed)[name])
        return (values - 0.5) / 255 if name == LEVELS else values

    return scaling_for(network, str(network.output_conv), restored)


def _proved(
    network: nn.Module,
    shape: Shape,
    feeds: Sequence[Feed],
    scaling: Scaling | None,
    precision: str,
    progress: Callable[[str], None],
) -> Proved:
    ranged = network if scaling is None else scaling.applied(network)
    graph = static_graph(deployed(ranged), shape, precision)
    if precision == "fp16":
        progress("looking for values that fp16 cannot hold")
        for body in {id(one): one for one in (network, ranged)}.values():
            refuse_overflow(static_graph(deployed(body), shape, precision), feeds)
    progress(f"exporting {precision}")
    plain = onnx_from_static(graph, [torch.from_numpy(feeds[0][n]) for n in graph.input_names])
    simple = simplified(plain, fuse=False)
    keep = simple is not None and _agree(plain, simple, graph, feeds[0])
    data = simple if keep and simple is not None else plain
    progress(f"checking {precision} against PyTorch")
    proof = _proof(ranged, graph, data, shape, feeds)
    if proof.inner_share is not None:
        check_range(proof.inner_share, scaling)
    shipped = _with_own_weights(data, graph, network, scaling)
    modules = None
    if precision == "fp32" and has_warps(network):
        progress("checking each module against PyTorch")
        modules = prove_modules(graph.network, lambda: run_torch(graph, feeds[0]))
    return Proved(precision, without_output(shipped, LEVELS), proof, scaling, keep, modules)


def _proof(
    network: nn.Module, graph: StaticGraph, data: bytes, shape: Shape, feeds: Sequence[Feed]
) -> Proof:
    """Judge fp32 by the network as it is trained, fp16 by its deployed form with fp16 weights."""
    trained = static_graph(network, shape, "fp32")
    is_half = graph.precision == "fp16"
    reference = graph.widened(torch.float32) if is_half else trained
    return prove(
        reference,
        data,
        feeds,
        size=shape.text,
        exact=reference.widened(torch.float64) if has_warps(network) else None,
        half=graph if is_half else None,
        trained=trained if is_half else None,
    )


def refuse_overflow(graph: StaticGraph, feeds: Sequence[Feed]) -> None:
    """Raise ExportError if a layer of an fp16 graph gives NaN or infinity on a frame."""
    for feed in feeds:
        layer = first_overflow(graph.network, partial(run_torch, graph, feed))
        if layer is not None:
            raise ExportError(
                f"fp16 cannot hold the values of this network on the check frames: '{layer}' "
                "goes beyond 65504, as untrained weights often do; train further, or export "
                "with --precision fp32"
            )


def _agree(plain: bytes, simple: bytes, graph: StaticGraph, feed: Feed) -> bool:
    """Return whether the simplified graph computes what the plain one does."""
    try:
        a, b = (run_onnx(session_of(data), feed) for data in (simple, plain))
    except Exception:  # noqa: BLE001  (whatever ONNX Runtime dislikes about a rewritten graph)
        return False
    return worst(relative_error(a[n], b[n]) for n in graph.floats) <= SIMPLIFIED_WITHIN


def _with_own_weights(
    data: bytes, graph: StaticGraph, network: nn.Module, scaling: Scaling | None
) -> bytes:
    """Return the proved graph with the last convolution's own weights, and nothing else changed."""
    if scaling is None:
        return data
    own = network.get_submodule(scaling.conv).state_dict()
    there = graph.network.get_submodule(scaling.conv).state_dict()
    exchanged = {
        f"network.{scaling.conv}.{name}": (
            there[name].numpy(),
            own[name].to(there[name].dtype).numpy(),
        )
        for name in own
    }
    restored = with_tensors(data, exchanged)
    if extra := differing_parts(data, restored) - set(exchanged):
        raise ExportError(
            f"putting the weights back changed {', '.join(sorted(extra))} too; do not ship the "
            "graph: try another version of onnx"
        )
    return restored
