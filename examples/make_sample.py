"""Make the sample clip: real camera motion, blurred as a slower shutter would have.

The source is a clip of 240 frames a second, each frame a sharp exposure of about 1/240 s. Seven
consecutive ones, added up, are one exposure of 7/240 s = 29 ms; every tenth start gives 24
exposures a second, so the shutter is open for seven tenths of each frame as in a dim room. The
middle frame of the seven is the sharp truth.

Light adds up in the sensor, before the camera's tone curve. The frames are therefore averaged in
linear light: through the inverse response of a GoPro 6 that is published with the REDS data set,
and back. (The official GOPRO training pairs with plain means of the stored bytes look duller: a
bright spot on a dark ground leaves a trail too faint. On this clip both agree to 36 to 43 dB.)
The response is not that of the very camera. It is stored as OpenCV stores one, [256, 1, channel]
with B first; taking it for RGB changes the result by a third of a grey level (56 dB), which no
pair could tell apart from rounding.

    python examples/make_sample.py CLIP --crf gopro6_inverse_crf.npy

Shape letters: H height, W width, 3 channels in BGR order.
"""

import argparse
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.metrics import psnr_db
from crispstream.core.pixels import SCALE, Bytes
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.colour import ToYuv, tag
from crispstream.runtime.stream.source import open_source
from crispstream.train.suite.response import Response, expose, load_response

DATA = Path("../shared/data")
CLIP = DATA / "video/gopro_GOPR0477_11_00_240fps_720p.mp4"
RESPONSE = DATA / "pairs/gopro6_inverse_crf.npy"

FRAMES_AVERAGED = 7
FRAMES_STEPPED = 10
SOURCE_FRAMES_PER_SECOND = 240
PAIR_AT = (2, 9, 16, 25)
"""Which exposures also become pairs of PNG files."""
PAIR_LR_HW = (64, 96)
H264_CRF = {"gopro-blur-320x180.mp4": 5, "gopro-sharp-1280x720.mp4": 12}

Exposure = tuple[Bytes, Bytes]
"""The blurred frame [H,W,3] at low resolution and its sharp one [4H,4W,3]."""


def exposures(clip: Path, response: Response) -> Iterator[Exposure]:
    """Give each blurred low-resolution frame of the clip with its sharp middle frame."""
    window: deque[Bytes] = deque(maxlen=FRAMES_AVERAGED)
    source = open_source(str(clip))
    for frame in source:
        window.append(frame.pixels_hwc)
        begun = frame.serial - FRAMES_AVERAGED + 1
        if begun >= 0 and begun % FRAMES_STEPPED == 0:
            yield downscale_x4(expose(window, response)), window[FRAMES_AVERAGED // 2]
    source.close()


def encode(path: Path, frames: Sequence[Bytes]) -> None:
    """Write H.264 in BT.709, limited range, tagged so that it decodes to the same colours."""
    colour = Colour("bt709", full_range=False)
    to_yuv = ToYuv(colour)
    rate = Fraction(SOURCE_FRAMES_PER_SECOND, FRAMES_STEPPED)
    options = {"crf": str(H264_CRF[path.name]), "preset": "veryslow"}
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate, options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        tag(stream.codec_context, colour)
        for serial, frame_hwc in enumerate(frames):
            picture = to_yuv(np.ascontiguousarray(frame_hwc))
            picture.pts, picture.time_base = serial, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def kept_db(path: Path, frames: Sequence[Bytes]) -> float:
    """Return the mean PSNR of the encoded file against what went in."""
    decoded = [frame.pixels_hwc for frame in open_source(str(path))]
    return float(np.mean([psnr_db(a, b) for a, b in zip(decoded, frames, strict=True)]))


def busiest(sharp_hwc: Bytes) -> tuple[int, int]:
    """Return row and column, on the low-resolution grid, of the crop with the most edges."""
    grey = cv2.cvtColor(sharp_hwc, cv2.COLOR_BGR2GRAY).astype(np.float32)
    edges = np.abs(cv2.Sobel(grey, -1, 1, 0)) + np.abs(cv2.Sobel(grey, -1, 0, 1))
    small = cv2.resize(edges, None, fx=1 / SCALE, fy=1 / SCALE, interpolation=cv2.INTER_AREA)
    rows, cols = PAIR_LR_HW
    total = cv2.integral(small)
    score = (
        total[rows:, cols:] - total[:-rows, cols:] - total[rows:, :-cols] + total[:-rows, :-cols]
    )
    row, col = np.unravel_index(int(score.argmax()), score.shape)
    return int(row), int(col)


def write_pair(folder: Path, number: int, blurred_hwc: Bytes, sharp_hwc: Bytes) -> None:
    """Cut the busiest piece out of both and write lr/NN.png and hr/NN.png."""
    (row, col), (rows, cols) = busiest(sharp_hwc), PAIR_LR_HW
    for name, scale, image in (("lr", 1, blurred_hwc), ("hr", SCALE, sharp_hwc)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        piece = image[scale * row : scale * (row + rows), scale * col : scale * (col + cols)]
        cv2.imwrite(
            str(folder / name / f"{number:02d}.png"), piece, [cv2.IMWRITE_PNG_COMPRESSION, 9]
        )


def main() -> None:
    """Make both clips and the pairs, and say what encoding them has cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", nargs="?", type=Path, default=CLIP, help="240 fps 720p clip")
    parser.add_argument("--crf", type=Path, default=RESPONSE, help="inverse camera response, .npy")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "media")
    chosen = parser.parse_args()
    pairs = list(exposures(chosen.video, load_response(chosen.crf)))
    blurred, sharp = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    chosen.output.mkdir(parents=True, exist_ok=True)
    for name, frames in zip(H264_CRF, (blurred, sharp), strict=True):
        path = chosen.output / name
        encode(path, frames)
        kept = kept_db(path, frames)
        print(f"{name}: {len(frames)} frames, {path.stat().st_size} bytes, keeps {kept:.1f} dB")
    for number, at in enumerate(PAIR_AT):
        write_pair(chosen.output / "pairs", number, *pairs[at])
    bicubic = np.mean([psnr_db(upscale_x4(a), b) for a, b in pairs])
    print(f"bicubic x4 of the unencoded frames against the truth: {bicubic:.2f} dB")


if __name__ == "__main__":
    main()
