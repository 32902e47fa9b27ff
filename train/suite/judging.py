"""Judging restorers on a built suite: frames in their order, one at a time.

Constant memory: of a sequence only the frame before is kept. Needs no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import FrameError
from crispstream.core.files import sha256_of
from crispstream.core.metrics import mean_of, psnr_db, ssim
from crispstream.core.pixels import Bytes
from crispstream.core.temporal import Motion, difference, motion, warped_difference
from crispstream.train.evaluate import Sample

from .reading import Digest, Step, read_part
from .suites import Suite

SYNTHETIC = ("motion-weak", "motion-medium", "motion-strong")
STILL, CLIPS = "still", "clips"
SSIM_EVERY = 4
"""In a sequence SSIM is taken of every fourth frame: it costs more than a small network does."""

Figures = dict[str, Any]
Frames = Mapping[str, Bytes]
"""What each model made of a frame; the truth is there too."""
TRUTH = "truth"


class Restores(Protocol):
    """A model: frames of a sequence come in their order."""

    def restore(self, frame_hwc: Bytes) -> Bytes:
        """Return LR [H,W,3] restored, [4H,4W,3]; an array of its own."""
        ...

    def reset(self) -> None:
        """Forget the frames before."""
        ...


@dataclass
class Tally:
    """What was measured of one model on one part or one sequence, a figure a frame."""

    psnr_db: list[float] = field(default_factory=list)
    gain_db: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    """Differences from frame to frame."""
    worst: tuple[float, str] = (float("inf"), "")
    """Smallest gain and the sample that has it."""

    def take(self, restored: Bytes, sample: Sample, reference_db: float, *, similar: bool) -> None:
        """Measure a frame against its truth; `reference_db` is the PSNR of bicubic's."""
        quality = psnr_db(restored, sample.hr)
        gain = 0.0 if quality == reference_db else quality - reference_db
        self.psnr_db.append(quality)
        self.gain_db.append(gain)
        self.worst = min(self.worst, (gain, sample.name))
        if similar:
            self.ssim.append(ssim(restored, sample.hr))

    def figures(self, steadiness: str | None) -> Figures:
        """Return the means; `steadiness` is what the differences are called."""
        found: Figures = {
            "frames": len(self.psnr_db),
            "psnr_db": mean_of(self.psnr_db),
            "ssim": mean_of(self.ssim),
            "gain_db": mean_of(self.gain_db),
            "worst": self.worst[1],
            "worst_gain_db": self.worst[0],
        }
        if steadiness and self.steps:
            found[steadiness] = mean_of(self.steps)
        return found


