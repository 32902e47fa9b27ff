"""Where training samples come from: a built set, or a pool made of whatever media there are."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from crispstream.core.errors import UsageError

from .built import MANIFEST, BuiltSet
from .clips import ClipPlan, build_clips
from .defocus_pool import DefocusPlan, build_defocus_pool
from .journal import JOURNAL, read_manifest
from .pool import WHOLE, PoolPlan, build_pool, open_pool

Array = npt.NDArray[Any]
Progress = Callable[[str], None]


class Samples(Protocol):
    """Samples by number; each is a few arrays [H,W,C] by field name."""

    @property
    def names(self) -> tuple[str, ...]:
        """What they were made from, for the record."""
        ...

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def sample(self, index: int) -> Mapping[str, Array]:
        """Return one; the arrays are not to be written to."""
        ...


@dataclass(frozen=True)
class BuiltPlan:
    """A data set that `crispstream data build` has made."""

    kinds: tuple[str, ...]
    """Which kinds will do; the first is the published one."""


Plan = PoolPlan | ClipPlan | DefocusPlan | BuiltPlan


class PoolSamples:
    """The crops of a pool: `lr` and `hr`."""

    def __init__(self, folder: Path) -> None:
        """Map the pool; nothing is read yet."""
        self._folder = folder
        self.names: tuple[str, ...] = tuple(
            json.loads((folder / WHOLE).read_text(encoding="utf-8"))["files"]
        )
        self._lr, self._hr = open_pool(folder)

    def __reduce__(self) -> tuple[type["PoolSamples"], tuple[Path]]:
        """Leave the maps behind: another process opens its own."""
        return PoolSamples, (self._folder,)

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self._lr)

    def sample(self, index: int) -> dict[str, Array]:
        """Return views of one crop and its truth."""
        return {"lr": self._lr[index], "hr": self._hr[index]}


def open_samples(
    plan: Plan,
    folders: Sequence[Path],
    cache: Path,
    workers: int,
    progress: Progress | None = None,
) -> Samples:
    """Return the samples of `plan` below `folders`; pools are built if `cache` lacks them.

    A folder that is a pool itself is taken as it is.

    Raises:
        UsageError: if the folders hold nothing of the kind.
        TrainError: if a file cannot be read or the cache cannot be written.
    """
    if isinstance(plan, BuiltPlan):
        return _built(plan, folders)
    if isinstance(plan, ClipPlan):
        return BuiltSet.open(build_clips(folders, plan, cache, workers, progress))
    if isinstance(plan, DefocusPlan):
        return BuiltSet.open(build_defocus_pool(folders, plan, cache, workers, progress))
    if len(folders) == 1 and (folders[0] / WHOLE).is_file():
        return PoolSamples(folders[0])  # a pool that was made elsewhere
    return PoolSamples(build_pool(folders, plan, cache, workers, progress))


def _built(plan: BuiltPlan, folders: Sequence[Path]) -> BuiltSet:
    folder = folders[0]
    build = f"crispstream data build {plan.kinds[0]} SRC DST"
    if len(folders) != 1 or not folder.is_dir():
        raise UsageError(
            f"this recipe learns from one data set of the kind {plan.kinds[0]}, and --data names "
            f"{', '.join(map(str, folders))}; make it with: {build}, then give --data DST"
        )
    if (folder / JOURNAL).is_file():
        raise UsageError(f"the build of '{folder}' was interrupted; run it again: {build}")
    if not (folder / MANIFEST).is_file():
        near = (folder.parent / MANIFEST).is_file()
        advice = f"name '{folder.parent}'" if near else f"make one with: {build}"
        raise UsageError(f"'{folder}' is not a data set that was built here; {advice}")
    kind = read_manifest(folder)["kind"]
    if kind not in plan.kinds:
        raise UsageError(
            f"'{folder}' is a data set of the kind {kind}, this recipe learns from "
            f"{plan.kinds[0]}; make one with: {build}"
        )
    return BuiltSet.open(folder)
