"""One stage of a training as Lightning runs it: network, objective, optimiser, rates."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from .data.patches import as_floats
from .models.registry import build_network
from .muon import Muon
from .objectives import build_objective
from .recipes.recipe import Recipe
from .teacher import Teacher

OptimizerState = Mapping[str, Mapping[str, Any]]
"""What an optimiser keeps for each parameter, by the parameter's name."""


class Training(lightning.LightningModule):
    """One network learning from patches."""

    def __init__(
        self,
        recipe: Recipe,
        carried: OptimizerState | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Build the recipe's network; `carried` is an optimiser's state to go on with.

        `teacher` is for objectives that learn from one.
        """
        super().__init__()
        self.recipe = recipe
        self.network = build_network(recipe.model)
        # What oneDNN and cuDNN convolve fastest; checkpoints are written in the plain order.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._objective = build_objective(recipe.objective)
        self._weights = dict(recipe.weights)
        self._carried = carried or {}
        self._taught_by = teacher

    def training_step(self, batch: Mapping[str, Tensor], _: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self._objective.loss(self.network, self.batch_of(batch), self._weights)
        self.log("loss", loss, prog_bar=True)
        return loss

    def batch_of(self, patches: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return what the objective reads: patches as floats, and what the teacher restores."""
        batch = as_floats(patches)
        return {**batch, "teacher": self._taught_by(batch["lr"])} if self._taught_by else batch

    def learnt(self) -> dict[str, Tensor]:
        """Return the weights that a checkpoint keeps, in the form of the recipe's network."""
        return dict(self.network.state_dict())

    def write_beside(self, folder: Path) -> None:
        """Write what belongs beside the checkpoint into its folder: here nothing."""

    def configure_optimizers(self) -> lightning.pytorch.utilities.types.OptimizerLRScheduler:
        """Return the recipe's optimiser and a schedule for each of its rates."""
        groups = self.groups()
        optimizer = _optimizer(self.recipe, groups)
        rates = [_factor(self.recipe, group["lr"]) for group in groups]
        _carry(optimizer, [name for group in groups for name in group["names"]], self._carried)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters that learn, in groups of one rate each."""
        rates = self.recipe.optimizer.rates
        bases = {**dict(rates), "": self.recipe.learning_rate}
        groups: dict[str, dict[str, Any]] = {
            prefix: {"params": [], "names": [], "lr": rate} for prefix, rate in bases.items()
        }
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                prefix = next((p for p, _ in rates if name.startswith(p)), "")
                groups[prefix]["params"].append(parameter)
                groups[prefix]["names"].append(name)
        return [group for group in groups.values() if group["params"]]


def _factor(recipe: Recipe, base: float) -> Callable[[int], float]:
    """Return the factor that LambdaLR wants, rate over base rate.

    A plain function: LambdaLR would pickle what any other callable holds.
    """

    def factor(step: int) -> float:
        return recipe.schedule.rate(base, step, recipe.steps) / base

    return factor


def _optimizer(recipe: Recipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    settings = recipe.optimizer
    bare = [{"params": group["params"], "lr": group["lr"]} for group in groups]
    if settings.kind == "sgd":
        return torch.optim.SGD(bare, momentum=settings.beta_1, weight_decay=settings.weight_decay)
    if settings.kind == "muon":
        return Muon(bare)
    betas = (settings.beta_1, settings.beta_2)
    return torch.optim.Adam(bare, betas=betas, weight_decay=settings.weight_decay, fused=True)


def _carry(optimizer: torch.optim.Optimizer, names: list[str], carried: OptimizerState) -> None:
    """Give the optimiser what an earlier one kept for parameters of the same names."""
    state = {index: dict(carried[name]) for index, name in enumerate(names) if name in carried}
    if state:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def optimizer_state(task: Training, saved: Mapping[str, Any]) -> OptimizerState:
    """Return what the optimiser of a stage kept, by name.

    `task` is the stage's own task, `saved` the optimiser's entry of its `last.ckpt`.
    """
    names = [name for group in task.groups() for name in group["names"]]
    return {names[int(index)]: kept for index, kept in saved["state"].items()}
