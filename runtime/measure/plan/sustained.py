"""Which size and rate each model keeps up with on a device, by its roof."""

from collections.abc import Iterator, Sequence

from crispstream.core.bundle import Bundle
from crispstream.core.layers import LAYERS
from crispstream.core.pixels import padded_size
from crispstream.core.sizes import Size

from .record import Device, Sustained
from .roofline import plan_layers

SIZES: tuple[Size, ...] = ((320, 180), (480, 270), (640, 360), (960, 540))
"""Frames before they are enlarged: to 720p, 1080p, 1440p and 4K."""

PRECISIONS = {"gpu": ("fp16", "int8"), "cpu": ("fp32", "int8-cpu")}
"""Kind of device -> graphs that make sense on it."""

GPU_SHARE = 0.3
"""Of the roof that is expected on a GPU, an assumption: networks of 16 to 48 channels fill tensor
cores badly; 20 to 50 % of the roof is what is seen of such. A bench on the device replaces it."""


UNTOLD = (
    "Of networks without a shipped bundle, such as edge-m, only the planned one has rows: export "
    "one and give crispstream plan the path of its bundle."
)
"""What `sustained` cannot tell of."""


def expected_share(device: Device) -> float:
    """Return the share of the roof that the kit's networks are expected to reach on a device."""
    return 1.0 if device.measured else GPU_SHARE


def padded(bundle: Bundle, size: Size) -> Size:
    """Return (width, height) of frames of a size as a bundle's graphs take them."""
    height, width = padded_size(size[1], size[0], bundle.size_multiple)
    return width, height


def sustained(bundles: Sequence[Bundle], device: Device) -> tuple[Sustained, ...]:
    """Return what each bundle keeps up with: its graphs that fit the device, SIZES each.

    A bundle for frames of one size is told of for that size only; graphs without layers in their
    bundle are left out.

    Raises:
        BundleError: if a bundle's layers are damaged.
    """
    share = expected_share(device)
    rows = ((*row, roof_ms) for bundle in bundles for row, roof_ms in _roofs(bundle, device))
    return tuple(
        Sustained(model, precision, size, roof_ms, 1e3 / roof_ms, share * 1e3 / roof_ms)
        for model, precision, size, roof_ms in rows
    )


def _roofs(bundle: Bundle, device: Device) -> Iterator[tuple[tuple[str, str, Size], float]]:
    sizes = SIZES if bundle.frame_size is None else (bundle.frame_size,)
    for graph in bundle.graphs:
        if graph.precision not in PRECISIONS[device.kind] or LAYERS not in bundle.files:
            continue
        layers = bundle.layers_of(graph)
        for size in sizes:
            planned = plan_layers(layers, device, *padded(bundle, size))
            yield (
                (bundle.name, graph.precision, size),
                sum(layer.roof_ms for layer in planned),
            )
