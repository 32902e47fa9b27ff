"""The training loop: a recipe, a pool and Lightning's Trainer.

Resuming reads Lightning's own `last.ckpt` with `weights_only`, which refuses pickled code.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.pixels import SCALE

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .data.pool import build_pool, open_pool
from .losses import charbonnier
from .models.registry import build_network
from .recipes import Recipe

Batch = tuple[Tensor, Tensor]

KEEP_EVERY_STEPS = 500
"""Steps between two states that a killed training can be resumed from.

A training that is interrupted (SIGINT, SIGTERM) or fails keeps the state of its last step.
"""

NOISE = (
    ".*dataloader is not resumable",  # PatchSet starts at the resumed step by itself
    ".*does not have many workers",  # the patches need no more
    ".*Checkpoint directory .* exists and is not empty",  # `_open_run` has judged the folder
    ".*treespec, LeafSpec.* is deprecated",  # between Lightning and torch
)
"""Warnings that do not concern who trains."""


class StoppedError(TrainError):
    """The training was interrupted before its last step."""

    exit_code = 130  # 128 + SIGINT, what shells expect


class PatchSet(Dataset[Batch]):
    """Random patches of a pool, flipped and turned; item k is the same in every run.

    Items are (lr [3,p,p], hr [3,4p,4p]) bytes, BGR.
    """

    def __init__(self, pool: Path, recipe: Recipe, steps_done: int = 0) -> None:
        """Map the pool; nothing is read yet. A resumed run goes on where it was cut off."""
        self._recipe, self._first = recipe, steps_done * recipe.batch
        self._lr, self._hr = open_pool(pool)

    def __len__(self) -> int:
        """Return the number of patches of the whole training."""
        return self._recipe.steps * self._recipe.batch

    def __getitem__(self, item: int) -> Batch:
        """Draw the patch of this item."""
        rng = np.random.default_rng([self._recipe.seed, self._first + item])
        index, patch = int(rng.integers(len(self._lr))), self._recipe.patch_px
        y, x = rng.integers(self._lr.shape[1] - patch + 1, size=2)
        flip, turns = bool(rng.integers(2)), int(rng.integers(4))

        def cut(images: npt.NDArray[np.uint8], scale: int) -> Tensor:
            side, top, left = patch * scale, y * scale, x * scale
            image = np.rot90(images[index, top : top + side, left : left + side], turns)
            image = image[:, ::-1] if flip else image
            return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))

        return cut(self._lr, 1), cut(self._hr, SCALE)


class Training(lightning.LightningModule):
    """One network learning from byte patches."""

    def __init__(self, recipe: Recipe) -> None:
        """Build the recipe's network."""
        super().__init__()
        self.recipe = recipe
        self.network = build_network(recipe.model)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch."""
        lr, hr = (images.to(torch.float32) / 255 for images in batch)
        loss = charbonnier(self.network(lr).restored(), hr)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> lightning.pytorch.utilities.types.OptimizerLRScheduler:
        """Adam; linear warm-up, then half a cosine down to a hundredth."""
        optimizer = torch.optim.Adam(self.parameters(), self.recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        warm = max(1, self.recipe.steps // 50)
        share = max(0, step - warm) / max(1, self.recipe.steps - warm)
        return min(1.0, (step + 1) / warm) * (0.01 + 0.99 * (1 + float(np.cos(np.pi * share))) / 2)


def train(
    recipe: Recipe,
    folders: Sequence[Path],
    out: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    cache: Path,
    workers: int = 0,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train by `recipe` on the media below `folders`; return the checkpoint in `out`.

    `start` begins from another checkpoint's weights (fine-tuning); `resume` goes on with an
    interrupted run in `out`, `overwrite` begins anew where one is. TensorBoard logs are beside
    it. `progress` is told in words how far the training crops are prepared.

    Raises:
        UsageError: if there is nothing to learn from, `start` is of another network, or `out`
            holds a run and neither `resume` nor `overwrite` is set.
        TrainError: if there is nothing to resume, `out` cannot be written, or the loss is not
            finite at the end.
        StoppedError: if the training was interrupted; its state is in `out`, no checkpoint is.
    """
    lightning.seed_everything(recipe.seed, verbose=False)
    if threads:
        torch.set_num_threads(threads)
    task = Training(recipe)
    if start is not None:
        task.network.load_state_dict(_weights_for(recipe, start))
    last = _open_run(recipe, out, resume, overwrite)
    steps_done = _steps_done(last, recipe) if resume else 0
    pool = build_pool(folders, recipe.pool, cache, max(1, workers), progress)
    if overwrite:
        last.unlink(missing_ok=True)
    loader = DataLoader(PatchSet(pool, recipe, steps_done), recipe.batch, num_workers=workers)
    with _quiet():
        trainer = _trainer(recipe, out)
        _fit(trainer, task, loader, last, resume)
    if trainer.global_step < recipe.steps:
        raise StoppedError(_stopped(trainer.global_step, recipe.steps, last))
    return _finish(trainer, task, pool, out)


