"""What a training leaves on disk, and what it is taken up from.

out/          the last stage: NETWORK.safetensors, last.ckpt, tensorboard/; of one that was
              stopped so-far.safetensors, a checkpoint of the steps that it has
out/STAGE/    the same for each earlier stage
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, cast

import torch

from crispstream.core.errors import TrainError, UsageError

from .checkpoint import load_checkpoint
from .recipes.recipe import Recipe


class StoppedError(TrainError):
    """The training was interrupted before its last step."""

    exit_code = 130  # 128 + SIGINT, what shells expect


class TimeIsUpError(StoppedError):
    """The training reached its time limit before its last step."""

    exit_code = 124  # that of `timeout`, which ends other programs


class TimeLimit:
    """How long a training may go on; it runs from its making."""

    def __init__(self, minutes: float | None, clock: Callable[[], float] = monotonic) -> None:
        """`clock` tells seconds; no minutes are no limit.

        Raises:
            UsageError: if the time is not positive.
        """
        if minutes is not None and not minutes > 0:
            raise UsageError(f"a time limit is longer than 0 minutes, got {minutes:g}")
        self.minutes, self._clock = minutes, clock
        self._end_s = None if minutes is None else clock() + 60 * minutes

    def is_over(self) -> bool:
        """Return whether the time is up."""
        return self._end_s is not None and self._clock() >= self._end_s


@dataclass(frozen=True)
class StageRun:
    """One stage at work: what it was asked for, and where it lies."""

    stage: Recipe
    folder: Path
    is_last: bool

    @property
    def last(self) -> Path:
        """Lightning's state, which an interrupted stage goes on from."""
        return self.folder / "last.ckpt"

    @property
    def checkpoint(self) -> Path:
        """What a whole stage leaves."""
        return self.folder / f"{self.stage.model}.safetensors"

    @property
    def so_far(self) -> Path:
        """A checkpoint of a stage that was stopped."""
        return self.folder / "so-far.safetensors"

    def state(self) -> dict[str, Any]:
        """Read the state; its `state_dict` holds the averaged weights, if weights are averaged."""
        try:
            state = torch.load(self.last, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise TrainError(
                f"'{self.last}' is missing, and the training goes on from its state; "
                "begin anew with --overwrite"
            ) from None
        return cast("dict[str, Any]", state)

    def is_done(self) -> bool:
        """Return whether this earlier stage is whole.

        Raises:
            UsageError: if it is, but was trained by other settings.
        """
        if not self.checkpoint.exists():
            return False
        if load_checkpoint(self.checkpoint).recipe != self.stage:
            raise UsageError(
                f"'{self.checkpoint}' was trained by other settings; go on with the recipe and "
                "the --steps that it had, or begin anew with --overwrite"
            )
        return True

    def refuse_other(self, names: Iterable[str], expected: Iterable[str]) -> None:
        """Raise UsageError unless a state's tensors have the names of this training's."""
        if set(names) != set(expected):
            raise UsageError(
                f"'{self.last}' is the state of another training; go on with the recipe that it "
                "had, or begin anew with --overwrite"
            )

    def refuse_whole(self, done: int, steps: int) -> None:
        """Raise UsageError if the state has all of so many steps."""
        if done >= steps:
            raise UsageError(
                f"'{self.last}' has {done} steps and {steps} were asked for: nothing is left to "
                "do; ask for more with --steps"
            )

    def stopped(self, done: int, steps: int, limit: TimeLimit | None = None) -> StoppedError:
        """Return the error of a stage that ended early, by itself if its `limit` is over."""
        kept = f"go on with --resume from '{self.last}'" if self.last.exists() else "start it again"
        if self.so_far.exists():
            kept += f"; the weights so far are in '{self.so_far}'"
        if limit is not None and limit.is_over():
            return TimeIsUpError(
                f"the {limit.minutes:g} minutes are over after {done} of {steps} steps; {kept}"
            )
        return StoppedError(f"stopped after {done} of {steps} steps; {kept}")


def runs_of(recipe: Recipe, out: Path) -> list[StageRun]:
    """Return the runs of a recipe's stages in their order."""
    earlier = [StageRun(stage, out / stage.stage, is_last=False) for stage in recipe.earlier]
    return [*earlier, StageRun(recipe, out, is_last=True)]


def open_runs(runs: Sequence[StageRun], out: Path, resume: bool, overwrite: bool) -> None:
    """Make the folders of all stages; lose no earlier run.

    Raises:
        UsageError: if there is a run, and neither `resume` nor `overwrite` or both are set.
        TrainError: if there is nothing to resume or `out` cannot be written.
    """
    if resume and overwrite:
        raise UsageError("--resume keeps a run and --overwrite replaces it; leave out one of them")
    paths = [path for run in runs for path in (run.last, run.checkpoint)]
    found = [path.relative_to(out).as_posix() for path in paths if path.exists()]
    if resume and not any(run.last.exists() for run in runs):
        raise TrainError(f"nothing to resume: '{runs[-1].last}' does not exist; leave out --resume")
    if resume and len(runs) > 1 and _is_finished(runs):
        raise UsageError(
            f"'{runs[-1].checkpoint}' is there: nothing is left to do; --overwrite begins anew"
        )
    if found and not resume and not overwrite:
        go_on = "go on with it: --resume, " if any(run.last.exists() for run in runs) else ""
        raise UsageError(
            f"'{out}' already holds a training ({', '.join(found)}); {go_on}"
            "replace it: --overwrite, or choose another --output"
        )
    try:
        for run in runs:
            run.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise TrainError(
            f"cannot write to the output folder '{out}' ({error.strerror}); choose another with -o"
        ) from error


def _is_finished(runs: Sequence[StageRun]) -> bool:
    """Return whether the last stage ended after all others, and not before an --overwrite."""
    *earlier, final = runs
    if final.last.exists() or not all(run.checkpoint.exists() for run in runs):
        return False
    ends = [run.checkpoint.stat().st_mtime_ns for run in earlier]
    return max(ends) <= final.checkpoint.stat().st_mtime_ns


def forget(runs: Sequence[StageRun]) -> None:
    """Remove what an earlier run would be taken up from; its last checkpoint is replaced."""
    for run in runs:
        run.last.unlink(missing_ok=True)
        run.so_far.unlink(missing_ok=True)
        if not run.is_last:
            run.checkpoint.unlink(missing_ok=True)
