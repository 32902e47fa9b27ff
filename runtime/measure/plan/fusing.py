"""Which layers of a graph an engine computes in one step: bytes between them are not moved.

The rule, the same for every device of a kind; docs/plan.md tells it in full:

- A convolution or matrix product begins a step.
- Conversions to a wider type (DequantizeLinear, Cast) and reshapes are done by whoever reads them.
- gpu: an elementwise layer (activation, residual addition, gate, rounding, QuantizeLinear) joins
  a step whose only output it alone reads; of two such steps, the one with the larger output. A
  change of layout or size (Transpose, DepthToSpace, Pad, Resize) does so too, but never behind a
  convolution.
- cpu, as ONNX Runtime does it: only an activation joins its convolution, and in INT8 the
  QuantizeLinear behind it; all else is a pass of its own over memory.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

from crispstream.core.layers import ITEM_BYTES, Layer, Tensor, side
from crispstream.core.sizes import Size
from crispstream.core.tensors import RESTORED, STATE_OUT

PRODUCTS = frozenset(
    ("Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "ConvInteger", "MatMulInteger")
)
"""Operators that multiply: their steps are no mere passes over memory."""

ACTIVATIONS = frozenset(("Clip", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"))
ELEMENTWISE = ACTIVATIONS | frozenset(
    (
        *("Abs", "Add", "Cast", "Ceil", "DequantizeLinear", "Div", "Elu", "Erf", "Exp", "Floor"),
        *("Gelu", "HardSwish", "Log", "Max", "Min", "Mul", "Neg", "PRelu", "Pow"),
        *("QuantizeLinear", "Reciprocal", "Round", "Softplus", "Sqrt", "Sub", "Where"),
    )
)
LAYOUT = frozenset(
    ("Concat", "DepthToSpace", "Pad", "Resize", "Slice", "SpaceToDepth", "Split", "Transpose")
)
VIEWS = frozenset(("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"))
_CONVERSIONS = VIEWS | frozenset(("Cast", "DequantizeLinear"))


@dataclass(frozen=True)
class Step:
    """What an engine does at once."""

    layers: tuple[Layer, ...]
    """In order, with the conversions that the step does of what it reads."""
    main: Layer
    """That it is named after: the convolution, else the first that is no conversion."""
    reads: tuple[Tensor, ...]
    """From memory, each once."""
    writes: tuple[Tensor, ...]

    @property
    def is_pass(self) -> bool:
        """Whether it only goes over memory."""
        return self.main.op not in PRODUCTS


def fuse(layers: Sequence[Layer], kind: str, size: Size) -> tuple[Step, ...]:
    """Return the steps of a graph, in an order in which they can be computed.

    Args:
        layers: in order of execution.
        kind: of the device, "gpu" or "cpu".
        size: (width, height) of the frames after padding, px: it decides which of two steps a
            layer had better join.

    Raises:
        ValueError: if the graph cannot take that size.
    """
    rule = _CpuRule() if kind == "cpu" else _GpuRule()
    parts = tuple(_parts(layers, rule))
    readers: dict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        for tensor in part.reads:
            readers[tensor.name].append(part)
    return tuple(_step(group, readers) for group in _groups(parts, readers, rule, size))


def is_output(name: str) -> bool:
    """Return whether a tensor leaves the graph, even if a layer of it reads it too."""
    return name == RESTORED or name.startswith(STATE_OUT)


def tensor_bytes(tensor: Tensor, width: int, height: int) -> int:
    """Return the bytes of a tensor for frames of a size in px; ValueError if it has none."""
    return prod(side(dim, width, height) for dim in tensor.shape) * ITEM_BYTES[tensor.type]


@dataclass(frozen=True, eq=False)
class _Part:
    """A layer, and the conversions that it does of what it reads."""

    layer: Layer
    reads: tuple[Tensor, ...]
    """What it reads from before those conversions."""
    converts: tuple[Layer, ...]


_Readers = Mapping[str, Sequence[_Part]]
"""Tensor -> who reads it."""


class _Rule(Protocol):
    def converts(self, reader: Layer, layer: Layer) -> bool:
        """Return whether a layer is no work of its own: a reader of it does it as it reads."""

    def joins(self, layer: Layer, group: Sequence[_Part]) -> bool:
        """Return whether a layer is computed in the step before it."""


class _GpuRule:
    def converts(self, reader: Layer, layer: Layer) -> bool:
        return layer.op in _CONVERSIONS and (layer.op != "Cast" or _widens(layer))

    def joins(self, layer: Layer, group: Sequence[_Part]) -> bool:
        return layer.op in ELEMENTWISE or (layer.op in LAYOUT and _product(group) is None)


class _CpuRule:
    def converts(self, reader: Layer, layer: Layer) -> bool:
        in_int8 = reader.op in PRODUCTS and reader.precision == "int8"
        return layer.op in VIEWS or (layer.op == "DequantizeLinear" and in_int8)

    def joins(self, layer: Layer, group: Sequence[_Part]) -> bool:
        product = _product(group)
        if product is None:
            return False
        if layer.op == "QuantizeLinear":
            return product.precision == "int8"
        return layer.op in ACTIVATIONS and group[-1].layer is product


def _parts(layers: Sequence[Layer], rule: _Rule) -> Iterator[_Part]:
    writer = {tensor.name: layer for layer in layers for tensor in layer.writes}
    readers: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        for tensor in layer.reads:
            readers[tensor.name].append(layer)
    for layer in layers:
        after = readers[layer.writes[0].name]
        leaves = any(is_output(tensor.name) for tensor in layer.writes)
        if after and not leaves and all(rule.converts(reader, layer) for reader in after):
            continue
        reads: list[Tensor] = []
        converts: list[Layer] = []
        for tensor in layer.reads:
            source = tensor
            while (before := writer.get(source.name)) and rule.converts(layer, before):
                converts.insert(0, before)
                source = before.reads[0]
            reads.append(source)
        yield _Part(layer, tuple(reads), tuple(converts))


def _groups(
    parts: Sequence[_Part], readers: _Readers, rule: _Rule, size: Size
) -> list[list[_Part]]:
    groups: list[list[_Part]] = []
    writer: dict[str, list[_Part]] = {}
    for part in parts:
        hosts = [
            (tensor_bytes(tensor, *size), groups.index(writer[tensor.name]))
            for tensor in part.reads
            if tensor.name in writer
            and readers[tensor.name] == [part]
            and _outputs(writer[tensor.name], readers) == [tensor]
        ]
        host = groups[max(hosts)[1]] if hosts and part.layer.op not in PRODUCTS else None
        if host is not None and rule.joins(part.layer, host):
            groups.remove(host)  # nobody else waits for it, and by now all that it reads is there
            group = [*host, part]
        else:
            group = [part]
        groups.append(group)
        writer |= {tensor.name: group for one in group for tensor in one.layer.writes}
    return groups


def _outputs(group: Sequence[_Part], readers: _Readers) -> list[Tensor]:
    """Return what a step writes that is read behind it, or is an output of the graph."""
    return [
        tensor
        for part in group
        for tensor in part.layer.writes
        if is_output(tensor.name)
        or not readers[tensor.name]
        or any(one not in group for one in readers[tensor.name])
    ]


def _step(group: Sequence[_Part], readers: _Readers) -> Step:
    inside = {tensor.name for part in group for tensor in part.layer.writes}
    reads = {t.name: t for part in group for t in part.reads if t.name not in inside}
    layers = [layer for part in group for layer in (*part.converts, part.layer)]
    return Step(
        layers=tuple(dict.fromkeys(layers)),
        main=_product(group) or group[0].layer,
        reads=tuple(reads.values()),
        writes=tuple(_outputs(group, readers)),
    )


def _product(group: Sequence[_Part]) -> Layer | None:
    return next((part.layer for part in group if part.layer.op in PRODUCTS), None)


def _widens(layer: Layer) -> bool:
    return ITEM_BYTES[layer.writes[0].type] > ITEM_BYTES[layer.reads[0].type]
