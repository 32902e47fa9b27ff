"""Defocus blur of a scene whose depth is known: a thin lens, layer by layer.

The generator of SYNDOF (Lee et al., "Deep Defocus Map Estimation Using Domain Adaptation", CVPR
2019) as CMOS uses it (Chen et al., "Better "CMOS" Produces Clearer Images", CVPR 2023): draw a
lens, turn depth into circles of confusion (CoC), blur and composite layers of equal CoC from far
to near with Gaussians of sigma = (CoC - 1) / 4. All of it works on display values, as theirs.

Depths and lens lengths are in millimetres, CoC and sigma in pixels of the image that is blurred.
Shape letters: H height, W width, C channels in BGR order.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import TrainError
from crispstream.core.pixels import Bytes, round_to_bytes

from .compositing import Floats, Indices, composite

Depths = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOCAL_MM = (50.0, 70.0, 85.0)
FOCAL_WEIGHTS = (0.1, 0.4, 0.4)
SENSOR_MM = 36.0
"""Width of the film frame that the image is thought to fill."""
NEAREST_FOCALS = 5.0
"""Nothing is nearer to the lens than so many focal lengths."""
FOCUS_SPREAD = 0.5
"""Standard deviation of the half-normal draw of the focus, as a share of the depths' ranks. That
it is half-normal and favours near depths is known of the generator; this width is our choice."""
LAYERS_WANTED = (200, 350)
DRAWS = 20
"""A lens is drawn again until the number of layers is as wanted, at most so often."""


@dataclass(frozen=True)
class DefocusRange:
    """How wide the blur may be: the side of the largest kernel, odd."""

    kernel_px: int = 21

    def __post_init__(self) -> None:
        """Refuse kernels without a middle."""
        if self.kernel_px < 3 or self.kernel_px % 2 == 0:
            raise ValueError(f"kernel_px is odd and at least 3, got {self.kernel_px}")

    @property
    def sigma_max(self) -> float:
        """Return the largest sigma: 5 for a kernel of 21 pixels, 15 for 61."""
        return float(sigma_of_coc(self.kernel_px))


NYUV2_RANGE = DefocusRange(21)
CITYSCAPES_RANGE = DefocusRange(61)


@dataclass(frozen=True)
class Lens:
    """A thin lens, focused. Its f-number is `focal_mm / aperture_mm`."""

    focal_mm: float
    focus_mm: float
    """Depth that is sharp."""
    aperture_mm: float
    """Diameter; 0 is a pinhole, sharp everywhere."""


@dataclass(frozen=True)
class Layers:
    """A scene cut by blur: pixels of one CoC on one side of the focus are one layer."""

    index_hw: Indices
    """The layer of each pixel, counted from far to near."""
    coc_px: Depths
    """CoC of each layer, rounded to 0.1."""
    in_front: Mask
    """Whether a layer is nearer than the focus."""
    lens: Lens

    def cut(self, part: tuple[slice, slice]) -> "Layers":
        """Return the layers that a part of the image has, for blurring no more than that."""
        there, index_hw = np.unique(self.index_hw[part], return_inverse=True)
        index_hw = index_hw.reshape(self.index_hw[part].shape)
        return Layers(index_hw, self.coc_px[there], self.in_front[there], self.lens)


def sigma_of_coc(coc_px: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the Gaussian's sigma for a CoC: (CoC - 1) / 4, and 0 up to a CoC of one pixel.

    >>> sigma_of_coc([0.5, 1, 21, 61]).tolist()
    [0.0, 0.0, 5.0, 15.0]
    """
    sigma: npt.NDArray[np.float64] = np.clip((np.asarray(coc_px, np.float64) - 1) / 4, 0, None)
    return sigma


def coc_of_depth(depth_mm: Depths, lens: Lens, width_px: int) -> Depths:
    """Return the CoC in pixels of points at `depth_mm`, for an image `width_px` wide.

    CoC = (pixels per mm) (v / z_f) A |z - z_f| / z, where v = f z_f / (z_f - f) is the distance
    of the image behind the lens and v / z_f its magnification.
    """
    image_mm = lens.focal_mm * lens.focus_mm / (lens.focus_mm - lens.focal_mm)
    per_mm = width_px / SENSOR_MM * (image_mm / lens.focus_mm) * lens.aperture_mm
    coc: Depths = per_mm * np.abs(depth_mm - lens.focus_mm) / depth_mm
    return coc


def lens_for(
    focal_mm: float, focus_mm: float, ends_mm: tuple[float, float], width_px: int, coc_px: float
) -> Lens:
    """Return the lens whose larger CoC at the two `ends_mm` of the scene is `coc_px`.

    A scene of a single depth is in focus whatever the aperture; it gets a pinhole.
    """
    wide = Lens(focal_mm, focus_mm, 1.0)
    largest = coc_of_depth(np.array(ends_mm), wide, width_px).max()
    return Lens(focal_mm, focus_mm, float(coc_px / largest) if largest else 0.0)


