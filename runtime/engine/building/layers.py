"""What a builder made of a graph: the table of an engine's layers, read from its verbose log.

The same table comes from the engine inspector, which needs the GPU; the log needs none. Seen with
TensorRT-RTX 1.7; a log without such a table gives no layers.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_ROW = re.compile(r"^Name: (?P<name>.+?), LayerType: (?P<kind>\w+), Inputs: (?P<rest>.*)$")
_TYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_CONVOLUTION = "correlation"
_FUSED = "Corr"  # part of the name of a kernel into which a convolution was fused


@dataclass(frozen=True)
class EngineLayer:
    """One kernel of an engine."""

    name: str
    kind: str
    """As the builder calls it: correlation is a convolution, kgen a generated kernel."""
    data_type: str
    """Type of the first input: Int8, Half, Float ...; "" where it has none."""
    onnx_nodes: tuple[str, ...]
    """Names of the graph's nodes that it computes."""

    @property
    def is_convolution(self) -> bool:
        """Whether it convolves, alone or fused with others."""
        return self.kind == _CONVOLUTION or _FUSED in self.name


def layers_of(log_lines: Iterable[str]) -> tuple[EngineLayer, ...]:
    """Return the layers that a builder's log lists.

    >>> layers_of(["Name: /a/Conv_0, LayerType: correlation, Inputs: [ { Name: x, Datatype: Int8,"
    ...            " } ], Metadata: [ONNX Layer: /a/Conv][ONNX Layer: /Relu]"])[0].onnx_nodes
    ('/a/Conv', '/Relu')
    """
    matches = (_ROW.match(line) for line in log_lines)
    return tuple(_layer(match) for match in matches if match)


def convolution_types(layers: Iterable[EngineLayer]) -> Mapping[str, int]:
    """Return how many convolutions read each data type, the most frequent first."""
    counts = Counter(layer.data_type for layer in layers if layer.is_convolution)
    return dict(counts.most_common())


def _layer(match: re.Match[str]) -> EngineLayer:
    kind = _TYPE.search(match["rest"].partition(" Constants: ")[0])
    return EngineLayer(
        match["name"],
        match["kind"],
        kind[1] if kind else "",
        tuple(_NODE.findall(match["rest"])),
    )
