"""The training loop: the stages of a recipe, its samples and Lightning's Trainer.

Resuming reads Lightning's own `last.ckpt` with `weights_only`, which refuses pickled code.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from crispstream.core.errors import TrainError, UsageError

from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .data.device_pool import device_loader
from .data.patches import Batches, PatchSet
from .data.samples import Samples, open_samples
from .fitting import Loader, fit
from .models.edge_recurrent import TWINS, warm_start
from .objectives import build_objective
from .placement import Placement, placement_for
from .qat import QuantisedTraining
from .recipes.recipe import Recipe
from .runs import StageRun, TimeLimit, forget, open_runs, runs_of
from .task import Training, optimizer_state
from .teacher import Teacher, learns_from_teacher, teacher_for


def train(
    recipe: Recipe,
    folders: Sequence[Path],
    out: Path,
    *,
    start: Path | None = None,
    calibration: Path | None = None,
    teacher: Path | None = None,
    minutes: float | None = None,
    resume: bool = False,
    overwrite: bool = False,
    cache: Path,
    workers: int = 0,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Train by `recipe` on the media below `folders`; return the checkpoint in `out`.

    `start` begins the first stage from another checkpoint's weights (fine-tuning); a quantised
    recipe needs it, and `calibration`, a folder with plan.json and ranges.json. `teacher` is the
    checkpoint that recipes learn from whose objective ends in -distilled; name it again to resume.
    After so many `minutes` of this call the training stops as if interrupted. `resume` goes on
    with a run in `out` that was stopped, `overwrite` begins anew where one is. TensorBoard logs
    are beside it. `progress` is told in words how far the training crops are prepared, and which
    stage begins.

    Raises:
        UsageError: if there is nothing to learn from, `start` is of another network or another
            shape of it, the recipe does not go together with `calibration` or `teacher`, or `out`
            holds a run and neither `resume` nor `overwrite` is set.
        TrainError: if there is nothing to resume, `out` cannot be written, or the loss is no
            number any more.
        StoppedError: if the training was interrupted, as TimeIsUpError if by its time limit. Its
            state is in `out`, and so-far.safetensors, a checkpoint of the steps that are done.
    """
    limit = TimeLimit(minutes)
    if threads:
        torch.set_num_threads(threads)
    placement = placement_for(recipe, calibration, has_start=resume or start is not None)
    asked = teacher_for(recipe, teacher)
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
        weights = first if number == 0 else None
        task = stage_task(run, runs[:number], samples, weights, placement, asked)
        going_on = resume and run.last.exists()
        _train_stage(task, run, samples, resume=going_on, workers=workers, limit=limit)
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
    teacher: Teacher | None = None,
) -> Training:
    """Return a stage's task with the weights and the optimiser state that it starts from.

    `weights` are those of the network itself; else what the stages `before` hand on is taken. A
    quantised stage has a `placement`. `teacher` is for the stages that learn from one.

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
    asked = teacher if learns_from_teacher(stage) else None
    task = Training(in_steps(stage, len(samples)), carried, asked)
    if weights is not None:
        task.network.load_state_dict(warm_start(task.network, weights))
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
    task: Training,
    run: StageRun,
    samples: Samples,
    *,
    resume: bool,
    workers: int,
    limit: TimeLimit,
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
    loader = _loader(recipe, samples, steps_done, workers)
    steps_done = fit(task, loader, run, limit, resume)
    if steps_done < recipe.steps:
        _keep_so_far(task, run, samples)
        raise run.stopped(steps_done, recipe.steps, limit)
    _keep(task, run, samples)


def _loader(recipe: Recipe, samples: Samples, steps_done: int, workers: int) -> Loader:
    """Return what gives the batches: from a GPU's own memory where there is one, and room in it."""
    batches = _batches(recipe, samples, steps_done)
    there = device_loader(
        samples,
        build_objective(recipe.objective).needs,
        batches,
        first_step=steps_done,
        augment=recipe.augment,
        seed=_seed(recipe),
    )
    return there or DataLoader(batches, None, num_workers=workers)


def _seed(recipe: Recipe) -> int:
    """Each stage has an order of its own; that of a nameless one is the seed's."""
    return recipe.seed + zlib.crc32(recipe.stage.encode())


def _batches(recipe: Recipe, samples: Samples, steps_done: int) -> Batches:
    patches = PatchSet(
        samples,
        build_objective(recipe.objective).needs,
        items=sum(phase.steps * phase.batch for phase in recipe.phases()),
        patch_px=recipe.patch_px,
        augment=recipe.augment,
        seed=_seed(recipe),
    )
    return Batches(patches, recipe.phases(), steps_done)


def _weights_for(recipe: Recipe, start: Path) -> dict[str, Tensor]:
    checkpoint = load_checkpoint(start)
    if checkpoint.recipe.model not in (recipe.model, TWINS.get(recipe.model)):
        raise UsageError(
            f"'{start}' holds weights of network '{checkpoint.recipe.model}', the recipe trains "
            f"'{recipe.model}'; start from a checkpoint of '{recipe.model}' or choose another "
            "recipe"
        )
    # Through the network, which refuses weights of another shape in a sentence.
    weights: dict[str, Tensor] = checkpoint.network().state_dict()
    return weights


def _keep(task: Training, run: StageRun, samples: Samples) -> None:
    """Write the checkpoint of a stage that has all its steps."""
    _write(run.checkpoint, task, task.recipe.steps, run, samples)
    run.so_far.unlink(missing_ok=True)


def _keep_so_far(task: Training, run: StageRun, samples: Samples) -> None:
    """Write a checkpoint of the state that a stopped stage left, if it left one."""
    if run.last.exists():
        state = run.state()
        task.load_state_dict(state["state_dict"])
        _write(run.so_far, task, int(state["global_step"]), run, samples)


def _write(path: Path, task: Training, steps: int, run: StageRun, samples: Samples) -> None:
    weights = task.learnt()
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise TrainError("the weights are not finite; lower the learning rate of the recipe")
    task.write_beside(run.folder)
    save_checkpoint(path, Checkpoint(run.stage, weights, steps, samples.names))
