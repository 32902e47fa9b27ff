"""Judging as CMOS was: the groups of a set with maps of blur and labels beside each frame.

Chen et al., "Better "CMOS" Produces Clearer Images", CVPR 2023. Restored frames on luma without
crop, maps of sigma as a share of the largest, labels by the mean IoU over a whole group; the mean
of the five groups. A split without groups, as Cityscapes' val, is one. Needs no torch by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import UsageError
from crispstream.core.metrics import (
    CONVENTIONS,
    MeanIou,
    mean_of,
    psnr_db,
    sigma_psnr_db,
    sigma_ssim,
)
from crispstream.core.pixels import Bytes

from .data.bsr import GROUPS, read_group
from .data.bsr_layouts import CITYSCAPES, NYUV2, Layout, read_map
from .evaluate import (
    Row,
    Sample,
    Score,
    built_kind,
    check_whole,
    is_bsr,
    judged,
    score_of,
)

CMOS = CONVENTIONS["cmos"]
LAYOUTS = {layout.kind: layout for layout in (NYUV2, CITYSCAPES)}

Map = npt.NDArray[Any]
"""[4H,4W] of an LR frame [H,W,3]."""


class Answer(NamedTuple):
    """What a model says about a frame."""

    restored: Bytes | None = None
    """[4H,4W,3]; None from an estimator of maps."""
    sigma: Map | None = None
    """Sigma of the blur in pixels of the restored frame."""
    labels: Map | None = None
    """Class of each pixel."""
    true_maps: bool = False
    """Whether the model was told blur and labels: its frame is then an upper bound."""


Answering = Callable[[Bytes, Mapping[str, Map]], Answer]
"""An LR frame and its true maps, `sigma` and `labels`, which only some models may read."""


@dataclass(frozen=True)
class MapsScore:
    """How well a model knows blur and labels."""

    frames: int
    sigma_psnr_db: float
    sigma_ssim: float
    mean_iou: float | None
    """0 to 1; None where no pixel has a label, as in the test split of Cityscapes."""


@dataclass(frozen=True)
class Verdict:
    """What there is to say about one model."""

    restored: Score | None
    maps: MapsScore | None
    true_maps: bool = False
    """Whether the model was told the true maps."""


@dataclass
class _Group:
    """One model's figures on one group."""

    rows: list[Row] = field(default_factory=list)
    sigmas: list[tuple[float, float]] = field(default_factory=list)
    iou: MeanIou = field(default_factory=MeanIou)
    true_maps: bool = False


def bsr_split(folder: Path) -> Path | None:
    """Return the folder that holds `GT` and `Group1` or `LRx4`: `folder`, its `test`, or None."""
    return next((place for place in (folder, folder / "test") if is_bsr(place)), None)


def data_set_of(split: Path) -> Layout:
    """Return which of the two data sets a split is of, by its manifest or by its labels.

    A published set has no manifest; labels of NYUv2 are 0 to 40, of Cityscapes 0 to 18 and 255.

    Raises:
        UsageError: if the labels do not say.
        TrainError: if one cannot be read.
    """
    kind = built_kind(split.resolve().parent)
    if kind in LAYOUTS:
        return LAYOUTS[kind]
    for path in sorted((split / "semseg").glob("*.png")):
        largest = int(read_map(path).max())
        if largest > CITYSCAPES.classes - 1:
            return NYUV2 if largest <= NYUV2.classes else CITYSCAPES
    raise UsageError(
        f"'{split / 'semseg'}' does not say whether its labels are those of NYUv2 (19 to 40 among "
        "them) or of Cityscapes (255 among them); name a whole split"
    )


def judge_groups(
    models: Mapping[str, Answering], split: Path, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Verdict]:
    """Return the mean of the five groups below `split` for each model, or `split` itself as one.

    Raises:
        UsageError: if the set is not finished, a folder or a file of a group is missing, or a
            model finds labels of another data set.
        TrainError: if a file cannot be decoded.
        FrameError: if a model returns an image or a map of another size than the truth.
    """
    check_whole(split)
    layout = data_set_of(split)
    grouped = (split / "Group1").is_dir()
    numbers = range(1, GROUPS + 1) if grouped else (None,)
    groups = [_judged_group(models, split, number, layout, progress) for number in numbers]
    return {name: _mean(name, [group[name] for group in groups]) for name in models}


def _judged_group(
    models: Mapping[str, Answering],
    split: Path,
    group: int | None,
    layout: Layout,
    progress: Callable[[str], None],
) -> dict[str, _Group]:
    found = {name: _Group() for name in models}
    for given in read_group(split, group, layout.classes):
        name = given.name if group is None else f"Group{group}/{given.name}"
        sample = Sample(name, given.lr, given.hr)
        progress(sample.name)
        reference = psnr_db(upscale_x4(sample.lr), sample.hr, CMOS)
        truth: dict[str, Map] = {"sigma": given.sigma[..., 0], "labels": given.labels[..., 0]}
        for model, answering in models.items():
            answer = answering(sample.lr, truth)
            if answer.restored is not None:
                row = judged(model, answer.restored, sample, reference, CMOS)
                found[model].rows.append(row)
            found[model].true_maps |= answer.true_maps
            _check_classes(model, answer, layout)
            _judge_maps(found[model], answer, truth, layout.reach.kernel_px)
    return found


def _check_classes(model: str, answer: Answer, layout: Layout) -> None:
    """Refuse labels of another data set; the same number means another thing there."""
    if answer.labels is not None and answer.labels.max() >= layout.classes:
        raise UsageError(
            f"'{model}' finds class {answer.labels.max()} in a set of the kind {layout.kind}, "
            f"which has {layout.classes} classes; judge an estimator that was trained for this kind"
        )


def _judge_maps(group: _Group, answer: Answer, truth: Mapping[str, Map], kernel_px: int) -> None:
    if answer.sigma is not None:
        pair = answer.sigma, truth["sigma"]
        group.sigmas.append((sigma_psnr_db(*pair, kernel_px), sigma_ssim(*pair, kernel_px)))
    if answer.labels is not None:
        group.iou.add(answer.labels, truth["labels"])


def _mean(model: str, groups: list[_Group]) -> Verdict:
    """Return the means of the groups' own means."""
    scores = [score_of(model, group.rows) for group in groups if group.rows]
    maps = None
    if all(group.sigmas for group in groups):
        quality, similarity = np.mean([np.mean(group.sigmas, axis=0) for group in groups], axis=0)
        ious = [group.iou.value() for group in groups]
        known = [iou for iou in ious if iou is not None]
        iou = float(np.mean(known)) if known else None
        frames = sum(len(group.sigmas) for group in groups)
        maps = MapsScore(frames, float(quality), float(similarity), iou)
    told = any(group.true_maps for group in groups)
    return Verdict(_mean_score(scores) if scores else None, maps, told)


def _mean_score(scores: list[Score]) -> Score:
    worst = min(scores, key=lambda score: score.worst_gain_db)
    return replace(
        worst,
        frames=sum(score.frames for score in scores),
        psnr_db=mean_of([score.psnr_db for score in scores]),
        ssim=mean_of([score.ssim for score in scores]),
        gain_db=mean_of([score.gain_db for score in scores]),
    )
