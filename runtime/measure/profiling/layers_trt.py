"""The layers of an engine on TensorRT and TensorRT-RTX, by the library's own profiler.

The profiler tells a name and milliseconds for each layer, the engine inspector what the layer is.
An engine with detailed profiling verbosity, which the kit always builds, names the nodes of the
graph in each layer's Metadata: "[ONNX Layer: /up/Conv][ONNX Layer: /Relu]". Without, and besides,
there are the names of layers:

    /a/Conv + /b/Relu                            two nodes in one kernel
    PWN(PWN(/x/Sigmoid), /y/Mul)                 pointwise nodes
    {ForeignNode[/a/MatMul.../b/Softmax]}        from one node to another
    /up/Conv_myl0_29                             a node; the rest is of the compiler
    __myl_ResiAddMul_myl0_21                     named by what it does, not by nodes
    Reformatting CopyNode for Input Tensor 0 to /a/Conv      added
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from math import prod
from typing import Any

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import EngineError
from crispstream.core.layers import GraphLayers, Layer
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import Size
from crispstream.runtime.engine.backends.tensorrt.backend import TensorRTBackend
from crispstream.runtime.measure.gather import Gather

from .joining import Claim
from .layer_times import TimedLayer, layer_times
from .record import LayerProfile
from .turns import NO_LIMITS, SLOTS, Limits, turns

HOW = "{}'s IProfiler, without CUDA graphs"
NAMES_ONLY = (
    "; the engine tells of its layers only the names: build it again with crispstream build "
    "--rebuild for their precision and shapes"
)

_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_FROM_TO = re.compile(r"ForeignNode\[(.+?)\.\.\.(.+?)\]")
_BETWEEN = re.compile(r"[\s(),{}]+")
_COMPILERS = re.compile(r"(_myl\d+_\d+|_clone_\d+)$")
_ADDED = re.compile(r"^Reformatting CopyNode |^\[trainStation|^__mye\d+_| copy$")
_ADDED_TYPES = ("signal", "wait", "NoOp")
_TYPES = {
    "UInt8": (1, "other"), "Int8": (1, "int8"), "Half": (2, "fp16"), "FP16": (2, "fp16"),
    "Float": (4, "fp32"), "FP32": (4, "fp32"), "Int32": (4, "other"), "Int64": (8, "other"),
    "Bool": (1, "other"),
}  # fmt: skip
"""Its name for a type -> bytes of an element, and what a layer that reads it computes in."""

Info = Mapping[str, Any]
"""A layer, as the inspector tells of it; {} where it tells nothing but names."""


def profile_tensorrt(
    bundle: Bundle,
    graph: Graph,
    flavour: str,
    size: Size,
    frames: Sequence[Bytes],
    rounds: int,
    limits: Limits = NO_LIMITS,
    clock: Clock = monotonic_ns,
) -> LayerProfile:
    """Time the layers of an engine; see `layers.profile_layers`.

    The engine is the kept one, or built. Both medians of the profile are the network's alone, by
    the GPU's clock.
    """
    with closing(_opened(bundle, graph, flavour)) as plain, closing(plain.twin()) as timed:
        return profile_backends(
            plain, timed, bundle.layers_of(graph), size, frames, rounds, clock, limits
        )


def _opened(bundle: Bundle, graph: Graph, flavour: str) -> TensorRTBackend:
    from crispstream.runtime.engine.device.gpu import find_gpu
    from crispstream.runtime.engine.obtain import EngineSource
    from crispstream.runtime.engine.wish import Wish

    gpu = find_gpu()
    if isinstance(gpu, str):
        raise EngineError(gpu)
    # Who asks has run this graph already: with its certificate, or because it was allowed without.
    wish = Wish(bundle, graph, flavour, gpu, allow_uncertified=True)
    return TensorRTBackend(
        EngineSource(wish),
        flavour=flavour,
        precision=graph.precision,
        states=bundle.states,
        cuda_graph=False,
    )


def profile_backends(
    plain: TensorRTBackend,
    timed: TensorRTBackend,
    graph: GraphLayers,
    size: Size,
    frames: Sequence[Bytes],
    rounds: int,
    clock: Clock,
    limits: Limits = NO_LIMITS,
) -> LayerProfile:
    """Time the layers of two backends of one engine, without CUDA graphs; the first goes untimed.

    Raises:
        EngineError: if the library reports no layers.
    """
    width, height = size
    for backend in (plain, timed):
        backend.allocate(height, width, SLOTS)
    reports: list[tuple[str, float]] = []
    told = timed.watch_layers(lambda name, ms: reports.append((name, ms)))
    gathers: dict[str, Gather] = {}
    done = 0
    for turn in turns((plain, timed), frames, rounds, clock, limits):
        done = max(done, turn.round + 1)
        if turn.round < 0:
            (plain, timed)[turn.backend].device_latencies.clear()
        elif turn.backend == 1:
            _gather(gathers, reports)
        reports.clear()
    if not gathers:
        raise EngineError(
            f"{timed.name} timed no layers; build the engine again: crispstream build --rebuild"
        )
    infos, is_detailed = infos_of(told)
    found = _timed_layers(gathers, infos, graph.layers)
    return LayerProfile(
        how=HOW.format(timed.name) + ("" if is_detailed else NAMES_ONLY),
        frames=done,
        layers=layer_times(found, graph, width, height),
        engine_ms=timed.device_latencies["infer"].percentile_ms(50),
        plain_ms=plain.device_latencies["infer"].percentile_ms(50),
    )


def _gather(gathers: dict[str, Gather], reports: Sequence[tuple[str, float]]) -> None:
    """Add the layers of a frame; those of one name together."""
    totals_ms: dict[str, float] = {}
    for name, ms in reports:
        totals_ms[name] = totals_ms.get(name, 0.0) + ms
    for name, ms in totals_ms.items():
        if name not in gathers:
            gathers[name] = Gather(begun_ns=0)
        gathers[name].record(round(1e6 * max(0.0, ms)), at_ns=0)


def infos_of(told: str) -> tuple[dict[str, Info], bool]:
    """Return name -> layer of the inspector's JSON, and whether it told more than names.

    >>> infos_of('{"Layers": ["/a/Conv + /b/Relu"], "Bindings": ["frame", "restored"]}')
    ({}, False)
    """
    infos: dict[str, Info] = {}
    with suppress(KeyError, TypeError, ValueError):
        layers = json.loads(told)["Layers"]
        infos = {one["Name"]: one for one in layers if isinstance(one, dict)}
    return infos, any("LayerType" in info for info in infos.values())


def _timed_layers(
    gathers: Mapping[str, Gather], infos: Mapping[str, Info], layers: Sequence[Layer]
) -> list[TimedLayer]:
    names = [layer.name for layer in layers]
    found = []
    for name, gather in gathers.items():
        info = infos.get(name, {})
        inputs, outputs = _tensors(info, "Inputs"), _tensors(info, "Outputs")
        found.append(
            TimedLayer(
                name=name,
                op=str(info.get("LayerType", "")),
                precision=_type_of(inputs[0])[1] if inputs else "",
                shape=_shape(outputs[0]) if outputs else (),
                moved_bytes=moved_bytes(inputs + outputs),
                claim=claim_of(name, info, names),
                spread=gather.spread(),
            )
        )
    return found


def claim_of(name: str, info: Info, nodes: Sequence[str]) -> Claim:
    """Return what the name and the metadata of a layer tell of nodes; `nodes` are in order.

    >>> claim_of("PWN(PWN(/x/Sigmoid), /y/Mul)", {}, ["/x/Sigmoid", "/y/Mul", "/z"]).sure
    ('/x/Sigmoid', '/y/Mul')
    """
    op = str(info.get("LayerType", ""))
    if _ADDED.search(name) or op in _ADDED_TYPES:
        return Claim(op, is_added=True)
    known = set(nodes)
    words = (_COMPILERS.sub("", word) for word in _BETWEEN.split(name))
    told = _NODE.findall(str(info.get("Metadata", "")))
    return Claim(
        op,
        sure=tuple(word for word in words if word in known),
        likely=(*told, *_from_to(name, nodes)),
    )


def _from_to(name: str, nodes: Sequence[str]) -> Iterator[str]:
    """Yield the nodes of a layer that names only its first and last; one end may be a constant."""
    match = _FROM_TO.search(name)
    if match is None:
        return
    first, last = (nodes.index(end) if end in nodes else None for end in match.groups())
    if first is not None and last is not None:
        yield from nodes[first : last + 1]
    else:
        yield from (nodes[place] for place in (first, last) if place is not None)


def _tensors(info: Info, key: str) -> list[Info]:
    found = info.get(key, ())
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _shape(tensor: Info) -> tuple[int, ...]:
    """Return the sides of a tensor, () where one is not known before a frame comes."""
    sides = tuple(tensor.get("Dimensions", ()))
    return () if any(side < 0 for side in sides) else sides


def _type_of(tensor: Info) -> tuple[int, str]:
    """Return bytes and precision; (0, "") where the inspector does not say, or of other types.

    "Half", or in words: "Channel major FP16 format where channel % 8 == 0".
    """
    words = str(tensor.get("Format/Datatype", tensor.get("Datatype", "")))
    for word in re.findall(r"\w+", words):
        for name, meaning in _TYPES.items():
            if word.lower() == name.lower():
                return meaning
    return 0, ""


def moved_bytes(tensors: Sequence[Info]) -> int | None:
    """Return the bytes of tensors together; None if the size of one is not known.

    >>> moved_bytes([{"Dimensions": [1, 8, 4, 4], "Format/Datatype": "Half"}])
    256
    >>> moved_bytes([{"Dimensions": [-1, 8], "Format/Datatype": "N/A due to dynamic shapes"}])
    """
    sizes = [(_shape(tensor), _type_of(tensor)[0]) for tensor in tensors]
    if not sizes or not all(shape and item for shape, item in sizes):
        return None
    return sum(item * prod(shape) for shape, item in sizes)
