"""Small pictures that look a little like the world: soft shapes and some texture."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt


def soft_picture(seed: int = 0, height: int = 200, width: int = 220) -> npt.NDArray[np.uint8]:
    """Return smoothed noise, stretched to the full range, [H,W,3] bytes."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2) + 2 * cv2.GaussianBlur(noise, (0, 0), 12)
    return cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def write_picture(path: Path, seed: int = 0, height: int = 200, width: int = 220) -> None:
    """Write `soft_picture` to an image file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), soft_picture(seed, height, width))
