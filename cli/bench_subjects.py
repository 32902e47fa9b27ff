"""What `crispstream bench` compares: names, paths and precisions become opened restorers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crispstream.core.errors import UsageError
from crispstream.core.sizes import Size

from .warn import warn_uncertified

if TYPE_CHECKING:
    from crispstream.core.bundle import Bundle
    from crispstream.runtime.engine.building.monitor import Progress
    from crispstream.runtime.engine.engine_file import EngineFile
    from crispstream.runtime.measure.bench.speeds import Pair
    from crispstream.runtime.measure.bench.subjects import Subject
    from crispstream.runtime.restorer import Restorer

BICUBIC = "bicubic"


@dataclass(frozen=True)
class Means:
    """With what the variants are to run."""

    backend: str
    threads: int | None
    cuda_graph: bool
    allow_uncertified: bool


@dataclass(frozen=True)
class Wanted:
    """One variant, before it is opened."""

    thing: str
    """As it was given."""
    precision: str = "auto"
    """Of a bundle; the others have but one."""
    file: "EngineFile | None" = None
    """Of an engine file."""


def wanted_variants(
    things: Sequence[str], precisions: Sequence[str], backend: str
) -> tuple[list[Wanted], list[str]]:
    """Return things times precisions, and a note for each that is left out.

    A precision that one bundle lacks is left out where another has it. Bicubic and engine files
    have but one form, whatever is listed.

    Raises:
        UsageError: for an unknown name, precision or backend, or a precision that no bundle has.
        BundleError: if a bundle is damaged.
        EngineError: if the backend cannot work here, or an engine file is not what it was.
    """
    from crispstream.runtime.engine.choose import check_precision, lacks
    from crispstream.runtime.engine.engine_file import EngineFile

    for precision in precisions:
        check_precision(precision)
    found: list[Wanted] = []
    missing: list[tuple[str, str]] = []
    read = [(thing, _looked_up(thing)) for thing in things]
    name = _backend_of_bundles(backend, read)
    for thing, what in read:
        if what is None or isinstance(what, EngineFile):
            found.append(Wanted(thing, file=what))
            continue
        for precision in precisions:
            if lacks(what, precision, name):
                missing.append((thing, precision))
            else:
                found.append(Wanted(thing, precision))
    had = {each.precision for each in found}
    for thing, precision in missing:
        if precision not in had:
            raise _lacking(thing, precision, name)
    notes = [f"{thing} has no {wanted} for {name}, so it is left out" for thing, wanted in missing]
    return found, notes


def _looked_up(thing: str) -> "Bundle | EngineFile | None":
    """Return the bundle or the engine file that is meant; None for bicubic."""
    from crispstream.runtime.engine.engine_file import is_engine_file, read_engine_file
    from crispstream.runtime.engine.models import find_model

    if thing == BICUBIC:
        return None
    return read_engine_file(Path(thing)) if is_engine_file(thing) else find_model(thing)


def _backend_of_bundles(
    backend: str, read: Sequence[tuple[str, "Bundle | EngineFile | None"]]
) -> str:
    """Return the backend that bundles will run on; asked only where there are any."""
    from crispstream.core.bundle import Bundle
    from crispstream.runtime.engine.available import choose_backend

    if any(isinstance(what, Bundle) for _, what in read):
        return choose_backend(backend).name
    return backend


def _lacking(thing: str, precision: str, backend: str) -> UsageError:
    from crispstream.runtime.engine.choose import PRECISIONS, lacks
    from crispstream.runtime.engine.models import find_model

    bundle = find_model(thing)
    there = [each for each in PRECISIONS if not lacks(bundle, each, backend)]
    return UsageError(
        f"{bundle.name} has no {precision} graph for {backend}; choose --precision from "
        f"{', '.join(there)}"
    )


def check_backend(backend: str, device: str, wanted: Sequence[Wanted]) -> None:
    """Refuse a backend or a device that what is timed has no use for.

    Raises:
        UsageError: naming it.
    """
    on_gpu = [each.thing for each in wanted if each.file is not None]
    if device == "cpu" and on_gpu:
        raise UsageError(f"--device is cpu, and '{on_gpu[0]}' is an engine for GPUs; leave one out")
    bundles = [each for each in wanted if each.file is None and each.thing != BICUBIC]
    if backend != "auto" and not bundles:
        raise UsageError(
            f"--backend {backend} is for bundles, and none is given: bicubic has no backend, and "
            "an engine file brings its own; leave it out"
        )


def size_of_files(wanted: Sequence[Wanted]) -> Size | None:
    """Return the size that the engine files are made for; None without, or where they differ."""
    sizes = {each.file.best_size for each in wanted if each.file is not None}
    return sizes.pop() if len(sizes) == 1 else None


class Opened(NamedTuple):
    """One variant, ready to be timed."""

    wanted: Wanted
    restorer: "Restorer"
    subject: "Subject"


def opened_variants(
    wanted: Sequence[Wanted],
    means: Means,
    size: Size,
    closing: ExitStack,
    on_build: "Progress | None" = None,
) -> list[Opened]:
    """Open all variants for frames of a size in px, each under a name of its own.

    Args:
        wanted: the variants.
        means: with what they run.
        size: (width, height) of the frames.
        closing: closes them.
        on_build: told how far a build is, should an engine be needed.

    Raises:
        CrispstreamError: what `Restorer.open` raises.
    """
    from crispstream.runtime.measure.bench.subjects import subject_of

    restorers = []
    for each in wanted:
        restorer = closing.enter_context(_opened(each, means, on_build))
        restorer.reserve(*size)
        restorers.append(restorer)
    for name, precision in dict.fromkeys((r.name, r.precision) for r in restorers if r.uncertified):
        warn_uncertified(name, precision)
    rungs = [(each.thing, one.rung) for each, one in zip(wanted, restorers, strict=True)]
    return [
        Opened(each, restorer, subject_of(restorer, name=name))
        for each, restorer, name in zip(wanted, restorers, distinct_names(rungs), strict=True)
    ]


def _opened(wanted: Wanted, means: Means, on_build: "Progress | None") -> "Restorer":
    from crispstream.runtime.engine.engine_file import open_engine_file
    from crispstream.runtime.restorer import Restorer

    if wanted.file is not None:
        return Restorer(open_engine_file(wanted.file, cuda_graph=means.cuda_graph))
    return Restorer.open(
        wanted.thing,
        wanted.precision,
        "auto" if wanted.thing == BICUBIC else means.backend,
        threads=means.threads,
        allow_uncertified=means.allow_uncertified,
        cuda_graph=means.cuda_graph,
        on_build=on_build,
    )


def distinct_names(variants: Sequence[tuple[str, str]]) -> list[str]:
    """Return a name for each (thing, rung): with the path where rungs are equal, then counted.

    >>> distinct_names([("a/edge-n", "edge-n fp32"), ("edge-n", "edge-n fp32")])
    ['edge-n fp32 (a/edge-n)', 'edge-n fp32 (edge-n)']
    >>> distinct_names([("edge-n", "edge-n fp32")] * 2)
    ['edge-n fp32', 'edge-n fp32 (2)']
    """
    things: dict[str, set[str]] = {}
    for thing, rung in variants:
        things.setdefault(rung, set()).add(thing)
    names = [f"{rung} ({thing})" if len(things[rung]) > 1 else rung for thing, rung in variants]
    seen: Counter[str] = Counter()
    for place, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[place] = f"{name} ({seen[name]})"
    return names


def pairs_of(opened: Sequence[Opened]) -> "Iterator[Pair]":
    """Give fp16 and int8 of each bundle that was timed in both, once."""
    from crispstream.runtime.measure.bench.speeds import Pair

    by_thing: dict[str, dict[str, Opened]] = {}
    for each in opened:
        if each.wanted.file is None:
            by_thing.setdefault(each.wanted.thing, {}).setdefault(each.restorer.precision, each)
    for found in by_thing.values():
        if "fp16" in found and "int8" in found:
            fp16, int8 = found["fp16"], found["int8"]
            if (padded := fp16.restorer.padded_size) is not None:
                yield Pair(fp16.subject.name, int8.subject.name, padded)