def fill_invalid(depth_hw: npt.NDArray[np.generic], valid_hw: Mask) -> Depths:
    """Give pixels without a depth that of the nearest pixel which has one.

    Raises:
        TrainError: if no pixel has one.
    """
    if not valid_hw.any():
        raise TrainError("no pixel has a valid depth; leave this image out")
    measured, holes = depth_hw.astype(np.float64), (~valid_hw).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(
        holes, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    depth_of = np.zeros(int(nearest.max()) + 1)
    depth_of[nearest[valid_hw]] = measured[valid_hw]
    filled: Depths = depth_of[nearest]
    return filled


def draw_layers(depth_hw: Depths, reach: DefocusRange, rng: np.random.Generator) -> Layers:
    """Draw a lens for a scene and cut it into layers.

    `depth_hw` has no holes. The focal length is drawn from three, the focus from the depths of
    the scene, near ones more often; the aperture makes the largest CoC `reach.kernel_px`. Drawn
    again, up to 20 times, until there are 200 to 350 layers.
    """
    distinct, place = np.unique(depth_hw, return_inverse=True)
    width_px = depth_hw.shape[1]
    for _ in range(DRAWS):
        lens, depths_mm = _draw_lens(distinct, width_px, reach, rng)
        tenths = np.rint(coc_of_depth(depths_mm, lens, width_px) * 10).astype(np.int64)
        signed = np.where(depths_mm < lens.focus_mm, -1, 1) * tenths
        # Behind the focus CoC grows with depth and in front with nearness: -signed is far to near.
        layers, layer_of = np.unique(-signed, return_inverse=True)
        if LAYERS_WANTED[0] <= len(layers) <= LAYERS_WANTED[1]:
            break
    index_hw = layer_of[place].reshape(depth_hw.shape)
    return Layers(index_hw, np.abs(layers) / 10, layers > 0, lens)


def _draw_lens(
    distinct_mm: Depths, width_px: int, reach: DefocusRange, rng: np.random.Generator
) -> tuple[Lens, Depths]:
    """Draw a lens for depths in rising order; return it and the depths, moved out of its way."""
    focal_weights = np.array(FOCAL_WEIGHTS) / sum(FOCAL_WEIGHTS)
    focal_mm = float(rng.choice(FOCAL_MM, p=focal_weights))
    depths_mm = distinct_mm + max(0.0, NEAREST_FOCALS * focal_mm - distinct_mm[0])
    rank = np.linspace(0, 1, len(depths_mm))
    weights = np.exp(-0.5 * (rank / FOCUS_SPREAD) ** 2)
    focus_mm = float(rng.choice(depths_mm, p=weights / weights.sum()))
    ends_mm = float(depths_mm[0]), float(depths_mm[-1])
    return lens_for(focal_mm, focus_mm, ends_mm, width_px, reach.kernel_px), depths_mm


def blur_by_depth(
    image_hwc: Bytes, depth_hw: Depths, reach: DefocusRange, rng: np.random.Generator
) -> tuple[Bytes, Floats]:
    """Return the image seen through a drawn lens, and its sigma map [H,W].

    `depth_hw` is in millimetres and has no holes (see `fill_invalid`).
    """
    return blur_layers(image_hwc, draw_layers(depth_hw, reach, rng), reach)


def blur_layers(image_hwc: Bytes, layers: Layers, reach: DefocusRange) -> tuple[Bytes, Floats]:
    """Return the image with its layers blurred, and its sigma map [H,W]."""
    sigmas = sigma_of_coc(layers.coc_px)
    blurred = composite(image_hwc, layers.index_hw, sigmas, layers.in_front, reach.kernel_px)
    return blurred, sigmas.astype(np.float32)[layers.index_hw]


def blur_evenly(
    image_hwc: Bytes, reach: DefocusRange, rng: np.random.Generator
) -> tuple[Bytes, Floats]:
    """Return the image blurred by one Gaussian everywhere, and its constant sigma map [H,W].

    The papers do not say how sigma is spread; here it is uniform from 0 to `reach.sigma_max`,
    in the steps of 0.025 that layers have.
    """
    tenths = int(rng.integers(10, reach.kernel_px * 10 + 1))
    sigma = float(sigma_of_coc(tenths / 10))
    sigma_hw = np.full(image_hwc.shape[:2], sigma, np.float32)
    if not sigma:
        return image_hwc.copy(), sigma_hw
    kernel = cv2.getGaussianKernel(reach.kernel_px, sigma, cv2.CV_32F)
    image = image_hwc.astype(np.float32)
    blurred = cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return round_to_bytes(np.asarray(blurred, np.float32)), sigma_hw
