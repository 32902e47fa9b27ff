"""`crispstream evaluate`: PSNR and SSIM of checkpoints, bundles or bicubic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from crispstream.train.evaluate import Restore, Score


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(help="Checkpoints (.safetensors), bundles (name or folder), or 'bicubic'."),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Folder with lr/ and hr/, or blur/ and sharp/, or sharp pictures to be blurred."
        ),
    ],
    seed: Annotated[int, typer.Option(help="Seed of the synthetic blur.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line only.")] = False,
) -> None:
    """Judge models against the truth: PSNR and SSIM on bytes, and the gain over bicubic."""
    from crispstream.train.evaluate import evaluate as judge
    from crispstream.train.evaluate import read_samples

    with ExitStack() as stack:
        restorers = {name: stack.enter_context(_restoring(name)) for name in models}
        scores = judge(restorers, read_samples(data, seed), _progress(stack, quiet=as_json))
    _show(scores, as_json)


@contextmanager
def _restoring(name: str) -> Iterator[Restore]:
    """Turn any of the three kinds of model into one frame -> frame callable."""
    if name.endswith(".safetensors"):
        from crispstream.train.checkpoint import load_checkpoint
        from crispstream.train.restoring import restoring

        yield restoring(load_checkpoint(Path(name)).network())
        return
    from crispstream.runtime.restorer import Restorer

    with Restorer.open(name) as restorer:
        yield lambda frame: restorer.restore(frame).copy()


def _progress(stack: ExitStack, *, quiet: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from rich.console import Console

    if quiet:
        return lambda _: None
    status = stack.enter_context(Console(stderr=True).status("reading samples"))
    return lambda name: status.update(f"judging {name}")


def _show(scores: list[Score], as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(json.dumps([asdict(score) for score in scores]))
        return
    table = Table("model", "frames", "PSNR dB", "SSIM", "over bicubic dB", "worst sample", "there")
    for s in scores:
        table.add_row(
            s.model,
            str(s.frames),
            f"{s.psnr_db:.2f}",
            f"{s.ssim:.4f}",
            f"{s.gain_db:+.2f}",
            s.worst,
            f"{s.worst_gain_db:+.2f}",
        )
    Console().print(table)