def judge(
    suite: Suite,
    folder: Path,
    models: Mapping[str, Restores],
    progress: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Return what there is to say of all models on all parts.

    {"suite", "built_sha256", "changed_parts", "models": {name: {"summary", part: figures}},
    "truth": {part: figures of steadiness}}. Means are over frames, of sequences too.

    Raises:
        TrainError: if a picture is missing or damaged.
        FrameError: if a model returns an image of another size than the truth.
    """
    judged: dict[str, Figures] = {name: {} for name in (*models, TRUTH)}
    digests: dict[str, str] = {}
    for part in suite.parts:
        seen = _Part(part, models)
        for step in read_part(suite, part, folder):
            progress(step.sample.name)
            seen.take(step)
        digests[part] = seen.digest.value()
        for name, figures in seen.figures().items():
            judged[name][part] = figures
    floor = judged.pop(TRUTH)
    for figures in judged.values():
        figures["summary"] = summary(figures)
    return {
        "suite": suite.name,
        "built_sha256": _joined(digests),
        "changed_parts": [part for part in digests if digests[part] != suite.published.get(part)],
        "models": judged,
        "truth": {part: figures for part, figures in floor.items() if figures},
    }


class _Part:
    """One part while it is judged."""

    def __init__(self, part: str, models: Mapping[str, Restores]) -> None:
        """Start with no frame seen."""
        self.digest = Digest()
        self._models = models
        self._steadiness = "flicker" if part == STILL else "warped_difference"
        self._whole = {name: Tally() for name in (*models, TRUTH)}
        self._sequences: dict[str, dict[str, Tally]] = {}
        self._before: dict[str, Bytes] = {}

    def take(self, step: Step) -> None:
        """Let all models restore a frame and measure what they made of it."""
        sample, number = step.sample, self._number(step)
        self.digest.add(sample)
        reference_db = psnr_db(upscale_x4(sample.lr), sample.hr)
        frames = {TRUTH: sample.hr}
        moved = self._motion(step)
        for name, model in self._models.items():
            if not step.follows:
                model.reset()
            frames[name] = restored = _checked(name, model.restore(sample.lr), sample)
            for tally in self._tallies(name, sample):
                tally.take(restored, sample, reference_db, similar=number % SSIM_EVERY == 0)
        if step.follows:
            self._compare(frames, moved, sample)
        self._before = frames

    def _number(self, step: Step) -> int:
        """Return the place of a frame in its sequence, 0 of a single one."""
        return int(step.sample.name.partition("#")[2] or 0)

    def _motion(self, step: Step) -> Motion | None:
        if not step.follows or self._steadiness == "flicker":
            return None
        return motion(self._before[TRUTH], step.sample.hr)

    def _compare(self, frames: Frames, moved: Motion | None, sample: Sample) -> None:
        """Measure how far each model's frame is from its one before."""
        for name, frame in frames.items():
            off = _off(self._before[name], frame, moved)
            if off is not None:
                for tally in self._tallies(name, sample):
                    tally.steps.append(off)

    def _tallies(self, name: str, sample: Sample) -> tuple[Tally, ...]:
        """Return what a figure of a model counts for: the part, and its sequence if it is one."""
        sequence, is_one, _ = sample.name.partition("#")
        if not is_one:
            return (self._whole[name],)
        tallies = self._sequences.setdefault(name, {})
        return self._whole[name], tallies.setdefault(sequence.split("/")[1], Tally())

    def figures(self) -> dict[str, Figures]:
        """Return the figures of each model, and of the truth what it has."""
        found = {name: self._figures(name) for name in self._models}
        steps = self._whole[TRUTH].steps
        return {**found, TRUTH: {self._steadiness: mean_of(steps)} if steps else {}}

    def _figures(self, name: str) -> Figures:
        figures = self._whole[name].figures(self._steadiness)
        if name in self._sequences:
            figures["sequences"] = {
                sequence: tally.figures(self._steadiness)
                for sequence, tally in self._sequences[name].items()
            }
        return figures


def _off(before: Bytes, now: Bytes, moved: Motion | None) -> float | None:
    """Return how far a frame is from the one before it, along the motion if there is one."""
    return difference(before, now) if moved is None else warped_difference(before, now, moved)


def _checked(name: str, restored: Bytes, sample: Sample) -> Bytes:
    if restored.shape != sample.hr.shape:
        raise FrameError(
            f"'{name}' made {restored.shape} of {sample.name}, truth is {sample.hr.shape}; "
            "judge models that enlarge by 4"
        )
    return restored


def summary(parts: Mapping[str, Figures]) -> Figures:
    """Return the few figures a model is known by, from those of its parts.

    Gains over bicubic in dB: `synthetic` is the mean of the three strengths of motion, `noise`
    and `h264` those of two parts, the others are of one part. `flicker` and `warped_difference`
    are in grey levels.
    """
    gains = {part: figures["gain_db"] for part, figures in parts.items()}
    groups = {
        "synthetic": SYNTHETIC,
        "real": ("real",),
        "clips": (CLIPS,),
        "noise": ("noise-low", "noise-high"),
        "h264": ("h264-low", "h264-high"),
        **{part: (part,) for part in ("sharp", "dark", "bright", "upscaled")},
    }
    found: Figures = {
        name: mean_of([gains[part] for part in group])
        for name, group in groups.items()
        if set(group) <= gains.keys()
    }
    for part, figure in ((STILL, "flicker"), (CLIPS, "warped_difference")):
        if figure in parts.get(part, {}):
            found[figure] = parts[part][figure]
    return found


def _joined(digests: Mapping[str, str]) -> str:
    """Return one hash of all parts."""
    return sha256_of("\n".join(f"{part} {value}" for part, value in digests.items()).encode())