def _weights_for(recipe: Recipe, start: Path) -> dict[str, Tensor]:
    checkpoint = load_checkpoint(start)
    if checkpoint.recipe.model != recipe.model:
        raise UsageError(
            f"'{start}' holds weights of network '{checkpoint.recipe.model}', the recipe trains "
            f"'{recipe.model}'; start from a checkpoint of '{recipe.model}' or choose another "
            "recipe"
        )
    return checkpoint.weights


def _checkpoint_path(recipe: Recipe, out: Path) -> Path:
    return out / f"{recipe.model}.safetensors"


def _open_run(recipe: Recipe, out: Path, resume: bool, overwrite: bool) -> Path:
    """Make the folder of the run and return the path of its state; lose no earlier run."""
    last = out / "last.ckpt"
    if resume and overwrite:
        raise UsageError("--resume keeps a run and --overwrite replaces it; leave out one of them")
    if resume and not last.exists():
        raise TrainError(f"nothing to resume: '{last}' does not exist; leave out --resume")
    found = [path.name for path in (last, _checkpoint_path(recipe, out)) if path.exists()]
    if found and not resume and not overwrite:
        raise UsageError(
            f"'{out}' already holds a training ({', '.join(found)}); go on with it: --resume, "
            "replace it: --overwrite, or choose another --output"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise TrainError(
            f"cannot write to the output folder '{out}' ({error.strerror}); choose another with -o"
        ) from error
    return last


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
    trainer: lightning.Trainer, task: Training, loader: DataLoader[Batch], state: Path, resume: bool
) -> None:
    try:
        trainer.fit(task, loader, ckpt_path=state if resume else None, weights_only=True)
    except (SystemExit, KeyboardInterrupt):
        # Lightning exits the process by itself, after a SIGTERM even with code 0. Its steps tell
        # the caller whether the training is whole; if it is, only the averaging was skipped.
        if trainer.global_step >= task.recipe.steps:
            task.load_state_dict(_state(state)["state_dict"])


def _stopped(done: int, steps: int, last: Path) -> str:
    kept = f"go on with --resume from '{last}'" if last.exists() else "start it again"
    return f"stopped after {done} of {steps} steps, no checkpoint was written; {kept}"


def _trainer(recipe: Recipe, out: Path) -> lightning.Trainer:
    keep = ModelCheckpoint(
        out,
        filename="last",
        every_n_train_steps=KEEP_EVERY_STEPS,
        save_on_exception=True,
        enable_version_counter=False,
    )
    return lightning.Trainer(
        max_steps=recipe.steps,
        accelerator="auto",
        logger=TensorBoardLogger(out, name="tensorboard"),
        log_every_n_steps=min(50, recipe.steps),
        callbacks=[
            EMAWeightAveraging(decay=recipe.average_decay),
            keep,
            TQDMProgressBar(refresh_rate=20),
        ],
        enable_model_summary=False,
    )


def _state(last: Path) -> dict[str, Any]:
    """Read Lightning's state; its `state_dict` holds the averaged weights."""
    return cast("dict[str, Any]", torch.load(last, map_location="cpu", weights_only=True))


def _steps_done(last: Path, recipe: Recipe) -> int:
    done = int(_state(last)["global_step"])
    if done >= recipe.steps:
        raise UsageError(
            f"'{last}' has {done} steps and {recipe.steps} were asked for: nothing is left to "
            "do; ask for more with --steps"
        )
    return done


def _finish(trainer: lightning.Trainer, task: Training, pool: Path, out: Path) -> Path:
    loss = float(trainer.callback_metrics.get("loss", torch.tensor(float("nan"))))
    if not np.isfinite(loss):
        raise TrainError(f"the loss ended at {loss}; lower the learning rate of the recipe")
    files = cast("list[str]", json.loads((pool / "pool.json").read_text())["files"])
    path = _checkpoint_path(task.recipe, out)
    weights = dict(task.network.state_dict())
    save_checkpoint(path, Checkpoint(task.recipe, weights, trainer.global_step, tuple(files)))
    return path
