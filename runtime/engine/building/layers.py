"""What a builder made of a graph: the table of an engine's layers, read from its verbose log.

The same table comes from the engine inspector, which needs the GPU; the log needs none. Seen with
TensorRT-RTX 1.7; a log without such a table gives no layers.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_ROW = re.compile(r"^Name: (?P<name>.+?), LayerType: (?P<kind>\w+), Inputs: (?P<rest>.*)$")
_TYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_BLOCK = re.compile(r"_(myl\d+)_\d+$")
_FURTHER_PROFILE = re.compile(r" \[profile [1-9]\d*\]")
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


def convolution_types(layers: Sequence[EngineLayer]) -> Mapping[str, int]:
    """Return how many convolutions read each data type, the most frequent first.

    Those of the first profile: the table has every kernel once for each profile. Of several
    compute capabilities it is about one, the lowest.
    """
    counts = Counter(layer.data_type for layer in _of_first_profile(layers) if layer.is_convolution)
    return dict(counts.most_common())


def _of_first_profile(layers: Sequence[EngineLayer]) -> list[EngineLayer]:
    """Return the layers of blocks none of whose names is marked with a further profile.

    A name is "/up/Conv [profile 1]_myl1_11": block myl1. Fused kernels lack the mark.
    """
    others = {_block(layer) for layer in layers if _FURTHER_PROFILE.search(layer.name)}
    return [layer for layer in layers if _block(layer) not in others]


def _block(layer: EngineLayer) -> str:
    match = _BLOCK.search(layer.name)
    return match[1] if match else layer.name


def _layer(match: re.Match[str]) -> EngineLayer:
    kind = _TYPE.search(match["rest"].partition(" Constants: ")[0])
    return EngineLayer(
        match["name"],
        match["kind"],
        kind[1] if kind else "",
        tuple(_NODE.findall(match["rest"])),
    )
