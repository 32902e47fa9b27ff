"""Where `crispstream build` puts an engine, and what it tells of it."""

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crispstream.core.errors import UsageError

if TYPE_CHECKING:
    from crispstream.runtime.engine.store.record import EngineRecord
    from crispstream.runtime.engine.wish import Obtained

    Keep = Callable[[bytes, EngineRecord], Path]
    """Writes an engine and returns where."""

_LONGEST_NAME_BYTES = 200  # of 255: the sidecar's name and temporary ones are longer


def file_place(output: str, *, overwrite: bool) -> "Keep":
    """Return what writes an engine to a file, once it is sure that it may.

    Raises:
        UsageError: if it may not: the name is no file's, something is there, or the folder cannot
            be written.
    """
    path = output_path(output)
    if output.endswith(("/", os.sep)) or path.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a file, {path / 'x.engine'}")
    if path.suffix == ".json":
        raise UsageError(
            f"{path} is named as the JSON file that goes with an engine; give a name such as "
            f"{path.with_name(path.name.partition('.')[0] or 'x')}.engine"
        )
    _check_free(path, overwrite=overwrite)
    _check_folder(path)
    return partial(_write, path)


def output_path(output: str) -> Path:
    """Return what was given to -o as a path.

    Raises:
        UsageError: if it is no path that can be written.
    """
    if output in ("", "-"):
        what = "an empty name" if output == "" else "standard output"
        raise UsageError(
            f"-o was given {what}, but what is written is more than one file; give a path"
        )
    longest = max((len(os.fsencode(part)) for part in Path(output).parts), default=0)
    if longest > _LONGEST_NAME_BYTES:
        raise UsageError(
            f"the path given to -o has a name of {longest} bytes; give one of at most "
            f"{_LONGEST_NAME_BYTES}"
        )
    return Path(output)


def _check_free(path: Path, *, overwrite: bool) -> None:
    from crispstream.runtime.engine.store.record import sidecar_of

    for each in (path, sidecar_of(path)):
        if each.is_symlink():
            raise UsageError(f"{each} is a link to {each.readlink()}; give that path, or another")
        if each.exists() and not each.is_file():
            raise UsageError(f"{each} is no plain file, so it is not replaced; give another name")
        if each.exists() and not overwrite:
            raise UsageError(f"{each} exists; give another name, or --overwrite to replace it")


def _check_folder(path: Path) -> None:
    """Find out before the build, which may take minutes."""
    from crispstream.runtime.engine.store.refusals import refusal_of

    if reason := refusal_of(path.absolute().parent):
        raise UsageError(f"{path} cannot be written ({reason}); choose another place with -o")


def _write(path: Path, engine: bytes, record: "EngineRecord") -> Path:
    from crispstream.runtime.engine.store.record import write_engine

    # What this GPU says of it counts here only: where it goes it is judged again.
    write_engine(path, engine, replace(record, recheck={}))
    return path


def tell(obtained: "Obtained") -> None:
    """Print what an engine is."""
    record = obtained.record
    aims = ", ".join(record.options["compute_capabilities"])
    for_gpus = record.gpu.get("name") or aims or "Ampere (8.0) and newer"
    seconds = f"{record.build_seconds:.1f} s"
    when = f"built in {seconds}" if obtained.fresh else f"built at {record.built_at} in {seconds}"
    typer.echo(
        f"{record.bundle} {record.precision}, {record.sizes_in_words}: "
        f"{record.engine_bytes / 1e6:.2f} MB, {when} by {record.flavour} {record.flavour_version} "
        f"for {for_gpus}"
    )
    if record.convolutions:
        kinds = ", ".join(f"{count} {kind.lower()}" for kind, count in record.convolutions.items())
        typer.echo(f"convolutions by what they read{_scope(record)}: {kinds}")
    typer.echo(f"re-check against fp32: {_recheck_text(record)}")


def _scope(record: "EngineRecord") -> str:
    """Return which of its kernels an engine's list of layers is about; see `layers`."""
    sizes, aims = record.options["profiles"], record.options["compute_capabilities"]
    limits = [f"for {sizes[0]}"] * (len(sizes) > 1) + [f"on {aims[0]}" for _ in aims[1:2]]
    return f" ({', '.join(limits)})" if limits else ""


def _recheck_text(record: "EngineRecord") -> str:
    checked = record.recheck
    if not checked:
        return "not yet, for no GPU here can run it; done before its first frame"
    decibels = checked["psnr_to_fp32_db"]
    close = "equal" if decibels is None else f"{decibels:.1f} dB"
    return f"passed on {checked['gpu']['name']} ({close}, {checked['largest_levels']} levels)"


def tell_file(path: Path, obtained: "Obtained") -> None:
    """Print where an engine was written, and how another machine gets it."""
    from crispstream.runtime.engine.store.record import sidecar_of

    typer.echo(f"written to {path} and {sidecar_of(path).name}")
    if obtained.path is not None:
        typer.echo(f"also kept here as {obtained.path.name}")
    name = shlex.quote(path.name)
    typer.echo(f"on the device: copy both files there, then: crispstream engines add {name}")


def tell_kept(path: Path, *, fresh: bool) -> None:
    """Print where in the store an engine is kept."""
    there = "" if fresh else " (it was there already; --rebuild builds it again)"
    typer.echo(f"kept as {path.name}{there}")
    typer.echo("next: crispstream engines list")
