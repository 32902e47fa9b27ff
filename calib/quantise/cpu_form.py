"""`int8-cpu.onnx`: Q/DQ in the form that ONNX Runtime fuses into integer operators on the CPU.

Activations are unsigned bytes with a zero point, the bias is INT32, and a convolution's output is
quantised too, behind its ReLU, for only then does the whole become one integer operator. Weights
use 7 of their 8 bits: on x86 CPUs without VNNI two products of 8-bit numbers are added in 16 bits
and would saturate; with 7 the result is the same on every CPU.
"""

from collections.abc import Collection, Sequence

import numpy as np

from crispstream.core.int8 import WEIGHT_LEVELS
from crispstream.core.tensors import RESTORED

from .graph import Array, GraphView, Node
from .methods import Range
from .ranges import Ranges
from .rewrite import Rewriter
from .tensorrt_form import Form, amax_per_channel, skip_sides_of

LEVELS = WEIGHT_LEVELS["int8-cpu"]
"""Largest quantised magnitude of a weight."""

_STEPS = 255
_LARGEST_BIAS = 2**30  # as INT32, with room for what is added to it


def tensors_to_measure(view: GraphView, layers: Collection[str]) -> list[str]:
    """Return the tensors whose ranges either form may need when these layers are INT8."""
    found: dict[str, None] = {}
    for node in view.convolutions():
        if node.name in layers:
            found |= dict.fromkeys([node.input[0], *_outputs(view, node)])
    for add, side in skip_sides_of(view, layers):
        found[add.input[side]] = None
    return list(found)


def cpu_form(
    fp32: GraphView, layers: Collection[str], ranges: Ranges, *, skip_sides: bool = False
) -> Form:
    """Insert Q/DQ into the fp32 graph around the convolutions `layers`.

    `skip_sides`: as in `tensorrt_form`.

    Raises:
        UsageError: if a range is missing.
    """
    rewriter = Rewriter(fp32)
    chosen = [node for node in fp32.convolutions() if node.name in layers]
    for node in chosen:
        tensor = node.input[0]
        span = _span(fp32, tensor, ranges)
        rewriter.node(node.name).input[0] = _quantised(rewriter, tensor, span)
        _quantise_constants(rewriter, fp32, node, span)
    for node in chosen:
        for tensor in _outputs(fp32, node):
            for reader in fp32.readers(tensor):
                _read_quantised(rewriter, reader, tensor, ranges)
    for add, side in skip_sides_of(fp32, layers) if skip_sides else ():
        _read_quantised(rewriter, add, add.input[side], ranges)
    made = {tensor for node in chosen for tensor in _outputs(fp32, node)}
    for tensor in (name for name in fp32.state_outputs() if name in made):
        _give_quantised(rewriter, tensor, ranges)
    _shuffle_bytes(rewriter, fp32)
    return Form(rewriter.finish(), tuple(node.name for node in chosen), ())


def _outputs(view: GraphView, node: Node) -> Sequence[str]:
    """Return the tensors to quantise behind a convolution: its own or that of its ReLU or Clip.

    ReLU disappears in the quantisation, whose smallest value is then 0, and so does Clip: its ends
    are outside of what was measured. Any other activation becomes an integer operator of its own,
    between quantised tensors.
    """
    output = node.output[0]
    readers = view.readers(output)
    if len(readers) != 1 or readers[0].op_type not in ("Relu", "Clip", "LeakyRelu"):
        return [output]
    behind = readers[0].output[0]
    return [output, behind] if readers[0].op_type == "LeakyRelu" else [behind]


def _span(view: GraphView, tensor: str, ranges: Ranges) -> Range:
    """Return the range of what a convolution reads; of a state, that which it was made with.

    Where both are the same, what comes back from the frame before rounds to what it was.
    """
    came_from = dict(zip(view.state_inputs, view.state_outputs(), strict=True)).get(tensor, tensor)
    return ranges.of(came_from if came_from in ranges.tensors else tensor)


