"""A recipe: every choice of one training, and the form it has inside checkpoints."""

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from crispstream.core.int8 import FLAVOURS
from crispstream.train.data.clips import ClipPlan
from crispstream.train.data.defocus_pool import DefocusPlan
from crispstream.train.data.pool import PoolPlan
from crispstream.train.data.samples import BuiltPlan, Plan
from crispstream.train.objectives import OBJECTIVES
from crispstream.train.schedules import Phase, Schedule, phases_of

PLANS: dict[str, type[Plan]] = {
    "pool": PoolPlan,
    "clips": ClipPlan,
    "defocus": DefocusPlan,
    "built": BuiltPlan,
}
"""What a training may learn from, by the name that a checkpoint keeps."""

"""The INT8 graphs that a training can prepare for: TensorRT's, and ONNX Runtime's on the CPU."""

AUGMENTATIONS = ("dihedral", "flip", "flip-transpose", "flip-zoom")


@dataclass(frozen=True)
class Optimizer:
    """What turns gradients into steps."""

    kind: str = "adam"
    """adam, sgd, or muon, which has decays of its own."""
    beta_1: float = 0.9
    """Adam's first decay; momentum of SGD."""
    beta_2: float = 0.999
    """Adam's second decay."""
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    """Longest gradient; 0 does not clip."""
    rates: tuple[tuple[str, float], ...] = ()
    """Learning rates of parameters whose names begin so; all others have the recipe's."""


@dataclass(frozen=True)
class Recipe:
    """One training, whole: saved inside each checkpoint it makes."""

    model: str
    """Name of the network."""
    steps: int = 0
    """Optimiser steps; 0 where `epochs` says how long."""
    batch: int = 12
    """Samples in a step."""
    patch_px: int = 56
    """Side of an LR training patch; 0 takes samples whole."""
    patches: tuple[tuple[float, int, int], ...] = ()
    """Patches that change on the way, instead of `batch` and `patch_px`: of each phase its share
    of the steps, its patch_px and its batch. Small ones first: more of them for the same time."""
    learning_rate: float = 1e-3
    """Base rate of the schedule."""
    average_decay: float = 0.999
    """Decay of the moving average of the weights, which is what is kept; 0 keeps the last."""
    seed: int = 1
    pool: Plan = field(default_factory=PoolPlan)
    """What is learnt from."""
    epochs: int = 0
    """Passes over the data set, instead of steps."""
    objective: str = "charbonnier"
    """Name of the loss."""
    weights: tuple[tuple[str, float], ...] = ()
    """Weights of the parts of the loss, by name."""
    schedule: Schedule = field(default_factory=Schedule)
    optimizer: Optimizer = field(default_factory=Optimizer)
    augment: str = "dihedral"
    """dihedral: the eight flips and quarter turns. flip: left to right. flip-transpose.
    flip-zoom: flip, and zoom by 1, 1.2 or 1.5."""
    mixed: bool = False
    """Train in mixed precision on devices that are made for it, see `training_precision`."""
    stage: str = ""
    """Name of this training among the stages of a longer one."""
    earlier: "tuple[Recipe, ...]" = ()
    """Stages that come before."""
    starts: tuple[tuple[str, str], ...] = ()
    """Which earlier stages this one takes its weights from, and the prefix they get."""
    carry_optimizer: bool = False
    """Whether the optimiser's state goes on from the stage before."""
    quantised: str = ""
    """Flavour of the INT8 graph whose rounding is learnt with, see `FLAVOURS`; none if empty."""

    def __post_init__(self) -> None:
        """Refuse what would fail later."""
        if max(self.steps, self.epochs) < 1 or self.batch < 1:
            raise ValueError(f"steps and batch are at least 1, got {self.steps} and {self.batch}")
        if self.objective not in OBJECTIVES.names():
            raise ValueError(f"there is no objective '{self.objective}': {OBJECTIVES.names()}")
        if self.augment not in AUGMENTATIONS:
            raise ValueError(f"there is no augmentation '{self.augment}': {AUGMENTATIONS}")
        if self.quantised and (self.quantised not in FLAVOURS or self.earlier or self.mixed):
            raise ValueError(
                f"quantised is one of {FLAVOURS}, takes no earlier stages and is not mixed, whose "
                f"rounding is coarser, got '{self.quantised}', {len(self.earlier)} and {self.mixed}"
            )
        for _, patch_px, _ in self._shares():
            self._refuse_patch(patch_px)
        if self.patches and not _is_whole(self.patches):
            raise ValueError(
                f"patches are (share, patch_px, batch) with shares that add up to 1 and batches "
                f"of at least 1, got {self.patches}"
            )

    def _refuse_patch(self, patch_px: int) -> None:
        crop_px = getattr(self.pool, "crop_px", patch_px)
        if patch_px and (not 8 <= patch_px <= crop_px or patch_px % 4):
            raise ValueError(
                f"patch_px is 0, or a multiple of 4 from 8 to the pool's crop of {crop_px}, "
                f"got {patch_px}"
            )

    def _shares(self) -> tuple[tuple[float, int, int], ...]:
        return self.patches or ((1.0, self.patch_px, self.batch),)

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases of the steps: one, or those of `patches`."""
        return phases_of(self.steps, self._shares())

    def stages(self) -> "tuple[Recipe, ...]":
        """Return all stages in their order, this recipe last."""
        return (*self.earlier, self)


def _is_whole(patches: tuple[tuple[float, int, int], ...]) -> bool:
    shares, batches = [part[0] for part in patches], [part[2] for part in patches]
    return abs(sum(shares) - 1) < 1e-6 and min(shares) > 0 and min(batches) >= 1


def recipe_as_dict(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain JSON values."""
    names = {plan: name for name, plan in PLANS.items()}
    content = asdict(recipe)
    content["pool"]["kind"] = names[type(recipe.pool)]
    content["earlier"] = [recipe_as_dict(stage) for stage in recipe.earlier]
    return content


def recipe_from_dict(content: dict[str, Any]) -> Recipe:
    """Return the recipe that `recipe_as_dict` wrote; what it does not name has its default.

    Raises:
        KeyError, TypeError, ValueError: if the content is not that of a recipe.

    >>> recipe_from_dict({"model": "edge-n", "steps": 1, "pool": {}}).model
    'edge-n'
    """
    rest = dict(content)
    plan = dict(rest.pop("pool"))
    pool = _from_json(PLANS[plan.pop("kind", "pool")], plan)
    earlier = tuple(recipe_from_dict(stage) for stage in rest.pop("earlier", ()))
    known = {f.name for f in fields(Recipe)}
    if unknown := sorted(set(rest) - known):
        raise ValueError(f"it has settings that are not known here: {', '.join(unknown)}")
    hints = get_type_hints(Recipe)
    values = {name: _from_json(hints[name], value) for name, value in rest.items()}
    return Recipe(**values, pool=pool, earlier=earlier)


def _from_json(kind: Any, value: Any) -> Any:  # noqa: ANN401  (any field of any dataclass)
    """Turn JSON values back into dataclasses and tuples, guided by the annotations."""
    if is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        return kind(**{name: _from_json(hints[name], part) for name, part in value.items()})  # type: ignore[operator]
    if isinstance(value, list):
        inner = get_args(kind)[:1] if get_origin(kind) is tuple else ()
        return tuple(_from_json(inner[0] if inner else None, part) for part in value)
    return value
