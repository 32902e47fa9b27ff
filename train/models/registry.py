"""The networks by name, and what all of them promise."""

from typing import Protocol

from torch import Tensor, nn

from crispstream.core.registry import Registry

MODELS: Registry[nn.Module] = Registry("network")


class Restoring(Protocol):
    """A network that restores: BGR [B,3,H,W] in 0..1 -> BGR [B,3,4H,4W], not clamped.

    BGR everywhere, because that is what cameras, OpenCV and the byte graphs hand over; weights
    published for RGB are turned once, when they are imported.
    """

    size_multiple: int
    halo_px: int

    def __call__(self, x_bchw: Tensor) -> Tensor:
        """Restore a batch."""
        ...


def build_network(name: str) -> nn.Module:
    """Return a fresh network.

    Raises:
        UsageError: if `name` is unknown; the message lists the known names.
    """
    from . import edge  # noqa: F401  (filing the family under its names)

    return MODELS.get(name)()
