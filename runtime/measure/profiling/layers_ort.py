"""The layers of a graph on ONNX Runtime's CPU, by its own profiler.

The profiler notes for each operator of each frame how long its call took, in whole microseconds,
and what it read and wrote. It costs time itself, so a session of its own is profiled, in turns
with one that is not.

ONNX Runtime rewrites a graph before it runs it. Names of operators then tell where they come from:

    /head/Conv                a node, perhaps with those that follow fused into it
    /up/Conv_token_42         made of that node: QLinearConv of what quantises, Conv, and so on
    /Relu_output_0_nchwc      writes that tensor in blocks of channels; nodes before it are fused
    /x.dq/duplicated          a copy of that node
    ReorderOutput_token_3     added: it turns blocks of channels back; so does a lone Transpose
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import EngineError
from crispstream.core.layers import GraphLayers, Layer
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import Size
from crispstream.runtime.measure.gather import Gather

from .joining import Claim
from .layer_times import TimedLayer, layer_times
from .record import LayerProfile
from .turns import NO_LIMITS, SLOTS, WARM_UP, Limits, Turn, turns

HOW = "ONNX Runtime's profiler, in a session of its own"
MOST_EVENTS = 10_000
"""ONNX Runtime keeps what it notes, some 3 kB an operator, in memory until the end."""

_FRAME = "model_run"
_SUFFIX = "_kernel_time"
_IN_BLOCKS = "_nchwc"
_CAST = "InsertedPrecisionFreeCast_"
_COPY = "/duplicated"
_TOKEN = re.compile(r"_token_\d+$")
_ADDED = (
    "ReorderInput", "ReorderOutput", "Reshape", "Transpose", "Cast", "QuantizeLinear",
    "DequantizeLinear",
)  # fmt: skip
"""What ONNX Runtime adds where it wants another layout or type; it names them so, with a number."""
_VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
"""What hands its input on as its output: nothing is moved."""
_FLOATS = {"float": "fp32", "float16": "fp16"}
_QUANTISED = ("QLinear", "QGemm", "QuantizeLinear", "DequantizeLinear", "Integer")


class Operator(NamedTuple):
    """One operator in one frame."""

    name: str
    op: str
    precision: str
    shape: tuple[int, ...]
    moved_bytes: int
    duration_ns: int


def profile_onnxruntime(
    bundle: Bundle,
    graph: Graph,
    threads: int | None,
    size: Size,
    frames: Sequence[Bytes],
    rounds: int,
    limits: Limits = NO_LIMITS,
    clock: Clock = monotonic_ns,
) -> LayerProfile:
    """Time the operators of a graph; see `layers.profile_layers`.

    Of a graph with many layers fewer rounds are made than asked for: see `MOST_EVENTS`.
    """
    from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend

    layers, (width, height) = bundle.layers_of(graph), size
    rounds = max(1, min(rounds, MOST_EVENTS // max(1, len(layers.layers))))
    with TemporaryDirectory(prefix="crispstream-profile-") as folder, ExitStack() as stack:
        plain, timed = (
            OnnxRuntimeBackend(
                bundle.graph_bytes(graph),
                precision=graph.precision,
                threads=threads,
                states=bundle.states,
                profile_to=profile_to,
            )
            for profile_to in (None, Path(folder) / "operators")
        )
        stack.callback(plain.close)
        stack.callback(timed.close)
        for backend in (plain, timed):
            backend.allocate(height, width, SLOTS)
        ran = list(turns((plain, timed), frames, rounds, clock, limits))
        if all(turn.round < 0 for turn in ran):
            raise EngineError("the times of layers were stopped before the first frame")
        events = json.loads(timed.end_profile().read_bytes())
    found = timed_layers(list(operators(events))[WARM_UP:], layers)
    return LayerProfile(
        how=HOW,
        frames=1 + ran[-1].round,
        layers=layer_times(found, layers, width, height),
        engine_ms=_median_ms(ran, 1),
        plain_ms=_median_ms(ran, 0),
    )


def _median_ms(ran: Sequence[Turn], backend: int) -> float:
    return median(t.duration_ns for t in ran if t.round >= 0 and t.backend == backend) / 1e6


def operators(events: Sequence[Mapping[str, Any]]) -> Iterator[list[Operator]]:
    """Yield the operators of each frame in order, from the events of a profile.

    An event for the whole frame comes after those of its operators.
    """
    frame: list[Operator] = []
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_SUFFIX):
            frame.append(_operator(event))
        elif event["name"] == _FRAME:
            yield frame
            frame = []


def timed_layers(frames: Sequence[Sequence[Operator]], graph: GraphLayers) -> list[TimedLayer]:
    """Return the operators with their times over frames, in order of execution.

    Two of one name, which nodes without names can have, are told apart by their order.
    """
    claims = claims_of(frames[0], graph.layers)
    found = []
    for place, (operator, claim) in enumerate(zip(frames[0], claims, strict=True)):
        gather = Gather(begun_ns=0)
        for frame in frames:
            gather.record(frame[place].duration_ns, at_ns=0)
        found.append(
            TimedLayer(
                operator.name,
                operator.op,
                operator.precision,
                operator.shape,
                operator.moved_bytes,
                claim,
                gather.spread(),
            )
        )
    return found


def claims_of(operators: Sequence[Operator], layers: Sequence[Layer]) -> list[Claim]:
    """Return what the names of operators tell of the nodes that they compute."""
    ops = {layer.name: layer.op for layer in layers}
    makers = {tensor.name: layer.name for layer in layers for tensor in layer.writes}
    return [_claim(operator, ops, makers) for operator in operators]


def _claim(operator: Operator, ops: Mapping[str, str], makers: Mapping[str, str]) -> Claim:
    name, op = operator.name, operator.op
    node = name if name in ops else _TOKEN.sub("", name).removesuffix(_COPY)
    if name.endswith(_IN_BLOCKS):  # it writes this tensor, so nothing after it is fused
        tensor = name.removesuffix(_IN_BLOCKS).removeprefix(_CAST)
        return Claim(op, likely=(makers.get(tensor, ""),), takes_before=True)
    if name not in ops and (node in _ADDED or name.startswith(_CAST)):
        return Claim(op, is_added=True)
    fused = op != ops.get(node)
    claim = Claim(op, takes_before=fused, takes_after=fused)
    return replace(claim, sure=(node,)) if name in ops else replace(claim, likely=(node,))


def _operator(event: Mapping[str, Any]) -> Operator:
    told = event["args"]
    op = told["op_name"]
    outputs = _shapes(told.get("output_type_shape", ()))
    moved = int(told.get("activation_size", 0)) + int(told.get("output_size", 0))
    inputs = _shapes(told.get("input_type_shape", ()))
    return Operator(
        name=event["name"].removesuffix(_SUFFIX),
        op=op,
        precision=precision_of(op, inputs[0][0] if inputs else ""),
        shape=outputs[0][1] if outputs else (),
        moved_bytes=0 if op in _VIEWS else moved,
        duration_ns=1000 * int(event["dur"]),
    )


def _shapes(told: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[str, tuple[int, ...]]]:
    """Return (type, shape) of each tensor of [{"float": [1, 3, 180, 320]}, ...]."""
    return [(kind, tuple(shape)) for one in told for kind, shape in one.items()]


def precision_of(op: str, first_input: str) -> str:
    """Return what an operator computes in, by what it reads first.

    >>> precision_of("Conv", "float"), precision_of("QLinearConv", "uint8")
    ('fp32', 'int8')
    >>> precision_of("DepthToSpace", "uint8")
    'other'
    """
    if first_input in ("int8", "uint8") and any(part in op for part in _QUANTISED):
        return "int8"
    return _FLOATS.get(first_input, "other")
