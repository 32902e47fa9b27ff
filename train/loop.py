"""The training loop: a recipe, a pool and Lightning's Trainer.

Resuming reads Lightning's own `last.ckpt` with `weights_only`, which refuses pickled code.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crispstream.core.errors import TrainError
from crispstream.core.pixels import SCALE

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .data.pool import build_pool, open_pool
from .losses import charbonnier
from .models.registry import build_network
from .recipes import Recipe

Batch = tuple[Tensor, Tensor]

KEEP_EVERY_STEPS = 500
"""Steps between two states that an interrupted training can be resumed from."""


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
        loss = charbonnier(self.network(lr), hr)
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
    cache: Path,
    workers: int = 0,
    threads: int | None = None,
) -> Path:
    """Train by `recipe` on the media below `folders`; return the checkpoint in `out`.

    `start` begins from another checkpoint's weights (fine-tuning); `resume` goes on with an
    interrupted run in `out`. TensorBoard logs are beside it.

    Raises:
        UsageError: if there is nothing to learn from.
        TrainError: if there is nothing to resume, or the loss is not finite at the end.
    """
    lightning.seed_everything(recipe.seed, verbose=False)
    if threads:
        torch.set_num_threads(threads)
    pool = build_pool(folders, recipe.pool, cache, max(1, workers))
    task = Training(recipe)
    if start is not None:
        task.network.load_state_dict(load_checkpoint(start).weights)
    last = out / "last.ckpt"
    if resume and not last.exists():
        raise TrainError(f"nothing to resume: '{last}' does not exist; leave out --resume")
    trainer = _trainer(recipe, out)
    patches = PatchSet(pool, recipe, _steps_done(last) if resume else 0)
    loader = DataLoader(patches, recipe.batch, num_workers=workers)
    with warnings.catch_warnings():
        # PatchSet starts at the resumed step by itself, and the patches need no more workers.
        warnings.filterwarnings("ignore", message=".*dataloader is not resumable")
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        trainer.fit(task, loader, ckpt_path=last if resume else None, weights_only=True)
    return _finish(trainer, task, pool, out)


def _trainer(recipe: Recipe, out: Path) -> lightning.Trainer:
    keep = ModelCheckpoint(
        out, filename="last", every_n_train_steps=KEEP_EVERY_STEPS, enable_version_counter=False
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


def _steps_done(last: Path) -> int:
    return int(torch.load(last, map_location="cpu", weights_only=True)["global_step"])


def _finish(trainer: lightning.Trainer, task: Training, pool: Path, out: Path) -> Path:
    loss = float(trainer.callback_metrics.get("loss", torch.tensor(float("nan"))))
    if not np.isfinite(loss):
        raise TrainError(f"the loss ended at {loss}; lower the learning rate of the recipe")
    files = cast("list[str]", json.loads((pool / "pool.json").read_text())["files"])
    path = out / f"{task.recipe.model}.safetensors"
    weights = dict(task.network.state_dict())
    save_checkpoint(path, Checkpoint(task.recipe, weights, trainer.global_step, tuple(files)))
    return path
