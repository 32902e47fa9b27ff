"""Lightning's Trainer as the training loop uses it: what it keeps, when it stops, what it says."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import (
    Callback,
    ModelCheckpoint,
    TQDMProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from crispstream.core.errors import TrainError

from .data.device_pool import DeviceLoader
from .precision import training_precision
from .recipes.recipe import Recipe
from .runs import StageRun, TimeLimit
from .task import Training

Loader = DataLoader[dict[str, Tensor]] | DeviceLoader

KEEP_EVERY_STEPS = 500
"""Steps between two states that a killed training can be resumed from.

A training that is interrupted (SIGINT, SIGTERM) or fails keeps the state of its last step.
"""

LOOK_EVERY_STEPS = 50
"""Steps between two looks at the loss, for which a GPU must be waited for.

Divides `KEEP_EVERY_STEPS`: a state is not kept before the loss was looked at.
"""

NOISE = (
    ".*dataloader is not resumable",  # `Batches` starts at the resumed step by itself
    ".*does not have many workers",  # the patches need no more
    ".*Checkpoint directory .* exists and is not empty",  # `open_runs` has judged the folder
    ".*treespec, LeafSpec.* is deprecated",  # between Lightning and torch
    ".*module\\(s\\) in eval mode",  # a frozen part is meant to be
)
"""Warnings that do not concern who trains."""


class DivergedError(TrainError):
    """The loss is no number any more."""


def fit(task: Training, loader: Loader, run: StageRun, limit: TimeLimit, resume: bool) -> int:
    """Train until the recipe's steps are done, `limit` is over or the process is told to stop.

    Returns the number of steps that are done, of this and of earlier calls. The task's weights are
    then those to keep; after an interruption they are to be read from the state of the run.

    Raises:
        DivergedError: if the loss is not finite; the state is then one from before.
        StoppedError: if the process was told to stop in the last step of a stage before others.
    """
    with _quiet():
        trainer = _trainer(task.recipe, run, limit)
        try:
            trainer.fit(task, loader, ckpt_path=run.last if resume else None, weights_only=True)
        except (SystemExit, KeyboardInterrupt):
            # Lightning exits the process by itself, after a SIGTERM even with code 0. Its steps
            # tell the caller whether the training is whole; if it is, only the averaging was
            # skipped.
            if trainer.global_step >= task.recipe.steps:
                if not run.is_last:
                    raise run.stopped(trainer.global_step, task.recipe.steps) from None
                task.load_state_dict(run.state()["state_dict"])
    return int(trainer.global_step)


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


def _trainer(recipe: Recipe, run: StageRun, limit: TimeLimit) -> lightning.Trainer:
    # Lightning calls what keeps states after all others.
    callbacks: list[Callback] = [_Keep(run.folder), TQDMProgressBar(refresh_rate=20)]
    callbacks += [_LookAtLoss(run.last), _StopInTime(run.last, limit)]
    if recipe.average_decay:
        averaging = get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
        callbacks.insert(0, WeightAveraging(multi_avg_fn=averaging))
    if not run.is_last:
        callbacks.append(_KeepLastStep(run.last))
    return lightning.Trainer(
        max_steps=recipe.steps,
        accelerator="auto",
        devices=1,  # several would each draw another part of a pass, and change the batch
        precision=training_precision(recipe.mixed),
        gradient_clip_val=recipe.optimizer.clip_norm or None,
        logger=TensorBoardLogger(run.folder, name="tensorboard"),
        log_every_n_steps=min(50, recipe.steps),
        callbacks=callbacks,
        enable_model_summary=False,
    )


class _Keep(ModelCheckpoint):
    """Keeps the state every so often, and when the training is interrupted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            filename="last",
            every_n_train_steps=KEEP_EVERY_STEPS,
            save_on_exception=True,
            enable_version_counter=False,
        )

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """Do not replace a sound state by one that is not."""
        if not isinstance(exception, DivergedError):
            super().on_exception(trainer, pl_module, exception)


class _KeepLastStep(Callback):
    """Keeps the state of a stage's very last step, for the next stage's optimiser."""

    def __init__(self, last: Path) -> None:
        super().__init__()
        self._last = last

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        if trainer.global_step == trainer.max_steps:
            trainer.save_checkpoint(self._last)


class _StopInTime(Callback):
    """Ends a training whose time is over with the step at hand, and keeps its state."""

    def __init__(self, last: Path, limit: TimeLimit) -> None:
        super().__init__()
        self._last, self._limit = last, limit

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        if trainer.global_step < trainer.max_steps and self._limit.is_over():
            trainer.save_checkpoint(self._last)
            trainer.should_stop = True


class _LookAtLoss(Callback):
    """Stops a training whose loss is no number: nothing that follows would mend it."""

    def __init__(self, last: Path) -> None:
        super().__init__()
        self._last = last

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ANN401
        *_: Any,  # noqa: ANN401
    ) -> None:
        done = trainer.global_step
        if (done % LOOK_EVERY_STEPS and done != trainer.max_steps) or outputs["loss"].isfinite():
            return
        sound = f"; '{self._last}' is a state from before" if self._last.exists() else ""
        raise DivergedError(
            f"the loss is {float(outputs['loss'])} after {done} steps{sound}; lower the learning "
            "rate of the recipe, or clip its gradients (clip_norm of its optimizer)"
        )
