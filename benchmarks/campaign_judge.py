"""A small fixed set to judge on before and after: pairs of PNG files, the same for every sitting.

Taken from the suite crisp-v1 where that is built: middles of a few samples of each of its parts of
single frames. Else from media that training leaves out, under the recipe's own degradation. The
figures say whether a sitting helped; what is published is measured on the whole suite.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.campaign_pack import png
from crispstream.core.errors import UsageError
from crispstream.core.files import write_atomically
from crispstream.core.pixels import SCALE
from crispstream.train.data.pool import PoolPlan
from crispstream.train.data.sharp import list_media
from crispstream.train.evaluate import Restore, Sample, evaluate, read_pairs, synthetic_samples

LR_PX = 64
"""Side of a frame, in LR pixels."""
PER_PART = 4
HELD_OUT = "held-out"
"""Name of the only part of a set that is made of media."""

WHOLE = ".whole"
"""Name of the file of a set that is written last."""

_SEED = 1


@dataclass(frozen=True)
class Gains:
    """Gain over bicubic in dB."""

    parts: Mapping[str, float]
    frames: int

    @property
    def mean_db(self) -> float:
        """The mean of the parts."""
        return mean(self.parts.values())


def judge_folder(target: Path, suite: Path | None, media: Sequence[Path], plan: PoolPlan) -> Path:
    """Return a folder of lr/ and hr/ to judge on, made if it is not there yet.

    Raises:
        UsageError: if there is neither a suite nor media that `plan` leaves out.
    """
    if (target / WHOLE).exists():
        return target
    samples = list(suite_samples(suite) if suite else held_out_samples(media, plan))
    if not samples:
        raise UsageError(
            "there is nothing to judge on: no suite is named, and none of the media is of a source "
            f"that training leaves out ({', '.join(plan.exclude) or 'none is named'}); build the "
            "suite and name it with --suite"
        )
    for side in ("lr", "hr"):
        (target / side).mkdir(parents=True, exist_ok=True)
        for sample in samples:
            write_atomically(target / side / f"{sample.name}.png", png(getattr(sample, side)))
    (target / WHOLE).touch()
    return target


def suite_samples(suite: Path) -> Iterator[Sample]:
    """Yield the middles of a few samples of each part: `PART/lr/`, `PART/hr/` below `suite`.

    Raises:
        UsageError: if the suite is not there.
    """
    parts = [folder for folder in sorted(suite.glob("*")) if (folder / "hr").is_dir()]
    if not parts:
        raise UsageError(f"'{suite}' holds no part with lr/ and hr/; build the suite first")
    for folder in parts:
        yield from _few(folder.name, list(read_pairs(folder)))


def held_out_samples(media: Sequence[Path], plan: PoolPlan) -> Iterator[Sample]:
    """Yield middles of the pictures that a pool of `plan` would leave out, degraded as its own."""
    files = [
        path
        for path in list_media(media)
        if any(fnmatch(path.name, shape) for shape in plan.exclude)
    ]
    pictures = [path for path in files if path.parent.name not in ("blur", "sharp")]
    chosen = [pictures[number] for number in _spread(len(pictures), 4 * PER_PART)]
    samples = list(synthetic_samples(chosen, plan.degradation, _SEED))
    yield from _few(HELD_OUT, samples, 4 * PER_PART)


def _few(part: str, samples: Sequence[Sample], count: int = PER_PART) -> Iterator[Sample]:
    for number, index in enumerate(_spread(len(samples), count)):
        yield middle(f"{part}.{number:02d}", samples[index])


def _spread(there: int, count: int) -> list[int]:
    """Return at most `count` numbers below `there`, evenly spread.

    >>> _spread(10, 4), _spread(2, 4)
    ([1, 3, 6, 8], [0, 1])
    """
    taken = min(there, count)
    return [int((number + 0.5) * there / taken) for number in range(taken)]


def middle(name: str, sample: Sample) -> Sample:
    """Return the middle of a sample, `LR_PX` a side or less, under another name."""
    top, left = (max(0, (n - LR_PX) // 2) for n in sample.lr.shape[:2])
    lr = sample.lr[top : top + LR_PX, left : left + LR_PX]
    rows, cols = (SCALE * n for n in lr.shape[:2])
    hr = sample.hr[SCALE * top : SCALE * top + rows, SCALE * left : SCALE * left + cols]
    return Sample(name, np.ascontiguousarray(lr), np.ascontiguousarray(hr))


def gains(restore: Restore, samples: Iterable[Sample]) -> Gains:
    """Judge on the samples; their parts are what their names begin with.

    Raises:
        UsageError: if there are none.
    """
    parts: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        parts[sample.name.split(".", 1)[0]].append(sample)
    if not parts:
        raise UsageError("there is nothing to judge on; build the suite and name it with --suite")
    return Gains(
        {part: _gain_db(restore, few) for part, few in parts.items()},
        sum(len(few) for few in parts.values()),
    )


def _gain_db(restore: Restore, samples: Sequence[Sample]) -> float:
    return round(evaluate({"it": restore}, samples)[0].gain_db, 3)
