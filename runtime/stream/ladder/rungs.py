"""From names to a ladder: `edge-s,edge-s:int8-cpu,edge-n,bicubic`, or `auto`."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from crispstream.core.bundle import Bundle
from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import BundleError, EngineError, UsageError
from crispstream.core.sizes import Size
from crispstream.runtime.engine.available import CPU, choose_backend
from crispstream.runtime.engine.building.monitor import Progress
from crispstream.runtime.engine.choose import choose_graph
from crispstream.runtime.engine.models import find_model, shipped_names
from crispstream.runtime.restorer import Restorer

from .ladder import Ladder

AUTO = "auto"
BICUBIC = "bicubic"
_FAMILY = "edge-"
"""The shipped networks that are made as larger and smaller ones of a kind."""
_PRECISIONS = ("fp32", "fp16", "int8", "int8-cpu")
"""From the most exact to the fastest."""
_log = logging.getLogger("crispstream.stream")


class Named(NamedTuple):
    """One rung, to be opened."""

    model: str
    """A shipped name, the path of a bundle, or `bicubic`."""
    precision: str
    """Of the graph to run; `auto` for bicubic."""


def open_ladder(
    names: str,
    model: str | Path,
    *,
    budget_ms: float,
    precision: str = AUTO,
    backend: str = AUTO,
    threads: int | None = None,
    frames_in_flight: int = 2,
    allow_uncertified: bool = False,
    cuda_graph: bool = True,
    on_build: Progress | None = None,
    tile: Size | None = None,
    clock: Clock = monotonic_ns,
) -> Ladder:
    """Open every rung of a ladder; use it in a `with` statement.

    All rungs run on one backend. Each has its own engine, buffers and threads, which sleep
    while another rung is in charge, so memory is that of all models together.

    Args:
        names: rungs, best first, with commas between them: `model` or `model:precision`, a model
            being a shipped name, the path of a bundle, or bicubic. "auto": the certified
            precisions of `model`, most exact first, the smaller shipped models of the edge
            family, and bicubic.
        model: what "auto" begins with.
        budget_ms: from capture to restored.
        precision: what "auto" begins with, of those of `model`; "auto" for the most exact.
        backend: as in `Restorer.open`.
        threads: as in `Restorer.open`, for each rung.
        frames_in_flight: as in `Restorer.open`.
        allow_uncertified: as in `Restorer.open`, for precisions that are named.
        cuda_graph: as in `Restorer.open`.
        on_build: as in `Restorer.open`.
        tile: as in `Restorer.open`; bicubic needs none.
        clock: stamps frames and changes of rung.

    Raises:
        UsageError: if a name or number is none of those above, or a graph that is named is not
            certified.
        BundleError: if a bundle is damaged or lacks the precision.
        EngineError: if the backend cannot work here, or refuses a graph.
    """
    open_rung = partial(
        _open_rung,
        tile=tile,
        threads=threads,
        frames_in_flight=frames_in_flight,
        allow_uncertified=allow_uncertified,
        cuda_graph=cuda_graph,
        on_build=on_build,
        clock=clock,
    )

    def on(chosen: str) -> Ladder:
        wanted = named_rungs(names, model, precision, chosen, allow_uncertified)
        return _opened((open_rung(rung, chosen) for rung in wanted), budget_ms, clock)

    chosen = choose_backend(backend).name
    try:
        return on(chosen)
    except EngineError as error:
        if backend != AUTO or chosen == CPU:
            raise
        _log.warning("the ladder runs on the CPU, for %s failed: %s", chosen, error)
        return on(CPU)


def _opened(rungs: Iterable[Restorer], budget_ms: float, clock: Clock) -> Ladder:
    """Return a ladder of what is opened on the way; all are closed if one fails."""
    with ExitStack() as opened:
        restorers = [opened.enter_context(rung) for rung in rungs]
        ladder = Ladder(restorers, budget_ms, clock=clock)
        opened.pop_all()
    return ladder


def _open_rung(rung: Named, backend: str, *, tile: Size | None, **options: Any) -> Restorer:  # noqa: ANN401
    """Open one rung; the options are those of `Restorer.open`."""
    if rung.model == BICUBIC:  # is computed, whatever runs the others
        backend, tile = AUTO, None
    return Restorer.open(rung.model, rung.precision, backend, tile=tile, **options)


def named_rungs(
    names: str, model: str | Path, precision: str, backend: str, allow_uncertified: bool = False
) -> list[Named]:
    """Return the rungs that `names` asks for on a backend, best first, each once.

    `open_ladder` tells what the arguments mean; `backend` is one of `engine.available.BACKENDS`.

    Raises:
        UsageError: if a name is unknown or empty, or a graph that is named is not certified.
        BundleError: if a bundle is damaged or lacks the precision.
    """
    if names == AUTO:
        rungs = _automatic(str(model), precision, backend, allow_uncertified)
    else:
        rungs = (_named(entry.strip(), backend, allow_uncertified) for entry in names.split(","))
    return list(dict.fromkeys(rungs))


def _named(entry: str, backend: str, allow_uncertified: bool) -> Named:
    if not entry:
        raise UsageError(
            "a rung of the ladder has no name; write them as in edge-s:fp32,edge-n,bicubic"
        )
    name, precision = entry, AUTO
    if ":" in entry and not Path(entry).is_dir():
        name, _, precision = entry.rpartition(":")
    if name == BICUBIC:
        if precision != AUTO:
            raise UsageError(f"bicubic has no graph in {precision}; write it without")
        return Named(BICUBIC, AUTO)
    graph = choose_graph(find_model(name), precision, backend, allow_uncertified)
    return Named(name, graph.precision)


def _automatic(
    model: str, precision: str, backend: str, allow_uncertified: bool
) -> Iterator[Named]:
    if model != BICUBIC:
        bundle = find_model(model)
        yield from _precisions(bundle, model, precision, backend, allow_uncertified)
        for smaller in _smaller(bundle):
            yield Named(smaller.name, choose_graph(smaller, AUTO, backend).precision)
    yield Named(BICUBIC, AUTO)


def _precisions(
    bundle: Bundle, model: str, precision: str, backend: str, allow_uncertified: bool
) -> Iterator[Named]:
    """Give the precision that was asked for and what is faster; of auto, all that tell apart."""
    if precision == AUTO:
        # fp16 looks like fp32 on a GPU and is faster; on a CPU it is computed in fp32.
        fastest = choose_graph(bundle, AUTO, backend).precision
        first = "fp16" if fastest == "fp16" else "fp32"
    else:
        first = choose_graph(bundle, precision, backend, allow_uncertified).precision
        yield Named(model, first)
    for each in _PRECISIONS[_PRECISIONS.index(first) :]:
        if (each, backend) == ("fp16", CPU):
            continue
        try:
            yield Named(model, choose_graph(bundle, each, backend).precision)
        except (UsageError, BundleError):
            continue  # the bundle has none, it is of another backend, or it is not certified


def _smaller(bundle: Bundle) -> list[Bundle]:
    """Return the shipped bundles of the family that compute less, largest first."""
    family = [find_model(name) for name in shipped_names() if name.startswith(_FAMILY)]
    smaller = [other for other in family if _macs(other) < (_macs(bundle) or float("inf"))]
    return sorted(smaller, key=_macs, reverse=True)


def _macs(bundle: Bundle) -> int:
    """Multiply-accumulates for each pixel; 0 if the bundle does not say."""
    return max(graph.macs_per_lr_pixel for graph in bundle.graphs)
