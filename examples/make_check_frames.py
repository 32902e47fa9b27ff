"""Make the LR frames of export/frames: what exports and engines are checked on.

Four frames of 320x180 from sources that no shipped weight has learnt from, see
export/frames/README.md for their licences.

    python examples/make_check_frames.py --data ../shared/data
"""

import argparse
from pathlib import Path

import av
import cv2
import numpy as np

from crispstream.core.bicubic import downscale_x4
from crispstream.core.pixels import Bytes
from crispstream.train.degrade.pipeline import Degradation

SIZE = 1280, 720


def main() -> None:
    """Write the four frames."""
    parser = argparse.ArgumentParser(description="make the LR frames of export/frames")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("export/frames"))
    arguments = parser.parse_args()
    data: Path = arguments.data
    gopro = cv2.imread(str(data / "pairs/gopro/blur/GOPR0477_11_00_f659_n8.png"))
    drone = cv2.imread(str(data / "train/stills/brighton_dji_0031.jpg"))
    frames = {
        "gopro": downscale_x4(np.asarray(gopro, np.uint8)),
        "drone": blurred(np.asarray(drone, np.uint8), seed=1),
        "dog": blurred(video_frame(data / "video/sam2_dog_720p30.mp4", 100), seed=2),
        "road": blurred(video_frame(data / "video/dashcam_carnd_720p25.mp4", 20), seed=3),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        cv2.imwrite(str(arguments.out / f"{name}.png"), frame, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def blurred(picture: Bytes, seed: int) -> Bytes:
    """Return a picture as a shaking 320x180 camera would see it."""
    degradation = Degradation()
    margin = degradation.margin_px()
    small = cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA)
    wide = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
    return degradation.pair(np.asarray(wide, np.uint8), np.random.default_rng(seed))[0]


def video_frame(path: Path, number: int) -> Bytes:
    """Return one frame of a video."""
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    raise SystemExit(f"{path} has fewer than {number + 1} frames")


if __name__ == "__main__":
    main()
