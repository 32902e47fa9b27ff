"""A graph of an edge network in PyTorch, with the roundings that arithmetic of a GPU may have.

It knows the operators of edge graphs only. That it computes them rightly is seen in fp32: but for
a few in a million its bytes are those of ONNX Runtime, see engine_limits.py.

Shape letters: C channels in, O out, H height, W width, h and w those of the result, K kernel.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor
from torch.nn import functional

from crispstream.core.pixels import Bytes

Sums = Callable[[Tensor, Tensor, int], Tensor]
"""x [1,C,H,W], weights [O,C,K,K] and the stride -> the sums of a convolution [1,O,h,w]: without
padding or bias. All fp32, whatever the values were rounded to."""

_TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.UINT8: torch.uint8,
}


def plain_sums(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """Add up in fp32, in the order that PyTorch takes."""
    return functional.conv2d(x, weights, stride=stride)


def tf32_sums(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """Multiply numbers that have TF32's 10 bits after the point, add up in fp32."""
    return functional.conv2d(_tf32(x), _tf32(weights), stride=stride)


def _tf32(values: Tensor) -> Tensor:
    """Round to 10 of 23 bits, halves away from zero, as PTX's `cvt.rna.tf32.f32`."""
    return ((values.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def fp16_sums(products: int) -> Sums:
    """Return sums that are rounded to fp16 after every so many products."""

    def sums(x: Tensor, weights: Tensor, stride: int) -> Tensor:
        outputs, channels, kernel, _ = weights.shape
        rows, columns = ((side - kernel) // stride + 1 for side in x.shape[2:])
        total = torch.zeros(outputs, rows * columns)
        rounded = torch.empty_like(total, dtype=torch.float16)
        for top in range(kernel):
            for left in range(kernel):
                seen = x[0, :, top:, left:][:, ::stride, ::stride][:, :rows, :columns]
                flat = seen.reshape(channels, -1)
                for first in range(0, channels, products):
                    some = slice(first, first + products)
                    total.addmm_(weights[:, some, top, left], flat[some])
                    total.copy_(rounded.copy_(total))
        return total.view(1, outputs, rows, columns)

    return sums


class EmulatedGraph:
    """A byte graph whose convolutions add up as told; every fp16 tensor is rounded to fp16."""

    def __init__(self, onnx_bytes: bytes, sums: Mapping[torch.dtype, Sums]) -> None:
        """Take a graph and, by the type of their input, how convolutions add up, else plainly."""
        graph = onnx.load_from_string(onnx_bytes).graph
        self._nodes = list(graph.node)
        self._constants = {each.name: _tensor(each) for each in graph.initializer}
        self._sums = sums

    def restore(self, frame_hwc: Bytes) -> Bytes:
        """Return the restored frame [4H,4W,3] of a frame [H,W,3]."""
        values = {**self._constants, "frame": torch.from_numpy(frame_hwc[None].copy())}
        for node in self._nodes:
            inputs = [values[name] for name in node.input if name]  # a missing one has no name
            values[node.output[0]] = self._computed(node, inputs)
        return np.asarray(values["restored"][0].numpy(), np.uint8)

    def _computed(self, node: onnx.NodeProto, inputs: Sequence[Tensor]) -> Tensor:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Constant":
            return _tensor(attributes["value"])
        if node.op_type == "Cast":
            return inputs[0].to(_TYPES[attributes["to"]])
        in_fp16 = any(each.dtype == torch.float16 for each in inputs)
        wide = [each.float() if each.dtype == torch.float16 else each for each in inputs]
        if node.op_type == "Conv":
            sums = self._sums.get(inputs[0].dtype, plain_sums)
            found = _convolved(wide, attributes, sums)
        elif node.op_type in _OPERATORS:
            found = _OPERATORS[node.op_type](wide, attributes)
        else:
            raise SystemExit(f"{node.op_type} is not emulated; add it to {__name__}.py")
        return found.half() if in_fp16 else found


def _tensor(constant: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(constant)))


def _convolved(inputs: Sequence[Tensor], attributes: Mapping[str, Any], sums: Sums) -> Tensor:
    x, weights, bias = inputs
    top, left, bottom, right = attributes["pads"]
    padded = functional.pad(x, (left, right, top, bottom))
    return sums(padded, weights, attributes["strides"][0]) + bias.view(1, -1, 1, 1)


def _enlarged(inputs: Sequence[Tensor], _: Mapping[str, Any]) -> Tensor:
    scales = inputs[-1].tolist()  # what stands before it, a region, is left out or empty
    return functional.interpolate(inputs[0], scale_factor=(scales[2], scales[3]), mode="nearest")


def _edges_repeated(inputs: Sequence[Tensor], _: Mapping[str, Any]) -> Tensor:
    _, _, top, left, _, _, bottom, right = inputs[1].tolist()
    return functional.pad(inputs[0], (left, right, top, bottom), mode="replicate")


_OPERATORS: dict[str, Callable[[Sequence[Tensor], Mapping[str, Any]], Tensor]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Clip": lambda inputs, _: inputs[0].clamp(float(inputs[1]), float(inputs[2])),
    "DepthToSpace": lambda inputs, a: functional.pixel_shuffle(inputs[0], a["blocksize"]),
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Pad": _edges_repeated,
    "Relu": lambda inputs, _: inputs[0].relu(),
    "Resize": _enlarged,
    "Sigmoid": lambda inputs, _: inputs[0].sigmoid(),
    "Transpose": lambda inputs, a: inputs[0].permute(a["perm"]).contiguous(),
}
