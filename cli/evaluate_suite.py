"""`crispstream evaluate --suite`: models on the kit's own benchmark, in one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .evaluate import network_of, progress_on

if TYPE_CHECKING:
    from rich.table import Table

    from crispstream.core.pixels import Bytes
    from crispstream.runtime.restorer import Restorer
    from crispstream.train.suite.judging import Restores

Figures = dict[str, Any]

UNSHARP = "bicubic-unsharp"
SUMMARY = (
    ("synthetic", "synthetic", "{:+.2f}"),
    ("real", "real", "{:+.2f}"),
    ("clips", "clips", "{:+.2f}"),
    ("noise", "noise", "{:+.2f}"),
    ("h264", "H.264", "{:+.2f}"),
    ("sharp", "sharp", "{:+.2f}"),
    ("dark", "dark", "{:+.2f}"),
    ("bright", "bright", "{:+.2f}"),
    ("upscaled", "upscaled", "{:+.2f}"),
    ("flicker", "flicker", "{:.2f}"),
    ("warped_difference", "warped", "{:.2f}"),
)
"""Of the table: figure, title, format. Columns without any figure are left out."""
PARTS = (
    ("frames", "frames", "{}"),
    ("psnr_db", "PSNR dB", "{:.2f}"),
    ("ssim", "SSIM", "{:.4f}"),
    ("gain_db", "over bicubic dB", "{:+.2f}"),
    ("worst", "worst sample", "{}"),
    ("worst_gain_db", "there", "{:+.2f}"),
    ("flicker", "flicker", "{:.2f}"),
    ("warped_difference", "warped", "{:.2f}"),
)
CAPTION = (
    "Gains in dB PSNR over bicubic on the same frames; flicker and warped differences in grey "
    "levels, lower is steadier."
)


class Plain:
    """A model whose frames do not depend on one another."""

    def __init__(self, restore: Callable[[Bytes], Bytes]) -> None:
        """Take a function from LR [H,W,3] to [4H,4W,3]."""
        self.restore = restore

    def reset(self) -> None:
        """Forget nothing, for nothing is remembered."""


class OfBundle:
    """An open bundle."""

    def __init__(self, restorer: Restorer) -> None:
        """Take a restorer that somebody else closes."""
        self._restorer = restorer
        self.reset = restorer.reset

    def restore(self, frame_hwc: Bytes) -> Bytes:
        """Return a frame of its own: the restorer's is overwritten by later ones."""
        return self._restorer.restore(frame_hwc).copy()


def evaluate_suite(
    name: str,
    models: list[str],
    data: Path | None,
    precision: str,
    *,
    as_json: bool,
    parts: bool,
) -> None:
    """Judge models on a suite that was built in `data`, or else in the cache, and print it.

    Raises:
        UsageError: if there is no such suite, or it is not built there.
    """
    from crispstream.train.suite.judging import judge
    from crispstream.train.suite.reading import check_built
    from crispstream.train.suite.suites import SUITES

    suite = SUITES.get(name)()
    folder = data or default_folder(name)
    place = f" {folder}" if data else ""
    check_built(suite, folder, f"crispstream data build {name} SRC{place}")
    with ExitStack() as stack:
        opened = {model: stack.enter_context(_opened(model, precision)) for model in models}
        verdict = judge(suite, folder, opened, progress_on(stack, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(_finite(verdict), allow_nan=False))
        return
    _show(verdict, parts=parts)


def default_folder(suite: str) -> Path:
    """Return where a suite is built and looked for if no folder is named: in the user's cache.

    Raises:
        UsageError: if the user has no cache.
    """
    from crispstream.runtime.engine.store.places import cache_folder

    return cache_folder() / "suites" / suite


@contextmanager
def _opened(name: str, precision: str) -> Iterator[Restores]:
    """Open any of the kinds of model."""
    if name == UNSHARP:
        from crispstream.train.suite.unsharp import restore

        yield Plain(restore)
    elif name.endswith(".safetensors"):
        yield _checkpoint(name)
    else:
        from crispstream.runtime.restorer import Restorer

        graph = "auto" if name == "bicubic" else precision
        with Restorer.open(name, precision=graph, allow_uncertified=True) as restorer:
            yield OfBundle(restorer)


def _checkpoint(name: str) -> Restores:
    from crispstream.train.models.edge_recurrent import RecurrentEdge
    from crispstream.train.restoring import restoring
    from crispstream.train.suite.stateful import Stateful

    network = network_of(name)
    if isinstance(network, RecurrentEdge):
        return Stateful(network)
    return Plain(restoring(network))


def _finite(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Put None for what JSON has no number for: the PSNR of exact frames, and gains by it."""
    from math import isfinite

    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def _show(verdict: Figures, *, parts: bool) -> None:
    from rich.console import Console

    console = Console()
    console.print(_part_table(verdict) if parts else _summary_table(verdict))
    if verdict["changed_parts"]:
        changed = ", ".join(verdict["changed_parts"])
        console.print(
            f"Not the published pictures: {changed}. Another version of a library has made them; "
            "their figures compare only among themselves."
        )


def _summary_table(verdict: Figures) -> Table:
    """Return a row a model, and the floor of the truth."""
    rows = {name: figures["summary"] for name, figures in verdict["models"].items()}
    floor = {key: value for part in verdict["truth"].values() for key, value in part.items()}
    cells = [(name, *_cells(row, SUMMARY)) for name, row in (*rows.items(), ("(truth)", floor))]
    return _table(f"{verdict['suite']}", ("model",), SUMMARY, cells)


def _part_table(verdict: Figures) -> Table:
    """Return a row for each part and model."""
    names = [part for part in next(iter(verdict["models"].values())) if part != "summary"]
    cells = [
        (part, model, *_cells(figures[part], PARTS))
        for part in names
        for model, figures in verdict["models"].items()
    ]
    return _table(f"{verdict['suite']}", ("part", "model"), PARTS, cells)


def _cells(figures: Figures, columns: tuple[tuple[str, str, str], ...]) -> list[str]:
    return ["-" if figures.get(k) is None else form.format(figures[k]) for k, _, form in columns]


def _table(
    title: str,
    heads: tuple[str, ...],
    columns: tuple[tuple[str, str, str], ...],
    rows: list[tuple[str, ...]],
) -> Table:
    from rich.table import Table

    table = Table(*heads, *(head for _, head, _ in columns), title=title, caption=CAPTION)
    table.columns[len(heads) - 1].overflow = "fold"  # cut names would hide what follows them
    for row in rows:
        table.add_row(*row)
    return table
