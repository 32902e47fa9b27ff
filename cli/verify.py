"""`crispstream verify`: every graph of a bundle beside fp32 and the truth, and a certificate."""

import json as json_text
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispstream.core.errors import UsageError

if TYPE_CHECKING:
    from crispstream.calib.certify.verify import Verification

FAILED = 1
_COLUMNS = {
    "graph": "graph",
    "psnr": "PSNR dB",
    "lost": "lost dB",
    "ssim_lost": "SSIM lost",
    "drift": "drift",
    "flicker": "flicker",
    "speed": "speed",
    "certified": "certified",
}
"""Figure -> title; a page has more of them."""


def verify(
    bundle: Annotated[str, typer.Argument(help="Shipped name (edge-n) or path of a bundle.")],
    pairs: Annotated[
        Path | None,
        typer.Option(help="Folder with lr/ and hr/, PNG files of the same names; the kit's own."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a copy of the bundle with this certificate."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the figures and the worst frames to this page.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Judge every graph of a bundle beside its fp32 graph; exit code 1 if one fails."""
    from crispstream.core.optional import require

    require("onnx", "calib")
    from crispstream.calib.certify.pairs import read_pairs
    from crispstream.calib.certify.verify import payload_of, subject_of, write_verified
    from crispstream.calib.certify.verify import verify as judge
    from crispstream.core.bundle_writing import check_free
    from crispstream.runtime.engine.models import find_model

    from .calibrate import progress_bar

    check_page(html)
    loaded, chosen = find_model(bundle), read_pairs(pairs)
    if output is not None:  # what would fail after the work is tried before it
        check_free(output, overwrite=overwrite)
        payload_of(loaded)
    subject = subject_of(loaded)
    with progress_bar(shown=not json) as progress:
        found = judge(subject, chosen, lambda step: progress(step, 0, 0))
    if output is not None:
        write_verified(loaded, found, output, overwrite=overwrite)
    if html is not None:
        from crispstream.calib.pages import verification_page, write_page

        write_page(html, verification_page(subject, found, chosen))
    if json:
        typer.echo(json_text.dumps({"passed": found.passed, "certificate": dict(found.entries)}))
    else:
        show(found)
        typer.echo(_outcome(found, output))
    if not found.passed:
        raise typer.Exit(FAILED)


def check_page(path: Path | None) -> None:
    """Raise UsageError unless a page may be written there."""
    if path is None:
        return
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        seen = "is a folder" if path.is_dir() else "is in no folder that can be written"
        raise UsageError(f"the page '{path}' {seen}; name another file")


def show(found: "Verification") -> None:
    """Print a table: a line for each graph, and why one failed."""
    from rich.console import Console
    from rich.table import Table

    from crispstream.calib.certify.shown import reasons_of, rows_of

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in _COLUMNS.values():
        table.add_column(name, no_wrap=True)
    for row in rows_of(found):
        table.add_row(*(getattr(row, figure) for figure in _COLUMNS))
    Console().print(table)
    for reason in reasons_of(found):
        typer.echo(reason)


def _outcome(found: "Verification", output: Path | None) -> str:
    if output is not None:
        return f"wrote {output} with this certificate"
    return "nothing was written; keep this certificate with: -o FOLDER"
