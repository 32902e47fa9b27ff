"""PSNR and SSIM of the shipped models on sources that none of them has learnt from.

Synthetic: stills held out of training, blurred along random camera paths, then noise and codec.
Real: averages of 7, 11 and 15 frames of a 240 fps clip (GOPR0477) and two official GOPRO pairs.
Both against bicubic on the same frames; on RGB bytes, no crop, mean over frames. Needs the data
folder (not part of the project); without it there is nothing to measure.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from common import MODELS, Limit, arguments, publish, result

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.pixels import Bytes
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.source import open_source
from crispstream.train.data.sharp import IMAGES, list_media
from crispstream.train.degrade.camera import CameraRange
from crispstream.train.degrade.motion import MotionRange
from crispstream.train.degrade.pipeline import Degradation
from crispstream.train.evaluate import Restore, Sample, evaluate, read_samples, synthetic_samples
from crispstream.train.recipes.edge import HELD_OUT
from examples.make_sample import expose, load_response

SYNTHETIC_AT_LEAST_DB = {"edge-n": 0.5, "edge-s": 0.8}
REAL_AT_LEAST_DB = 0.3
FRAMES_AVERAGED = (7, 11, 15)
FRAMES_STEPPED = 24
YARDSTICK = Degradation(
    MotionRange(roll_rad=0.012),
    CameraRange((1e-5, 5e-4), (1e-4, 2e-3), 0.2, (70, 95), 0.2, (14, 25)),
    gamma=(2.2, 2.2),
    soft_share=0.0,
)
"""Written out, so that the figures do not move when the recipe's own ranges do."""


def held_out_stills(data: Path) -> list[Path]:
    """Return the stills that training leaves out."""
    stills = [path for path in list_media([data / "train"]) if path.suffix.lower() in IMAGES]
    return [path for path in stills if any(fnmatch(path.name, shape) for shape in HELD_OUT)]


def synthetic(data: Path, longest_px: float, still_share: float) -> Iterator[Sample]:
    """Give the held-out stills under motion up to `longest_px` of the sharp image."""
    motion = replace(YARDSTICK.motion, longest_px=longest_px, still_share=still_share)
    yield from synthetic_samples(held_out_stills(data), replace(YARDSTICK, motion=motion), seed=1)


def real(data: Path) -> Iterator[Sample]:
    """Give frames that the world blurred."""
    pairs = (sample for sample in read_samples(data / "pairs/gopro") if "GOPR0477" in sample.name)
    yield from pairs
    response = load_response(data / "pairs/gopro6_inverse_crf.npy")
    source = open_source(str(data / "video/gopro_GOPR0477_11_00_240fps_720p.mp4"))
    frames: list[Bytes] = [frame.pixels_hwc.copy() for frame in source]
    source.close()
    for count in FRAMES_AVERAGED:
        for start in range(0, len(frames) - count + 1, FRAMES_STEPPED):
            window = frames[start : start + count]
            lr = downscale_x4(expose(window, response))
            yield Sample(f"{count} frames from {start}", lr, window[count // 2])


def open_fp32(name: str) -> Restorer:
    """Open a model's fp32 graph: the weights are judged, int8.py judges the arithmetic."""
    return Restorer.open(name, precision="fp32")


def restored_copy(restorer: Restorer, frame_hwc: Bytes) -> Bytes:
    """Return an array of its own: the restorer reuses its buffers."""
    return restorer.restore(frame_hwc).copy()


def main() -> None:
    """Judge every shipped model on every set."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", action="append", help="a bundle instead of the shipped ones")
    chosen = parser.parse_args()
    sets = {
        "synthetic": partial(synthetic, chosen.data, 32.0, 0.12),
        "synthetic_short": partial(synthetic, chosen.data, 16.0, 0.0),
        "synthetic_long": partial(synthetic, chosen.data, 48.0, 0.0),
        "still": partial(synthetic, chosen.data, 0.0, 1.0),
        "real": partial(real, chosen.data),
    }
    figures: dict[str, Any] = {}
    limits: dict[str, Limit] = {}
    with ExitStack() as stack:
        names = chosen.model or list(MODELS)
        models: dict[str, Restore] = {"bicubic": upscale_x4}
        for name in names:
            models[name] = partial(restored_copy, stack.enter_context(open_fp32(name)))
        for title, samples in sets.items():
            scores = {score.model: score for score in evaluate(models, samples())}
            figures[title] = {name: asdict(score) for name, score in scores.items()}
            for name in set(names) & set(MODELS):
                limits |= _limits(title, name, scores[name].gain_db)
    settings = {
        "held_out_stills": [path.name for path in held_out_stills(chosen.data)],
        "frames_averaged": FRAMES_AVERAGED,
        "degradation": asdict(YARDSTICK),
    }
    publish(result("quality", settings=settings, figures=figures, limits=limits), chosen)


def _limits(title: str, name: str, gain_db: float) -> dict[str, Limit]:
    if title == "synthetic":
        at_least = SYNTHETIC_AT_LEAST_DB[name]
    elif title == "real":
        at_least = REAL_AT_LEAST_DB
    else:
        return {}
    return {f"{name}_{title}_gain_db": Limit(gain_db, at_least=at_least)}


if __name__ == "__main__":
    main()
