"""One sitting of the quality campaign: train, resume, judge and bring home within limits.

    python benchmarks/campaign.py edge-s --data ../shared/data --minutes 28 --suite build/crisp-v1
    python benchmarks/campaign.py edge-s --data ../shared/data --pack build/edge-s.zip --pack-mb 40
    python benchmarks/campaign.py edge-s --data build/edge-s.zip --minutes 9 --max-mb 16

The first trains where the media are; the second makes a pack for a machine that has neither media
nor a video decoder, which the third trains from. A run that is in --out goes on. What goes home is
in --out/home: weights, the state to go on from, and record.json. Needs the extra train alone; av
where there are media. See docs/campaign.md.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks.campaign_judge import Gains, gains, judge_folder
from benchmarks.campaign_pack import JUDGE, MEBIBYTE, START, is_pool, pack, unpack
from benchmarks.campaign_return import LAST, bring_home
from crispstream.core.errors import CrispstreamError, UsageError
from crispstream.core.files import write_json_atomically
from crispstream.core.machine import usable_cores
from crispstream.runtime.measure.host import host_facts
from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.data.pool import PoolPlan, build_pool
from crispstream.train.evaluate import read_pairs
from crispstream.train.loop import train
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.recipes.registry import build_recipe, with_steps
from crispstream.train.restoring import restoring
from crispstream.train.runs import StoppedError

SO_FAR = "so-far.safetensors"
"""What a training that met its time limit leaves beside its state."""

HOME, RECORD = "home", "record.json"
_FEWEST_MINUTES = 0.2


@dataclass(frozen=True)
class Sitting:
    """What one sitting did; minutes and seconds are wall clock unless they say CPU."""

    recipe: str
    network: str
    steps_before: int
    steps: int
    """After this sitting, of `steps_asked`."""
    steps_asked: int
    training_seconds: float
    training_cpu_seconds: float
    sitting_seconds: float
    before: Gains | None
    """None where there was nothing to begin with."""
    after: Gains


def main() -> int:
    """Run a sitting, or make a pack for one."""
    chosen = _parser().parse_args()
    begun = time.monotonic()
    try:
        recipe = recipe_for(chosen.recipe, chosen.network, chosen.steps)
        folders = ready(chosen.data, chosen.out)
        judge = _judge(chosen, folders, recipe)
        start = _start(chosen, folders)
        if chosen.pack:
            _pack(chosen, recipe, folders, judge, start)
            return 0
        sitting = _sitting(chosen, recipe, folders, judge, start, begun)
        print(json.dumps(_record(chosen, recipe, sitting)))
    except CrispstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("recipe", help="a recipe of the family: edge-n, edge-s, edge-m, ...")
    add("--network", help="another network by the same recipe, for a baseline: srresnet")
    add("--data", type=Path, action="append", required=True, help="media, a pool, or a pack")
    add("--out", type=Path, default=Path("build/campaign"), help="the run; one there goes on")
    add("--from", dest="start", help="a checkpoint to start from, if no run is in --out")
    add("--minutes", type=float, default=28.0, help="of the whole sitting")
    add("--steps", type=int, help="of the whole training, instead of the recipe's")
    add("--suite", type=Path, help="the built suite that a few frames are taken of")
    add("--max-mb", type=float, default=16.0, help="MiB of all that goes home")
    add("--pack", type=Path, help="make this pack instead of training")
    add("--pack-mb", type=float, default=40.0, help="MiB of the pack")
    add("--seed", type=int, default=1, help="which crops go into the pack")
    add("--cache", type=Path, default=Path("build/pools"), help="where pools are kept")
    add("--workers", type=int, default=usable_cores(), help="processes that prepare data")
    add("--threads", type=int, help="threads that compute")
    return parser


def recipe_for(name: str, network: str | None, steps: int | None) -> Recipe:
    """Return the recipe, for another network if one is named.

    Another network learns from the same crops, in the same order, by the plain loss that all
    networks understand. It starts from scratch.

    Raises:
        UsageError: if the recipe is not known, or of several stages for one network.
    """
    recipe = build_recipe(name)
    recipe = with_steps(recipe, steps) if steps else recipe
    if network is None or network == recipe.model:
        return recipe
    if recipe.earlier or recipe.quantised:
        raise UsageError(f"'{name}' is made for its own network; take edge-n, edge-s or edge-m")
    return replace(recipe, model=network, objective="charbonnier", weights=())


def ready(data: list[Path], out: Path) -> list[Path]:
    """Return the folders to learn from; a pack is unpacked into `out`."""
    if len(data) == 1 and data[0].suffix == ".zip":
        return [unpack(data[0], out / "pool")]
    return data


def _start(chosen: argparse.Namespace, folders: list[Path]) -> Path | None:
    if chosen.start:
        from crispstream.train.shipped import starting_weights

        return starting_weights(chosen.start)
    packed = folders[0] / START
    return packed if is_pool(folders) and packed.is_file() else None


def _judge(chosen: argparse.Namespace, folders: list[Path], recipe: Recipe) -> Path:
    packed = folders[0] / JUDGE
    if chosen.suite is None and is_pool(folders) and packed.is_dir():
        return packed
    plan = recipe.pool if isinstance(recipe.pool, PoolPlan) else PoolPlan()
    media = [] if is_pool(folders) else folders
    return judge_folder(chosen.out / JUDGE, chosen.suite, media, plan)


def _pack(
    chosen: argparse.Namespace,
    recipe: Recipe,
    folders: list[Path],
    judge: Path,
    start: Path | None,
) -> None:
    if not isinstance(recipe.pool, PoolPlan):
        raise UsageError(f"'{chosen.recipe}' does not learn from a pool of crops; none is packed")
    pool = folders[0]
    if not is_pool(folders):
        pool = build_pool(folders, recipe.pool, chosen.cache, max(1, chosen.workers), _tell)
    room = int(chosen.pack_mb * MEBIBYTE)
    made = pack(pool, chosen.pack, max_bytes=room, judge=judge, start=start, seed=chosen.seed)
    print(json.dumps(asdict(made)))


def _sitting(
    chosen: argparse.Namespace,
    recipe: Recipe,
    folders: list[Path],
    judge: Path,
    start: Path | None,
    begun: float,
) -> Sitting:
    resumes = (chosen.out / LAST).is_file()
    known = weights_so_far(chosen.out, recipe) if resumes else start
    known = known if known and known.is_file() else None  # of a run that was killed
    seen = time.monotonic()
    before = None if known is None else judged(known, judge)
    steps_before = steps_of(known) if resumes else 0
    # Judging again takes as long; what is left over is for writing.
    needed = 2 * (time.monotonic() - seen) + 5
    left = chosen.minutes - (time.monotonic() - begun + needed) / 60
    wall, cpu = time.monotonic(), time.process_time()
    path = trained(chosen, recipe, folders, None if resumes else start, resumes, left)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return Sitting(
        recipe=chosen.recipe,
        network=recipe.model,
        steps_before=steps_before,
        steps=steps_of(path),
        steps_asked=recipe.steps,
        training_seconds=round(wall, 1),
        training_cpu_seconds=round(cpu, 1),
        before=before,
        after=judged(path, judge),
        sitting_seconds=round(time.monotonic() - begun, 1),
    )


def trained(
    chosen: argparse.Namespace,
    recipe: Recipe,
    folders: list[Path],
    start: Path | None,
    resume: bool,
    minutes: float,
) -> Path:
    """Train for so long and return the newest checkpoint.

    Raises:
        UsageError: if no time is left for it.
    """
    if minutes < _FEWEST_MINUTES:
        raise UsageError(
            f"{chosen.minutes:g} minutes leave {max(0, minutes):.1f} for the training; allow more "
            "with --minutes, or run it again: what was prepared is kept"
        )
    try:
        return train(
            recipe, folders, chosen.out, start=start, resume=resume, cache=chosen.cache,
            workers=chosen.workers, threads=chosen.threads, progress=_tell, minutes=minutes,
        )  # fmt: skip
    except StoppedError as error:
        _tell(str(error))
        return weights_so_far(chosen.out, recipe)


def weights_so_far(out: Path, recipe: Recipe) -> Path:
    """Return the newest checkpoint of a run: of its end, or of its last time limit."""
    ended, limited = out / f"{recipe.model}.safetensors", out / SO_FAR
    return max((ended, limited), key=lambda path: path.stat().st_mtime if path.is_file() else 0)


def steps_of(checkpoint: Path | None) -> int:
    """Return the steps that a checkpoint has learnt for; 0 of none."""
    return 0 if checkpoint is None else load_checkpoint(checkpoint).steps_done


def judged(checkpoint: Path, judge: Path) -> Gains:
    """Return the gains of a checkpoint's network."""
    return gains(restoring(load_checkpoint(checkpoint).network()), read_pairs(judge))


def _record(chosen: argparse.Namespace, recipe: Recipe, sitting: Sitting) -> dict[str, Any]:
    """Bring home what there is, and return the record that lies beside it."""
    room = int(chosen.max_mb * MEBIBYTE) - MEBIBYTE // 8  # for the record itself
    home = chosen.out / HOME
    went = bring_home(weights_so_far(chosen.out, recipe), chosen.out / LAST, home, room)
    record = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": device_name(),
        "host": asdict(host_facts()),
        "torch": torch.__version__,
        **asdict(sitting),
        "gain_db": gain_db(sitting),
        "home": asdict(went),
    }
    write_json_atomically(home / RECORD, record)
    return record


def gain_db(sitting: Sitting) -> dict[str, float | None]:
    """Return the mean gain over bicubic before and after."""
    before = None if sitting.before is None else round(sitting.before.mean_db, 3)
    return {"before": before, "after": round(sitting.after.mean_db, 3)}


def device_name() -> str:
    """Return what computes the training."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
