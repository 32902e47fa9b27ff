"""Whether scene cuts are found, all of them and nothing else, on shots of real clips put together.

No clip of the data folder has a cut in it. Each is looked at alone, alone under what light and
hands do to a camera, and in shots that follow each other at random. Needs the data folder.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import Limit, arguments, median_and_range, publish, result

from crispstream.core.pixels import Bytes
from crispstream.runtime.stream.cut import CutDetector
from crispstream.runtime.stream.source import open_source

WIDTH, HEIGHT = 320, 180
SHOT_FRAMES = (8, 40)
SHOTS = 10
AT_MOST_MS = 0.1
_LOOKS = 1000

Change = Callable[[Bytes, int, np.random.Generator], Bytes]


def clip(path: Path) -> list[Bytes]:
    """Return the frames of a clip at WIDTH x HEIGHT."""
    source = open_source(str(path))
    try:
        return [small(frame.pixels_hwc) for frame in source]
    finally:
        source.close()


def small(frame_hwc: Bytes) -> Bytes:
    """Return a frame at WIDTH x HEIGHT."""
    out_hwc = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    cv2.resize(frame_hwc, (WIDTH, HEIGHT), out_hwc, interpolation=cv2.INTER_AREA)
    return out_hwc


def cuts(frames: Sequence[Bytes]) -> list[int]:
    """Return the numbers of the frames that are told to be cuts."""
    is_cut = CutDetector()
    return [number for number, frame_hwc in enumerate(frames) if is_cut(frame_hwc)]


def _lit(frame_hwc: Bytes, gain: float, offset: float = 0.0) -> Bytes:
    lit: Bytes = np.clip(gain * frame_hwc.astype(np.float32) + offset, 0, 255).astype(np.uint8)
    return lit


def _shaken(frame_hwc: Bytes, _at: int, rng: np.random.Generator) -> Bytes:
    x, y = rng.integers(0, 25), rng.integers(0, 17)
    return frame_hwc[y : y + HEIGHT - 16, x : x + WIDTH - 24]


CHANGES: dict[str, Change] = {
    "flicker": lambda frame, _, rng: _lit(frame, rng.uniform(0.5, 1.6)),
    "exposure_steps": lambda frame, at, _: _lit(frame, 0.35, 5) if at // 25 % 2 else frame,
    "fades_to_black": lambda frame, at, _: _lit(frame, abs(np.cos(at * np.pi / 30))),
    "flashes": lambda frame, at, _: _lit(frame, 2.0, 60) if at % 20 == 10 else frame,
    "white_flashes": lambda frame, at, _: _lit(frame, 0, 255) if at % 20 == 10 else frame,
    "shake_of_24x16_px": _shaken,
}


def shots(
    clips: Sequence[Sequence[Bytes]], rng: np.random.Generator
) -> tuple[list[Bytes], list[int]]:
    """Return the frames of shots, no two of one clip in a row, and where all but one begin."""
    frames: list[Bytes] = []
    starts, last = [], -1
    for _ in range(SHOTS):
        index = int(rng.choice([i for i in range(len(clips)) if i != last]))
        length = min(int(rng.integers(*SHOT_FRAMES)), len(clips[index]))
        begin = int(rng.integers(0, len(clips[index]) - length + 1))
        starts.append(len(frames))
        frames += clips[index][begin : begin + length]
        last = index
    return frames, starts[1:]


def joined(clips: Sequence[Sequence[Bytes]], sequences: int) -> dict[str, int]:
    """Count cuts in random sequences of shots: those there are, those found, and others told."""
    rng = np.random.default_rng(0)
    counts = {"cuts": 0, "found": 0, "told_without_one": 0}
    for _ in range(sequences):
        frames, starts = shots(clips, rng)
        told = set(cuts(frames))
        counts["cuts"] += len(starts)
        counts["found"] += len(told & set(starts))
        counts["told_without_one"] += len(told - set(starts))
    return counts


def changed(clips: Sequence[Sequence[Bytes]], change: Change) -> int:
    """Return how many cuts are told of clips under a change; there are none."""
    rng = np.random.default_rng(0)
    return sum(
        len(cuts([change(frame, at, rng) for at, frame in enumerate(frames)])) for frames in clips
    )


def look_ms(frame_hwc: Bytes) -> dict[str, float]:
    """Return what a look at a frame takes."""
    is_cut = CutDetector()
    taken: list[float] = []
    for _ in range(_LOOKS):
        begun = time.perf_counter()
        is_cut(frame_hwc)
        taken.append(1000 * (time.perf_counter() - begun))
    return median_and_range(taken)


def main() -> None:
    """Look at all clips."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sequences", type=int, default=100)
    chosen = parser.parse_args()
    paths = sorted((chosen.data / "video").glob("*.mp4"))
    if len(paths) < 2:
        parser.error(f"there are no clips in {chosen.data / 'video'}; name the data folder: --data")
    clips = [clip(path) for path in paths]
    shown: dict[str, Any] = {"frames_looked_at": sum(map(len, clips))}
    inside = sum(len(cuts(frames)) for frames in clips)
    shown["told_inside_clips"] = inside
    for step in (2, 3):
        thinned = sum(len(cuts(frames[::step])) for frames in clips)
        shown[f"told_inside_clips_of_every_{step}th_frame"] = thinned
    shown |= {f"told_under_{name}": changed(clips, change) for name, change in CHANGES.items()}
    shown["shots_put_together"] = counts = joined(clips, chosen.sequences)
    shown["look_ms"] = timed = look_ms(clips[0][0])
    limits = {
        "found_of_cuts": Limit(counts["found"] / counts["cuts"], at_least=1.0),
        "told_without_one": Limit(counts["told_without_one"] + inside, 0),
        "look_ms": Limit(timed["median"], AT_MOST_MS),
    }
    settings = {"clips": [path.name for path in paths], "sequences": chosen.sequences}
    publish(result("scene_cuts", settings=settings, figures=shown, limits=limits), chosen)


if __name__ == "__main__":
    main()
