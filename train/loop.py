"""The training loop: the stages of a recipe, its samples and Lightning's Trainer.

Resuming reads Lightning's own `last.ckpt` with `weights_only`, which refuses pickled code.
"""

import logging
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader

from crispstream.core.errors import TrainError, UsageError

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .data.patches import PatchSet
from .data.samples import Samples, open_samples
from .objectives import build_objective
from .placement import Placement, placement_for
from .qat import QuantisedTraining
from .recipes.recipe import Recipe
from .runs import StageRun, forget, open_runs, runs_of
from .task import Training, optimizer_state

Patches = DataLoader[dict[str, Tensor]]

KEEP_EVERY_STEPS = 500
"""Steps between two states that a killed training can be resumed from.

A training that is interrupted (SIGINT, SIGTERM) or fails keeps the state of its last step.
"""

NOISE = (
    ".*dataloader is not resumable",  # PatchSet starts at the resumed step by itself
    ".*does not have many workers",  # the patches need no more
    ".*Checkpoint directory .* exists and is not empty",  # `_open_run` has judged the folder
    ".*treespec, LeafSpec.* is deprecated",  # between Lightning and torch
    ".*module\\(s\\) in eval mode",  # a frozen part is meant to be
)
"""Warnings that do not concern who trains."""


def train(
    recipe: Recipe,
    folders: Sequence[Path],
    out: Path,
    *,
    start: Path | None = None,
    calibration: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    cache: Path,
    workers: int = 0,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train by `recipe` on the media below `folders`; return the checkpoint in `out`.

    `start` begins the first stage from another checkpoint's weights (fine-tuning); a quantised
    recipe needs it, and `calibration`, a folder with plan.json and ranges.json. `resume` goes
    on with an interrupted run in `out`, `overwrite` begins anew where one is. TensorBoard logs
    are beside it. `progress` is told in words how far the training crops are prepared, and
    which stage begins.

    Raises:
        UsageError: if there is nothing to learn from, `start` is of another network, the recipe
            and `calibration` do not go together, or `out` holds a run and neither `resume` nor
            `overwrite` is set.
        TrainError: if there is nothing to resume, `out` cannot be written, or the loss is not
            finite at the end.
        StoppedError: if the training was interrupted; its state is in `out`, no checkpoint is.
    """
    if threads:
        torch.set_num_threads(threads)
    placement = placement_for(recipe, calibration, has_start=resume or start is not None)
    runs = runs_of(recipe, out)
    first = _weights_for(runs[0].stage, start) if start is not None else None
    open_runs(runs, out, resume, overwrite)
    for number, run in enumerate(runs):
        if resume and not run.is_last and run.is_done():
            continue
        if progress and len(runs) > 1:
            progress(f"stage {number + 1} of {len(runs)}: {run.stage.stage or run.stage.model}")
        samples = open_samples(run.stage.pool, folders, cache, max(1, workers), progress)
        if overwrite and number == 0:
            forget(runs)
        task = stage_task(run, runs[:number], samples, first if number == 0 else None, placement)
        _train_stage(task, run, samples, resume and run.last.exists(), workers)
    return runs[-1].checkpoint


def in_steps(recipe: Recipe, samples: int) -> Recipe:
    """Return the recipe with epochs of so many samples turned into steps."""
    per_epoch = max(1, samples // recipe.batch)
    steps = recipe.epochs * per_epoch or recipe.steps
    return replace(recipe, steps=steps, epochs=0, schedule=recipe.schedule.in_steps(per_epoch))


def stage_task(
    run: StageRun,
    before: Sequence[StageRun],
    samples: Samples,
    weights: dict[str, Tensor] | None = None,
    placement: Placement | None = None,
) -> Training:
    """Return a stage's task with the weights and the optimiser state that it starts from.

    `weights` are those of the network itself; else what the stages `before` hand on is taken. A
    quantised stage has a `placement`.

    Raises:
        TrainError: if a stage before cannot be read, or nothing of it has a name of this network.
    """
    stage = run.stage
    lightning.seed_everything(stage.seed, verbose=False)
    if placement is not None:
        return QuantisedTraining(in_steps(stage, len(samples)), placement, weights)
    carried = None
    if stage.carry_optimizer:
        earlier = Training(before[-1].stage)
        carried = optimizer_state(earlier, before[-1].state()["optimizer_states"][0])
    task = Training(in_steps(stage, len(samples)), carried)
    if weights is not None:
        task.network.load_state_dict(weights)
    elif inherited := _inherited(stage, before):
        unknown = task.network.load_state_dict(inherited, strict=False).unexpected_keys
        if len(unknown) == len(inherited):
            raise TrainError(f"no layer of '{stage.model}' has a name of the stage before")
    return task


def _inherited(stage: Recipe, before: Sequence[StageRun]) -> dict[str, Tensor]:
    """Return the weights that earlier stages hand on; other layers begin anew."""
    there = {run.stage.stage: run for run in before}
    weights: dict[str, Tensor] = {}
    for name, prefix in stage.starts:
        checkpoint = load_checkpoint(there[name].checkpoint)
        weights |= {prefix + key: tensor for key, tensor in checkpoint.weights.items()}
    return weights


def _train_stage(
    task: Training, run: StageRun, samples: Samples, resume: bool, workers: int
) -> None:
    recipe, steps_done = task.recipe, 0
    if resume:
        state = run.state()
        run.refuse_other(state["state_dict"], task.state_dict())
        steps_done = int(state["global_step"])
        if steps_done == recipe.steps and not run.checkpoint.exists():
            task.load_state_dict(state["state_dict"])
            _keep(task, run, samples)
            return
        run.refuse_whole(steps_done, recipe.steps)
    patches = PatchSet(
        samples,
        build_objective(recipe.objective).needs,
        items=recipe.steps * recipe.batch,
        patch_px=recipe.patch_px,
        augment=recipe.augment,
        # Each stage has an order of its own; that of a nameless one is the seed's.
        seed=recipe.seed + zlib.crc32(recipe.stage.encode()),
        first=steps_done * recipe.batch,
    )
    loader = DataLoader(patches, recipe.batch, num_workers=workers)
    with _quiet():
        trainer = _trainer(recipe, run)
        _fit(trainer, task, loader, run, resume)
    if trainer.global_step < recipe.steps:
        raise run.stopped(trainer.global_step, recipe.steps)
    _finish(trainer, task, run, samples)


def _weights_for(recipe: Recipe, start: Path) -> dict[str, Tensor]:
    checkpoint = load_checkpoint(start)
    if checkpoint.recipe.model != recipe.model:
        raise UsageError(
            f"'{start}' holds weights of network '{checkpoint.recipe.model}', the recipe trains "
            f"'{recipe.model}'; start from a checkpoint of '{recipe.model}' or choose another "
            "recipe"
        )
    return checkpoint.weights


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's hints and the warnings of `NOISE`; anything else is still said."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in NOISE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)


def _fit(
    trainer: lightning.Trainer, task: Training, loader: Patches, run: StageRun, resume: bool
) -> None:
    try:
        trainer.fit(task, loader, ckpt_path=run.last if resume else None, weights_only=True)
    except (SystemExit, KeyboardInterrupt):
        # Lightning exits the process by itself, after a SIGTERM even with code 0. Its steps tell
        # the caller whether the training is whole; if it is, only the averaging was skipped.
        if trainer.global_step >= task.recipe.steps:
            if not run.is_last:
                raise run.stopped(trainer.global_step, task.recipe.steps) from None
            task.load_state_dict(run.state()["state_dict"])


class _KeepLastStep(Callback):
    """Keeps the state of a stage's very last step, for the next stage's optimiser."""

    def __init__(self, last: Path) -> None:
        super().__init__()
        self._last = last

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        if trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self._last)


def _trainer(recipe: Recipe, run: StageRun) -> lightning.Trainer:
    keep = ModelCheckpoint(
        run.folder,
        filename="last",
        every_n_train_steps=KEEP_EVERY_STEPS,
        save_on_exception=True,
        enable_version_counter=False,
    )
    callbacks: list[Callback] = [keep, TQDMProgressBar(refresh_rate=20)]
    if recipe.average_decay:
        callbacks.insert(0, EMAWeightAveraging(decay=recipe.average_decay))
    if not run.is_last:
        callbacks.append(_KeepLastStep(run.last))
    return lightning.Trainer(
        max_steps=recipe.steps,
        accelerator="auto",
        devices=1,  # several would each draw another part of a pass, and change the batch
        precision="16-mixed" if recipe.mixed and torch.cuda.is_available() else "32-true",
        gradient_clip_val=recipe.optimizer.clip_norm or None,
        logger=TensorBoardLogger(run.folder, name="tensorboard"),
        log_every_n_steps=min(50, recipe.steps),
        callbacks=callbacks,
        enable_model_summary=False,
    )


def _finish(trainer: lightning.Trainer, task: Training, run: StageRun, samples: Samples) -> None:
    loss = float(trainer.callback_metrics.get("loss", torch.tensor(float("nan"))))
    if not np.isfinite(loss):
        raise TrainError(f"the loss ended at {loss}; lower the learning rate of the recipe")
    _keep(task, run, samples)


def _keep(task: Training, run: StageRun, samples: Samples) -> None:
    """Write the checkpoint of a stage that has all its steps."""
    weights = task.learnt()
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise TrainError("the weights are not finite; lower the learning rate of the recipe")
    kept = Checkpoint(run.stage, weights, task.recipe.steps, samples.names)
    task.write_beside(run.folder)
    save_checkpoint(run.checkpoint, kept)
