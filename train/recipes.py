"""Named recipes: a recipe is a function that returns every choice of one training."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from crispstream.core.registry import Registry

from .data.pool import PoolPlan
from .degrade.camera import CameraRange
from .degrade.motion import MotionRange
from .degrade.pipeline import Degradation

HELD_OUT = (
    "gopro_GOPR0477*",
    "GOPR0477*",
    "osfm_berlin*",
    "brighton_*",
    "skimage_*",
    "budgie_casa_mila*",
    "budgie_singaporean_cityscape*",
    "elementary_barn_grafitti*",
    "solus_forest_street*",
    "deepinun_sourav*",
    "sam2_dog*",
    "dashcam_carnd*",
)
"""Sources that judge the shipped weights and are never learnt from."""


@dataclass(frozen=True)
class Recipe:
    """One training, whole: saved inside each checkpoint it makes."""

    model: str
    """Name of the network."""
    steps: int
    """Optimiser steps."""
    batch: int = 12
    """Pairs in a step."""
    patch_px: int = 56
    """Side of an LR training patch."""
    learning_rate: float = 1e-3
    """Adam's peak rate; warmed up over 2 % of the steps, then cosine to a hundredth."""
    average_decay: float = 0.999
    """Decay of the moving average of the weights, which is what is kept."""
    seed: int = 1
    pool: PoolPlan = field(default_factory=PoolPlan)

    def __post_init__(self) -> None:
        """Refuse what would fail later."""
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps and batch are at least 1, got {self.steps} and {self.batch}")
        if not 8 <= self.patch_px <= self.pool.crop_px or self.patch_px % 4:
            raise ValueError(
                f"patch_px is a multiple of 4 from 8 to the pool's crop of {self.pool.crop_px}, "
                f"got {self.patch_px}"
            )


RECIPES: Registry[Recipe] = Registry("recipe")


def build_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        UsageError: if `name` is unknown; the message lists the known names.
    """
    return RECIPES.get(name)()


@RECIPES.register("edge-n")
def edge_n() -> Recipe:
    """The shipped edge-n."""
    return Recipe("edge-n", steps=30_000, learning_rate=2e-3, pool=PoolPlan(exclude=HELD_OUT))


@RECIPES.register("edge-s")
def edge_s() -> Recipe:
    """The shipped edge-s."""
    return Recipe("edge-s", steps=20_000, pool=PoolPlan(exclude=HELD_OUT))


@RECIPES.register("edge-n-tune")
def edge_n_tune() -> Recipe:
    """A last stage for edge-n, to be started --from a checkpoint."""
    return replace(edge_n(), steps=7_500, learning_rate=1e-3)


@RECIPES.register("edge-s-tune")
def edge_s_tune() -> Recipe:
    """A last stage for edge-s, to be started --from a checkpoint."""
    return replace(edge_s(), steps=4_500, learning_rate=6e-4)


@RECIPES.register("edge-m")
def edge_m() -> Recipe:
    """The largest: for a GPU."""
    return Recipe("edge-m", steps=200_000, batch=32, pool=PoolPlan(exclude=HELD_OUT))


@RECIPES.register("edge-n-smoke")
def edge_n_smoke() -> Recipe:
    """A minute on a laptop: proves the path, not the quality."""
    pool = PoolPlan(crop_px=32, crops_per_image=8, crops_per_video=24, exclude=HELD_OUT)
    return replace(edge_n(), steps=200, batch=8, patch_px=24, pool=pool)


def recipe_as_dict(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain JSON values."""
    return asdict(recipe)


def recipe_from_dict(content: dict[str, Any]) -> Recipe:
    """Return the recipe that `recipe_as_dict` wrote.

    >>> recipe_from_dict(recipe_as_dict(edge_n())) == edge_n()
    True
    """
    pool = dict(content["pool"])
    degradation = pool.pop("degradation")
    motion = MotionRange(**degradation["motion"])
    camera = CameraRange(**{k: _tuple(v) for k, v in degradation["camera"].items()})
    plan = PoolPlan(
        **{k: _tuple(v) for k, v in pool.items()},
        degradation=Degradation(
            motion,
            camera,
            _tuple(degradation.get("gamma", (2.2, 2.2))),
            degradation.get("soft_share", 0.0),
            _tuple(degradation.get("soft_px", (0.5, 2.5))),
        ),
    )
    return Recipe(**{**content, "pool": plan})


def _tuple(value: Any) -> Any:  # noqa: ANN401  (JSON knows lists only)
    return tuple(value) if isinstance(value, list) else value
