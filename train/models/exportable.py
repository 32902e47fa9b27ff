"""What the published networks need to become static graphs: plain sizes, parts kept in fp32.

They are exported at one frame size, so that token counts, pads and sampling grids are constants.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

LOW_PRECISIONS = (torch.float16, torch.bfloat16)


@contextmanager
def as_constants() -> Iterator[None]:
    """Let a trace take Python numbers and NumPy arrays as constants, which it else warns of."""
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield


def plain_size(x_bchw: Tensor) -> tuple[int, int]:
    """Return (H, W) as plain numbers, in a trace too.

    >>> plain_size(torch.zeros(1, 3, 18, 32))
    (18, 32)
    """
    with as_constants():
        return int(x_bchw.shape[-2]), int(x_bchw.shape[-1])


class KeepsFp32(nn.Module):
    """A module whose weights stay as they are when its network is turned to half precision.

    Moves to other devices and to float64 go through.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "KeepsFp32":
        """Do what `.half()`, `.to()` and `.cuda()` ask, all but the change to a half type."""

        def kept(tensor: Tensor) -> Tensor:
            asked = fn(tensor)
            narrowed = asked.dtype in LOW_PRECISIONS
            return tensor.to(asked.device) if narrowed else asked

        super()._apply(kept, recurse)  # type: ignore[no-untyped-call]
        return self

    def widened(self, x: Tensor) -> Tensor:
        """Return `x` in the type of the weights."""
        return cast(x, next(self.parameters()).dtype)


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return `x` as `dtype`; no node in a graph where it is that already."""
    return x if x.dtype == dtype else x.to(dtype)


def constant(values: npt.NDArray[np.float64 | np.int64], like: Tensor) -> Tensor:
    """Return `values` on the device of `like`: fractions in float64 if it is, else in float32."""
    if values.dtype == np.float64 and like.dtype != torch.float64:
        values = values.astype(np.float32)
    with as_constants():
        tensor = torch.from_numpy(values)
    return tensor if like.device == tensor.device else tensor.to(like.device)
