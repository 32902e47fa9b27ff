"""`crispstream evaluate`: PSNR and SSIM of checkpoints, bundles or bicubic; see also the suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from crispstream.train.evaluate import Restore
    from crispstream.train.judging import Answering

PROTOCOLS = {
    "gfn": "RGB without 6 px at the border, SSIM of the volume",
    "cnlrn": "RGB without 4 px at the border",
    "cmos": "luma",
    "cmsc": "luma without 4 px at the border",
}
Figures = dict[str, Any]

_LACKS_DATA = "there is nothing to judge on; name a folder with --data, or --suite crisp-v1"

COLUMNS = (
    ("model", "model", "{}"),
    ("frames", "frames", "{}"),
    ("psnr_db", "PSNR dB", "{:.2f}"),
    ("ssim", "SSIM", "{:.4f}"),
    ("gain_db", "over bicubic dB", "{:+.2f}"),
    ("worst", "worst sample", "{}"),
    ("worst_gain_db", "there", "{:+.2f}"),
    ("sigma_psnr_db", "blur PSNR dB", "{:.2f}"),
    ("sigma_ssim", "blur SSIM", "{:.4f}"),
    ("mean_iou", "mIoU", "{:.2%}"),
)
"""Of the table: figure, title, format. Columns without any figure are left out."""


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(help="Checkpoints (.safetensors), bundles (name or folder), or 'bicubic'."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with lr/ and hr/, or blur/ and sharp/, or sharp pictures to be blurred; "
            "with --suite the folder that it was built in, if not the cache."
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="Judge on the kit's own benchmark, crisp-v1; 'bicubic-unsharp' is a model too."
        ),
    ] = None,
    parts: Annotated[
        bool, typer.Option("--parts", help="With --suite: a table of every part.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic blur.")] = 1,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Judge as a paper did, on given pairs: gfn, cnlrn, cmos or cmsc. "
            "cmos also reads a split of a BSR set, with its five groups or without."
        ),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Checkpoints: the mean over eight turned frames.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help="Bundles: the graph to judge, certified or not; auto as in `run`.")
    ] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line only.")] = False,
) -> None:
    """Judge models against the truth: PSNR and SSIM on bytes, and the gain over bicubic."""
    if suite is not None:
        from .evaluate_suite import evaluate_suite

        if protocol is not None or ensemble:
            raise UsageError("a suite has one way to judge; leave out --protocol and --ensemble")
        evaluate_suite(suite, models, data, precision, as_json=as_json, parts=parts)
        return
    if data is None or parts:
        raise UsageError(_LACKS_DATA if data is None else "--parts is for --suite; leave it out")
    from crispstream.train.judging import bsr_split

    if protocol is not None and protocol not in PROTOCOLS:
        raise UsageError(
            f"there is no protocol '{protocol}'; {did_you_mean(protocol, PROTOCOLS)}"
            f"known: {', '.join(PROTOCOLS)}"
        )
    split = bsr_split(data) if protocol == "cmos" else None
    if split is not None:
        rows = _judge_groups(models, split, precision, ensemble=ensemble, quiet=as_json)
    else:
        restorers = partial(_restoring, ensemble=ensemble, precision=precision)
        rows = _judge(models, data, seed, protocol, restorers, quiet=as_json)
    told = {"protocol": protocol or "plain", "ensemble": ensemble, "data": str(split or data)}
    _show([{**row, **told} for row in rows], protocol, as_json)


def _judge(
    models: list[str],
    data: Path,
    seed: int,
    protocol: str | None,
    restoring: Callable[[str], AbstractContextManager[Restore]],
    *,
    quiet: bool,
) -> list[Figures]:
    """Judge restored frames."""
    from dataclasses import asdict

    from crispstream.core.metrics import CONVENTIONS
    from crispstream.train.evaluate import evaluate as judge
    from crispstream.train.evaluate import read_pairs, read_samples

    with ExitStack() as stack:
        restorers = {name: stack.enter_context(restoring(name)) for name in models}
        samples = read_samples(data, seed) if protocol is None else read_pairs(data)
        convention = CONVENTIONS[protocol or "plain"]
        scores = judge(restorers, samples, progress_on(stack, quiet=quiet), convention)
    return [{**asdict(score), "true_maps": False} for score in scores]


def _judge_groups(
    models: list[str], split: Path, precision: str, *, ensemble: bool, quiet: bool
) -> list[Figures]:
    """Judge restored frames and estimated maps."""
    from dataclasses import asdict

    from crispstream.train.judging import judge_groups

    if ensemble:
        raise UsageError("a BSR set is judged without self-ensemble; leave out --ensemble")
    with ExitStack() as stack:
        answering = {name: stack.enter_context(_answering(name, precision)) for name in models}
        verdicts = judge_groups(answering, split, progress_on(stack, quiet=quiet))
    found = []
    for name, verdict in verdicts.items():
        parts = [asdict(part) for part in (verdict.restored, verdict.maps) if part is not None]
        figures: Figures = {"model": name}
        for part in parts:
            figures |= part
        found.append({**figures, "true_maps": verdict.true_maps})
    return found


@contextmanager
def _restoring(name: str, *, ensemble: bool, precision: str) -> Iterator[Restore]:
    """Turn any of the three kinds of model into one frame -> frame callable."""
    if name.endswith(".safetensors"):
        from crispstream.train.restoring import restoring

        yield restoring(network_of(name), ensemble=ensemble)
        return
    # Bicubic is the same whichever way a frame is turned.
    if ensemble and name != "bicubic":
        raise UsageError(
            f"--ensemble takes the mean before rounding, and the bundle '{name}' gives bytes; "
            "judge its checkpoint, or leave out --ensemble"
        )
    from crispstream.runtime.restorer import Restorer

    graph = "auto" if name == "bicubic" else precision
    with Restorer.open(name, precision=graph, allow_uncertified=True) as restorer:
        yield lambda frame: restorer.restore(frame).copy()


@contextmanager
def _answering(name: str, precision: str) -> Iterator[Answering]:
    """Turn any of the three kinds of model into one that is asked for maps too."""
    from crispstream.train.judging import Answer

    if name.endswith(".safetensors"):
        from crispstream.train.restoring import answering

        yield answering(network_of(name))
        return
    with _restoring(name, ensemble=False, precision=precision) as restore:
        yield lambda frame, _: Answer(restore(frame))


def network_of(name: str) -> nn.Module:
    """Return the network of a checkpoint, with its weights."""
    from crispstream.train.checkpoint import load_checkpoint

    return load_checkpoint(Path(name)).network()


def progress_on(stack: ExitStack, *, quiet: bool) -> Callable[[str], None]:
    """Return what names on stderr, if that is a terminal, the sample that is judged."""
    from rich.console import Console

    if quiet:
        return lambda _: None
    status = stack.enter_context(Console(stderr=True).status("reading samples"))
    return lambda name: status.update(f"judging {name}")


def _show(rows: list[Figures], protocol: str | None, as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(json.dumps([finite(row) for row in rows], allow_nan=False))
        return
    shown = [column for column in COLUMNS if any(row.get(column[0]) is not None for row in rows)]
    title = f"protocol {protocol}: {PROTOCOLS[protocol]}" if protocol else None
    told = "true maps given: blur and labels were read, an upper bound"
    caption = told if any(row["true_maps"] for row in rows) else None
    table = Table(*(header for _, header, _ in shown), title=title, caption=caption)
    table.columns[0].overflow = "fold"  # cut names would hide what follows them
    for row in rows:
        cells = ["-" if row.get(k) is None else form.format(row[k]) for k, _, form in shown]
        cells[0] += " (true maps given)" if row["true_maps"] else ""
        table.add_row(*cells)
    Console().print(table)


def finite(row: Figures) -> Figures:
    """Put None for what JSON has no number for: the PSNR of exact frames, and gains by it."""
    return {
        key: None if isinstance(figure, float) and not isfinite(figure) else figure
        for key, figure in row.items()
    }
