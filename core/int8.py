"""The two INT8 forms of a graph, as calibration writes them and fine-tuning imitates them."""

from collections.abc import Mapping
from types import MappingProxyType

FLAVOURS = ("int8", "int8-cpu")
"""int8: for TensorRT and TensorRT-RTX. int8-cpu: for ONNX Runtime on the CPU."""

WEIGHT_LEVELS: Mapping[str, int] = MappingProxyType({"int8": 127, "int8-cpu": 64})
"""Steps from 0 to a channel's largest weight. Seven bits on the CPU: where there is no VNNI, sums
of two products are kept in 16 bits, and eight bits would overflow them."""


def module_path(node: str) -> str:
    """Return the path of the module that an exported node was traced in.

    >>> module_path("/head/Conv"), module_path("/a/b/b.0/b.0.1/Conv")
    ('head', 'a.b.0.1')
    """
    parts: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()  # inside a list of modules the exporter writes the list's name again
        parts.append(part)
    return ".".join(parts)
