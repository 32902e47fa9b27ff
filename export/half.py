"""Half precision on a CPU: PyTorch in fp16, as a GPU computes it, and what does not fit.

Convolutions and matrix products of values held in fp16 add up in fp32 and round once, as tensor
cores do. So do torch's own on a CPU without half arithmetic, a hundred times slower: a trace of
GFN for 320x180 would take ten minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

Array = npt.NDArray[Any]
Node = Any
"""A value inside a trace, and what makes one: torch names no types for them."""


class HalfArithmetic(TorchFunctionMode):
    """Within this mode the heavy operators on fp16 run in fp32 and round their result.

    A trace to ONNX records them as what they are.
    """

    def __torch_function__(  # noqa: D105  (torch's own hook, for any function of torch)
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        wide = _WIDE.get(func)
        if wide is None or kwargs or args[0].dtype != torch.float16 or len(args) != wide.arguments:
            return func(*args, **(kwargs or {}))
        return wide.apply(*args)


class _MatMul(torch.autograd.Function):
    arguments = 2

    @staticmethod
    def forward(ctx: Node, a: Tensor, b: Tensor) -> Tensor:
        return torch.matmul(a.float(), b.float()).half()

    @staticmethod
    def symbolic(g: Node, a: Node, b: Node) -> Node:
        return g.op("MatMul", a, b)


class _Conv(torch.autograd.Function):
    arguments = 7
    """Input, weight, bias and the four settings that `nn.Conv2d` hands over."""

    @staticmethod
    def forward(ctx: Node, *args: Node) -> Tensor:
        return torch.conv2d(*_widened(args)).half()

    @staticmethod
    def symbolic(g: Node, *args: Node) -> Node:
        *tensors, stride, padding, dilation, groups = args
        return _convolution(g, "Conv", tensors, stride, padding, dilation, groups)


class _ConvTranspose(torch.autograd.Function):
    arguments = 8
    """Input, weight, bias and the five settings that `nn.ConvTranspose2d` hands over."""

    @staticmethod
    def forward(ctx: Node, *args: Node) -> Tensor:
        return torch.conv_transpose2d(*_widened(args)).half()

    @staticmethod
    def symbolic(g: Node, *args: Node) -> Node:
        *tensors, stride, padding, output_padding, groups, dilation = args
        made = _convolution(g, "ConvTranspose", tensors, stride, padding, dilation, groups)
        if any(output_padding):
            made.node().is_("output_padding", list(output_padding))
        return made


def _convolution(
    g: Node,
    kind: str,
    tensors: Sequence[Node],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Node:
    return g.op(
        kind,
        *(tensor for tensor in tensors if tensor is not None),
        kernel_shape_i=tensors[1].type().sizes()[2:],
        strides_i=list(stride),
        pads_i=[*padding, *padding],
        dilations_i=list(dilation),
        group_i=groups,
    )


def _widened(args: Sequence[Any]) -> list[Any]:
    return [arg.float() if isinstance(arg, Tensor) else arg for arg in args]


_WIDE: dict[Any, Any] = {
    torch.matmul: _MatMul,
    Tensor.matmul: _MatMul,
    Tensor.__matmul__: _MatMul,
    torch.conv2d: _Conv,
    torch.conv_transpose2d: _ConvTranspose,
}


def first_overflow(network: nn.Module, run: Callable[[], Mapping[str, Array]]) -> str | None:
    """Return the name of the first layer that gives NaN or infinity while `run` uses it.

    None if no layer does; the name of an output of `run` if only what lies between layers does.
    """
    found: list[str] = []
    hooks = [
        layer.register_forward_hook(_watch(name, found))
        for name, layer in network.named_modules()
        if not list(layer.children())
    ]
    try:
        found += [name for name, value in run().items() if not np.isfinite(value).all()]
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def _watch(name: str, found: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    def look(layer: nn.Module, given: Any, result: Any) -> None:  # noqa: ANN401
        if not found and not all(bool(torch.isfinite(one).all()) for one in tree_leaves(result)):
            found.append(name)

    return look
