"""Bringing an untrained network into range, so that its proof says something.

The values of an untrained network may be thousands of grey levels, where every byte is 0 or 255,
or next to nothing beside an interpolated frame: two such graphs agree whatever their weights are.
So the proof is made on a copy whose last convolution is scaled and shifted, and the tensors of
that one convolution are put back into the proved graph.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crispstream.core.errors import ExportError

Levels = npt.NDArray[np.floating[Any]]

MEAN, SPREAD = 0.5, 0.3
"""Mean and standard deviation that a scaled copy gives to a frame of 0..1."""

INNER_SHARE = (0.01, 0.99)
"""Share of bytes within 1..254 that a proof needs, so that clipping hides little and is used."""

SMALLEST_SPREAD = 0.01
"""Standard deviation that the last convolution must contribute to be seen in a proof."""


@dataclass(frozen=True)
class Scaling:
    """What is done to the copy's last convolution: w -> w * factor, b -> b * factor + shift."""

    conv: str
    factor: float
    shift: float

    def applied(self, network: nn.Module) -> nn.Module:
        """Return a scaled copy of `network`."""
        copied = copy.deepcopy(network)
        conv = copied.get_submodule(self.conv)
        with torch.no_grad():
            for name, parameter in conv.named_parameters(recurse=False):
                parameter.mul_(self.factor).add_(self.shift if name == "bias" else 0.0)
        return copied

    def as_certificate(self) -> dict[str, Any]:
        """Return what certificate.json keeps."""
        return asdict(self)


def scaling_for(
    network: nn.Module, conv: str, restored: Callable[[nn.Module], Tensor]
) -> Scaling | None:
    """Return how to bring the last convolution `conv` into range; None if it is in range.

    `restored` runs a network on a check frame and returns its frame in 0..1. That is affine in
    the convolution's result: a base, where there is one, plus what the convolution contributes.
    """
    whole = restored(network)
    base = restored(Scaling(conv, 0.0, 0.0).applied(network))
    contributed = whole - base
    spread = float(contributed.std())
    if spread >= SMALLEST_SPREAD and in_range(inner_share([_levels(whole)])):
        return None
    if not spread > 0:
        raise ExportError(
            f"the last convolution '{conv}' contributes the same value everywhere or none that is "
            "a number, so nothing can be proved with these weights; train the network further"
        )
    factor = SPREAD / spread
    unit = float((restored(Scaling(conv, 0.0, 1.0).applied(network)) - base).mean())
    missing = MEAN - float(base.mean()) - factor * float(contributed.mean())
    return Scaling(conv, factor, missing / unit if unit else 0.0)


def _levels(restored: Tensor) -> Levels:
    levels: Levels = (restored * 255 + 0.5).numpy()
    return levels


def inner_share(levels: Sequence[Levels]) -> float:
    """Return the share of grey levels + 1/2 whose byte is within 1..254.

    >>> inner_share([np.array([-3.0, 0.9, 1.0, 254.9, 255.0, 300.0])])
    0.3333333333333333
    """
    inside = sum(int(((one >= 1) & (one < 255)).sum()) for one in levels)
    return inside / sum(one.size for one in levels)


def in_range(share: float) -> bool:
    """Return whether a proof on bytes with this share within 1..254 says something."""
    return INNER_SHARE[0] <= share <= INNER_SHARE[1]


def check_range(share: float, scaling: Scaling | None) -> None:
    """Raise ExportError if the bytes of a proof are nearly all black or white, or none is."""
    if in_range(share):
        return
    done = "unscaled" if scaling is None else f"with '{scaling.conv}' x {scaling.factor:.3g}"
    raise ExportError(
        f"{share:.2%} of the bytes of the proof lie within 1 to 254 ({done}), expected "
        f"{INNER_SHARE[0]:.0%} to {INNER_SHARE[1]:.0%}; give other check frames with --frames, or "
        "train the network further"
    )
