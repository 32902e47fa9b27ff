"""What a training step of the edge networks costs: precision, memory order and loss.

Steps of all forms in turns, of the same bytes: patches to floats, network, loss, gradients,
optimiser. The last form is that of the recipes; `items_per_s` is what one process cuts from a pool
in memory.

    python benchmarks/train_steps.py --save
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import torch
from common import MODELS, Limit, arguments, median_and_range, paired_ratio, publish, result

from crispstream.train.data.patches import Batches, PatchSet
from crispstream.train.precision import training_precision
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.schedules import Phase
from crispstream.train.task import Training

SEED = 1
CROP_PX = 64
RESTORE = (("frequency", 0.05), ("lr", 0.1))


class Form(NamedTuple):
    """One way to take a step."""

    mixed: bool
    channels_last: bool
    objective: str = "charbonnier"


FORMS = {
    "fp32, [B,C,H,W]": Form(False, False),
    "fp32, [B,H,W,C]": Form(False, True),
    "bf16, [B,C,H,W]": Form(True, False),
    "bf16, [B,H,W,C]": Form(True, True),
    "bf16, [B,H,W,C], restore": Form(True, True, "restore"),
}
AT_LEAST = {"edge-s": 1.3, "edge-m": 1.3}
"""Times as fast; edge-n's step is mostly what convolutions do not do."""
PLAIN, BEST = "fp32, [B,C,H,W]", "bf16, [B,H,W,C]"


class Crops:
    """Crops of noise that are held in memory."""

    names = ("noise",)

    def __init__(self, count: int) -> None:
        """Draw so many."""
        rng = np.random.default_rng(SEED)
        self._lr = rng.integers(0, 256, (count, CROP_PX, CROP_PX, 3), np.uint8)
        self._hr = rng.integers(0, 256, (count, 4 * CROP_PX, 4 * CROP_PX, 3), np.uint8)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._lr)

    def sample(self, index: int) -> dict[str, np.ndarray]:
        """Return one."""
        return {"lr": self._lr[index], "hr": self._hr[index]}


def batches_of(patch_px: int, batch: int, steps: int) -> Batches:
    """Return the batches of a training on noise."""
    patches = PatchSet(
        Crops(64),
        ("lr", "hr"),
        items=steps * batch,
        patch_px=patch_px,
        augment="dihedral",
        seed=SEED,
    )
    return Batches(patches, [Phase(steps, patch_px, batch)])


def stepping(model: str, form: Form) -> Callable[[dict[str, torch.Tensor]], float]:
    """Return what takes one step and tells its milliseconds."""
    torch.manual_seed(SEED)
    task = Training(Recipe(model, steps=1000, objective=form.objective, weights=RESTORE))
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    order = torch.channels_last if form.channels_last else torch.contiguous_format
    task.network.to(memory_format=order)  # type: ignore[call-overload]
    optimizer = task.configure_optimizers()["optimizer"]  # type: ignore[index,call-overload]

    def step(batch: dict[str, torch.Tensor]) -> float:
        given = {name: tensor.contiguous(memory_format=order) for name, tensor in batch.items()}
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=form.mixed):
            loss = task.training_step(given, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return 1000 * (time.perf_counter() - begun)

    return step


def main() -> None:
    """Take steps of every form in turns."""
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", default=[*MODELS, "edge-m"])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--patch-px", type=int, default=56)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    batches = batches_of(chosen.patch_px, chosen.batch, chosen.repeats + 2)
    begun = time.process_time()
    drawn = [batches[step] for step in range(chosen.repeats + 2)]
    rate = chosen.batch * len(drawn) / (time.process_time() - begun)
    figures: dict[str, object] = {"items_per_s": rate}
    limits = {}
    for model in chosen.models:
        steps = {name: stepping(model, form) for name, form in FORMS.items()}
        rounds = [{name: step(batch) for name, step in steps.items()} for batch in drawn][2:]
        series = {name: [each[name] for each in rounds] for name in FORMS}
        for name in FORMS:
            ratio = paired_ratio(series[PLAIN], series[name])
            figures[f"{model}, {name}"] = {
                "step_ms": median_and_range(series[name]),
                "times_as_fast": asdict(ratio),
            }
        if model in AT_LEAST and training_precision(mixed=True) == "bf16-mixed":
            ratio = paired_ratio(series[PLAIN], series[BEST])
            limits[f"{model}, {BEST}, times as fast as {PLAIN}"] = Limit(
                ratio.median, at_least=AT_LEAST[model]
            )
    settings = {name: getattr(chosen, name) for name in ("repeats", "patch_px", "batch", "threads")}
    publish(result("train_steps", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
