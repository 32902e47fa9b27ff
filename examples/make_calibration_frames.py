"""Make LR frames to calibrate the shipped models with, from sharp photographs and videos.

Each picture is blurred, reduced and made noisy as in training, at three exposures: a camera's
night is part of what INT8 ranges must hold. Sources that judge the shipped models are left out.

    python examples/make_calibration_frames.py ../shared/data/train ../shared/data/video -o build/lr
    crispstream data collect build/lr clip.mp4 --size 320x180 -o build/set
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from crispstream.core.pixels import Bytes
from crispstream.train.data.sharp import list_media, read_pictures
from crispstream.train.degrade.pipeline import Degradation
from crispstream.train.recipes.edge import HELD_OUT

SIZE = 1280, 720
EXPOSURES = (1.0, 0.4, 0.12)
"""Grey levels of a frame over those of its picture: day, dusk, night."""
FRAMES_PER_VIDEO = 6


def main() -> None:
    """Write a PNG file for each picture and exposure."""
    parser = argparse.ArgumentParser(description="make LR frames for calibration")
    parser.add_argument("data", type=Path, nargs="+", help="folders of photographs and videos")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for path in list_media(arguments.data, HELD_OUT):
        for number, picture in enumerate(read_pictures(path, FRAMES_PER_VIDEO)):
            exposure = EXPOSURES[int(rng.integers(len(EXPOSURES)))]
            frame = seen(picture, exposure, rng)
            cv2.imwrite(str(arguments.out / f"{path.stem}-{number}.png"), frame)


def seen(picture: Bytes, exposure: float, rng: np.random.Generator) -> Bytes:
    """Return a picture as a shaking 320x180 camera would see it.

    >>> seen(np.full((90, 160, 3), 200, np.uint8), 0.5, np.random.default_rng(0)).shape
    (180, 320, 3)
    """
    degradation = Degradation()
    margin = degradation.margin_px()
    small = cv2.resize(_wide(picture), SIZE, interpolation=cv2.INTER_AREA)
    dark = cv2.convertScaleAbs(small, alpha=exposure)
    framed = cv2.copyMakeBorder(dark, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
    return degradation.pair(np.asarray(framed, np.uint8), rng)[0]


def _wide(picture: Bytes) -> Bytes:
    """Return the middle 16:9 of a picture."""
    height, width, _ = picture.shape
    rows, cols = min(height, width * 9 // 16), min(width, height * 16 // 9)
    top, left = (height - rows) // 2, (width - cols) // 2
    return picture[top : top + rows, left : left + cols]


if __name__ == "__main__":
    main()
