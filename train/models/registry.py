"""The networks by name, and what all of them promise."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from crispstream.core.registry import Registry

MODELS: Registry[nn.Module] = Registry("network")

NO_MAPS: Mapping[str, Tensor] = MappingProxyType({})


class Outputs(NamedTuple):
    """What a network returns. Images are BGR in 0..1, not clamped."""

    hr: Tensor | None = None
    """The restored frame [B,3,4H,4W]; None from a network that only deblurs or estimates."""
    lr: Tensor | None = None
    """The sharp frame at its own size [B,3,H,W], where the network estimates it."""
    maps: Mapping[str, Tensor] = NO_MAPS
    """Further maps by name: what they are is said by the network that makes them."""

    def restored(self) -> Tensor:
        """Return `hr` of a network that restores.

        Raises:
            TypeError: if the network makes no restored frame.
        """
        if self.hr is None:
            raise TypeError("this network makes no restored frame")
        return self.hr


class Network(Protocol):
    """A network: BGR [B,3,H,W] in 0..1, H and W divisible by `size_multiple` -> `Outputs`.

    BGR everywhere, because that is what cameras, OpenCV and the byte graphs hand over; weights
    published for RGB are turned once, when they are imported. `maps` are further inputs by name:
    only a network that is conditioned on them reads them.
    """

    size_multiple: int
    halo_px: int
    """LR pixels around another that can reach what `hr` shows of it; 0 where the whole frame can:
    through means over it, attention, or windows that lie on a grid of the frame."""

    def __call__(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch."""
        ...


def _file_all() -> None:
    """Import every file of networks, which puts it into `MODELS`."""
    from . import cmos, cmsc, cnlrn, edge, edge_recurrent, gfn, gfn_ablations, ms2net, rrdb_sft  # noqa: F401


def build_network(name: str) -> nn.Module:
    """Return a fresh network.

    Raises:
        UsageError: if `name` is unknown; the message lists the known names.
    """
    _file_all()
    return MODELS.get(name)()


def network_names() -> list[str]:
    """Return the names of all networks, sorted."""
    _file_all()
    return MODELS.names()
