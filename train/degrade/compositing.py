"""Putting blurred layers of a scene over each other, from far to near.

A layer is the part of an image that is blurred by one Gaussian. Its colours and its mask are
blurred together and laid over what is there (Porter and Duff, "Compositing Digital Images",
SIGGRAPH 1984; colours premultiplied); at the end colours are divided by the accumulated mask.

Shape letters: H height, W width, C channels in BGR order.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import Bytes, round_to_bytes

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

LEAST_MASK = 1e-4
"""Blurred masks below this are taken as 0."""
FILL_REACH = 10.0
"""Holes are filled in wholly where a tenth of the kernel or more meets colours."""
FILL_STEPS = (1 / 8, 1 / 4, 1 / 2, 1)
"""Gaussians that holes are filled with, as shares of the widest blur in front of the focus."""

Box = tuple[int, int, int, int]
"""First and last row, first and last column."""


def composite(
    image_hwc: Bytes,
    index_hw: Indices,
    sigmas: npt.NDArray[np.float64],
    in_front: npt.NDArray[np.bool_],
    kernel_px: int,
) -> Bytes:
    """Blur each layer and put it over those behind it; return bytes [H,W,3].

    `index_hw` gives each pixel its layer, counted from far to near; each layer has a pixel at
    least. `sigmas` are their Gaussians in pixels, 0 is sharp, in kernels of `kernel_px`, odd.
    `in_front` marks layers nearer than the focus: they come last.
    """
    margin = kernel_px // 2
    colours = np.concatenate([image_hwc, np.ones_like(image_hwc[..., :1])], axis=2)
    scene = _mirrored(colours.astype(np.float32), margin)
    index = _mirrored(index_hw, margin)
    stack = _Stack(scene, index, _boxes(index), sigmas, kernel_px)
    canvas = np.zeros_like(scene)
    for layer in np.flatnonzero(~in_front).tolist():
        _put_over(canvas[stack.spot(layer)], stack.blurred(scene, layer))
    _put_in_front(canvas, stack, np.flatnonzero(in_front).tolist())
    inside = canvas[margin:-margin, margin:-margin]
    return round_to_bytes(inside[..., :3] / np.maximum(inside[..., 3:], LEAST_MASK))


def _put_over(canvas: Floats, layer: Floats) -> None:
    """Lay a premultiplied layer [h,w,4] over the canvas, in place."""
    canvas *= 1 - layer[..., 3:]
    canvas += layer


def _put_in_front(canvas: Floats, stack: "_Stack", front: list[int]) -> None:
    """Lay the layers in front of the focus over the canvas, in place, from far to near.

    Their soft edges let the background shine through that they hide, so it is filled in first.
    A slanted surface is many thin layers, none opaque, and what was filled in must not shine
    through its middle: a layer's opacity is its mask as a share of what nearer layers leave free,
    which adds up to the mask of the whole surface.
    """
    widest = max((float(stack.sigmas[layer]) for layer in front), default=0.0)
    if widest:
        _fill_holes(canvas, widest, stack.kernel_px)
    nearer = np.zeros_like(canvas[..., 3:])
    for layer in front:
        nearer[stack.spot(layer)] += stack.blurred(stack.scene[..., 3:], layer)
    for layer in front:
        spot = stack.spot(layer)
        blurred = stack.blurred(stack.scene, layer)
        mask = blurred[..., 3:]
        nearer[spot] -= mask
        opaque = np.minimum(mask / np.maximum(1 - nearer[spot], LEAST_MASK), 1)
        blurred *= opaque / np.maximum(mask, LEAST_MASK)
        _put_over(canvas[spot], blurred)


def _fill_holes(canvas: Floats, sigma: float, kernel_px: int) -> None:
    """Spread the canvas's colours to where it has none, in place, as far as `sigma` reaches.

    A normalised convolution (Knutsson and Westin, CVPR 1993): the mean of the colours around,
    weighted by a Gaussian and by how much each is there; small Gaussians first, for the nearest
    colours count most.
    """
    for part in FILL_STEPS:
        around = _convolved(canvas, _taps(sigma * part, kernel_px))
        reached = np.minimum(1, FILL_REACH * around[..., 3:])
        missing = (1 - canvas[..., 3:]) * reached
        canvas += missing / np.maximum(around[..., 3:], LEAST_MASK) * around


@dataclass(frozen=True)
class _Stack:
    """The layers of a padded scene, blurred one by one, each where it reaches and no further."""

    scene: Floats
    """Colours and a mask of ones, [H,W,4]."""
    index: Indices
    boxes: list[Box]
    sigmas: npt.NDArray[np.float64]
    kernel_px: int

    def spot(self, layer: int) -> tuple[slice, slice]:
        """Return where the blurred layer is: its box, and around it half a kernel."""
        top, bottom, left, right = self.boxes[layer]
        margin = self.kernel_px // 2 if self.sigmas[layer] else 0
        rows, cols = self.index.shape
        return (
            slice(max(0, top - margin), min(rows, bottom + margin + 1)),
            slice(max(0, left - margin), min(cols, right + margin + 1)),
        )

    def blurred(self, image: Floats, layer: int) -> Floats:
        """Return the layer of an image whose last channel is the mask, premultiplied."""
        spot, sigma = self.spot(layer), float(self.sigmas[layer])
        part = np.where((self.index[spot] == layer)[..., None], image[spot], np.float32(0))
        if sigma:
            part = _convolved(part, _taps(sigma, self.kernel_px))
            part[part[..., -1] < LEAST_MASK] = 0
        return part


def _convolved(image_hwc: Floats, kernel: Floats) -> Floats:
    """Convolve with zeros outside: a mask ends where its box ends."""
    blurred = cv2.sepFilter2D(image_hwc, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, np.float32).reshape(image_hwc.shape)


def _taps(sigma: float, kernel_px: int) -> Floats:
    """Return the taps of a Gaussian; those beyond five sigma, under 4e-6, are left out."""
    taps = min(kernel_px, 2 * int(np.ceil(5 * sigma)) + 1)
    return np.asarray(cv2.getGaussianKernel(taps, sigma, cv2.CV_32F), np.float32)


def _mirrored(image: npt.NDArray[Any], margin: int) -> npt.NDArray[Any]:
    """Mirror the image about its outer edges: blur sees the world go on behind them."""
    edge = ((margin, margin), (margin, margin), *[(0, 0)] * (image.ndim - 2))
    return np.pad(image, edge, mode="symmetric")


def _boxes(index_hw: Indices) -> list[Box]:
    """Return the box around each layer, layers in their order."""
    order = np.argsort(index_hw, axis=None, kind="stable")
    _, starts = np.unique(index_hw.ravel()[order], return_index=True)
    rows, cols = np.divmod(order, index_hw.shape[1])
    edges = [
        edge.reduceat(along, starts).tolist()
        for along in (rows, cols)
        for edge in (np.minimum, np.maximum)
    ]
    return list(zip(*edges, strict=True))
