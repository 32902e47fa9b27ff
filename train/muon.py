"""Muon: an optimiser that moves all directions of a kernel alike.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024): the momentum of a
matrix is replaced by the nearest orthogonal one, found by Newton-Schulz iterations. A kernel
[C_out,C_in,K,K] counts as a matrix [C_out, C_in*K*K]. PyTorch's own takes matrices only. Biases,
and kernels too thin to have directions, are left to Adam (Kingma and Ba, ICLR 2015).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

LEAST_SIDE = 8
"""Matrices thinner than this are Adam's."""
MOMENTUM = 0.95
ADAM_SHARE = 0.5
"""Adam's rate as a share of the other: biases are of the size of activations, not of kernels."""
ADAM_DECAYS = (0.9, 0.99)
ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's polynomial: singular values between 1e-3 and 1 come out between 0.7 and 1.2."""


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; a rate of 0.01 turns a kernel by a hundredth of its usual size.

    The usual size is a root mean square of 1/sqrt(C_in*K*K), so that one rate suits all widths.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-2) -> None:
        """Take parameters, or groups of them with rates of their own."""
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move = self._turn if has_directions(parameter) else self._adam
                    move(parameter, parameter.grad, group["lr"])
        return loss

    def _turn(self, parameter: nn.Parameter, gradient: Tensor, rate: float) -> None:
        momentum = self._kept(parameter, "momentum")
        momentum.lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(momentum, MOMENTUM).flatten(1)
        size = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
        parameter.add_(orthogonal(ahead).view_as(parameter), alpha=-rate * size)

    def _adam(self, parameter: nn.Parameter, gradient: Tensor, rate: float) -> None:
        mean, square = self._kept(parameter, "mean"), self._kept(parameter, "square")
        steps = self.state[parameter]["steps"] = self.state[parameter].get("steps", 0) + 1
        first, second = ADAM_DECAYS
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        deviation = (square / (1 - second**steps)).sqrt_().add_(1e-8)
        parameter.addcdiv_(mean / (1 - first**steps), deviation, value=-rate * ADAM_SHARE)

    def _kept(self, parameter: nn.Parameter, name: str) -> Tensor:
        """Return what is remembered of a parameter, zeros at first."""
        there = self.state[parameter]
        if name not in there:
            there[name] = torch.zeros_like(parameter)
        kept: Tensor = there[name]
        return kept


def has_directions(parameter: Tensor) -> bool:
    """Return whether a parameter counts as a matrix."""
    return parameter.ndim > 1 and min(parameter.shape[0], parameter[0].numel()) >= LEAST_SIDE


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix of orthonormal rows, or columns where it has fewer."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide.float() / (wide.float().norm() + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    near: Tensor = wide if matrix.shape[0] <= matrix.shape[1] else wide.T
    return near
