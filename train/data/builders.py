"""The data sets that can be built, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from crispstream.core.registry import Registry

from .journal import read_manifest
from .layout import check_places


class Build(Protocol):
    """Reads an official layout and writes a built set."""

    def __call__(
        self,
        src: Path,
        dst: Path,
        *,
        workers: int = 1,
        progress: Callable[[str], None] | None = None,
    ) -> Path:
        """Build the set below `dst` and return its folder."""
        ...


@dataclass(frozen=True)
class Builder:
    """A kind of data set."""

    build: Build
    protocol: str
    """How its test set is judged."""
    recipe: str
    """What is usually trained on it; empty for a set that only tests."""
    whole: int = 0
    """Items of the whole published set; 0 where that depends on what the user has."""
    changed: Callable[[Path], list[str]] | None = None
    """Of a suite: which parts of a built one are not as they were published."""


BUILDERS: Registry[Builder] = Registry("data set")


@BUILDERS.register("lr-gopro")
def _lr_gopro() -> Builder:
    from . import lr_gopro

    return Builder(lr_gopro.build, "gfn", "gfn", 2103 + 1111)


@BUILDERS.register("lr-koehler")
def _lr_koehler() -> Builder:
    from . import lr_koehler

    return Builder(lr_koehler.build, "gfn", "", 4 * 12)


@BUILDERS.register("reds")
def _reds() -> Builder:
    from . import reds

    return Builder(reds.build, "cnlrn", "cnlrn", 240 * 100 + 300)


@BUILDERS.register("sisr")
def _sisr() -> Builder:
    from . import sisr

    return Builder(sisr.build, "cmsc", "cmsc-sisr")


@BUILDERS.register("nyuv2-bsr")
def _nyuv2_bsr() -> Builder:
    from . import bsr

    return Builder(bsr.build_nyuv2, "cmos", "cmos-nyuv2", 795 + 654)


@BUILDERS.register("cityscapes-bsr")
def _cityscapes_bsr() -> Builder:
    from . import bsr

    return Builder(bsr.build_cityscapes, "cmos", "cmos-cityscapes", 2975 + 500 + 1525)


@BUILDERS.register("crisp-v1")
def _crisp_v1() -> Builder:
    from crispstream.train.suite import building, reading
    from crispstream.train.suite.suites import SUITES

    suite = SUITES.get("crisp-v1")()
    changed = partial(reading.changed_parts, suite)
    return Builder(partial(building.build, suite), "", "", len(suite.pieces), changed)


def build_data_set(
    kind: str,
    src: Path,
    dst: Path,
    *,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Build a data set of this kind from the folder `src` in the folder `dst`, and return `dst`.

    A build that was interrupted goes on where it stopped; one that is finished returns at once.

    Raises:
        UsageError: if `kind` is unknown, `src` has another layout, or `dst` holds something else.
        TrainError: if a source is broken or `dst` cannot be written.
    """
    builder = BUILDERS.get(kind)()
    check_places(src, dst)
    return builder.build(src, dst, workers=workers, progress=progress)


def summary_of(folder: Path) -> dict[str, Any]:
    """Return what a built set holds: its kind, items, training samples, pictures and bytes.

    Raises:
        UsageError: if there is no finished set.
        TrainError: if its manifest cannot be read.
    """
    manifest = read_manifest(folder)
    files = manifest["files"]
    shards = {name.rsplit(".", 2)[0]: files[name]["shape"] for name in files if name[-4:] == ".npy"}
    return {
        "kind": manifest["kind"],
        "items": manifest["items"],
        "samples": sum(shape[0] for shape in shards.values()),
        "pictures": sum(name.endswith(".png") for name in files),
        "bytes": sum(facts["bytes"] for facts in files.values()),
    }