def _quantised(rewriter: Rewriter, tensor: str, span: Range) -> str:
    """Return the tensor behind a Q/DQ pair, which is made once for all who read it."""
    behind = f"{tensor}.dq"
    if behind in rewriter.made:
        return behind
    scale = _scale(span)
    zero = np.clip(np.round(-span.low / scale), 0, _STEPS)
    parts = [
        rewriter.constant(f"{tensor}.scale", np.array(scale, np.float32)),
        rewriter.constant(f"{tensor}.zero", np.array(zero, np.uint8)),
    ]
    whole = rewriter.add("QuantizeLinear", [tensor, *parts], f"{tensor}.uint8")
    return rewriter.add("DequantizeLinear", [whole, *parts], behind)


def _scale(span: Range) -> np.float32:
    return np.float32((span.high - span.low) / _STEPS)


def _read_quantised(rewriter: Rewriter, reader: Node, tensor: str, ranges: Ranges) -> None:
    copy = rewriter.node(reader.name)
    for index, name in enumerate(copy.input):
        if name == tensor:
            copy.input[index] = _quantised(rewriter, tensor, ranges.of(tensor))


def _give_quantised(rewriter: Rewriter, tensor: str, ranges: Ranges) -> None:
    """Let a state that the graph gives be what its bytes stand for, so that nothing else reads it.

    It stays a float between frames. An integer operator must not be an output of the graph itself.
    """
    behind = _quantised(rewriter, tensor, ranges.of(tensor))
    rewriter.rename(tensor, f"{tensor}.float")
    rewriter.rename(behind, tensor)


def _quantise_constants(rewriter: Rewriter, view: GraphView, node: Node, span: Range) -> None:
    """Put weights and bias of a convolution behind DequantizeLinear."""
    weights = view.constants[node.input[1]]
    scales = _weight_scales(view, node, span)
    whole = np.clip(np.round(weights / scales[:, None, None, None]), -LEVELS, LEVELS)
    copy = rewriter.node(node.name)
    inputs = [
        rewriter.constant(f"{node.name}.weight_int8", whole.astype(np.int8)),
        rewriter.constant(f"{node.name}.weight_scale", scales),
    ]
    copy.input[1] = rewriter.add("DequantizeLinear", inputs, f"{node.name}.weight", axis=0)
    if len(node.input) < 3:
        return
    both = scales * _scale(span)
    bias = np.round(view.constants[node.input[2]].astype(np.float64) / both)
    inputs = [
        rewriter.constant(f"{node.name}.bias_int32", bias.astype(np.int32)),
        rewriter.constant(f"{node.name}.bias_scale", both),
    ]
    copy.input[2] = rewriter.add("DequantizeLinear", inputs, f"{node.name}.bias", axis=0)


def _weight_scales(view: GraphView, node: Node, span: Range) -> Array:
    """Return a scale for each output channel, coarser where its bias would not fit INT32."""
    amax = amax_per_channel(view.constants[node.input[1]])
    scales = np.where(amax > 0, amax / LEVELS, 1)
    if len(node.input) > 2:
        bias = np.abs(view.constants[node.input[2]].astype(np.float64))
        scales = np.maximum(scales, bias / (_LARGEST_BIAS * float(_scale(span))))
    return np.asarray(scales, np.float32)


def _shuffle_bytes(rewriter: Rewriter, view: GraphView) -> None:
    """Cast to bytes before the picture is put together, where the graph does so afterwards.

    The same bytes, of which only a quarter is moved; TensorRT refuses bytes between operators.
    """
    cast = view.producer(RESTORED)
    chain = [cast] if cast and cast.op_type == "Cast" else []
    while chain and chain[-1].op_type in ("Cast", "Transpose", "DepthToSpace"):
        maker = view.producer(chain[-1].input[0])
        if maker is None or maker.op_type not in ("Transpose", "DepthToSpace"):
            break
        chain.append(maker)
    if len(chain) < 2 or cast is None:
        return
    last, first = rewriter.node(chain[1].name), rewriter.node(chain[-1].name)
    moved = rewriter.node(cast.name)
    moved.input[0], moved.output[0] = first.input[0], f"{first.input[0]}.bytes"
    first.input[0] = moved.output[0]
    last.output[0] = RESTORED
