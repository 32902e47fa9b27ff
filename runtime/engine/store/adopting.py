"""Engines that were built elsewhere: what has to be right before the store takes one."""

import os
from dataclasses import replace
from pathlib import Path

from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine.native import RTX

from .fit import LIBRARIES
from .header import rtx_version
from .record import EngineRecord, check_engine, sidecar_of


def read_foreign(path: Path) -> tuple[bytes, EngineRecord]:
    """Return an engine that was built elsewhere, read once and hashed, and its record.

    Without the verdict of a re-check: that was of another machine, or of an engine that failed.

    Raises:
        UsageError: if there is no such file, or it has no sidecar.
        EngineError: if it is not the file its sidecar describes, or that is of another kit.
    """
    if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
        raise UsageError(f"there is no engine file '{path}'; give one that build -o wrote")
    if path.suffix == ".json":
        raise UsageError(f"{path} is a sidecar; give the engine itself, {path.with_suffix('')}")
    engine, record, damage, obstacle = check_engine(path)
    if obstacle:
        raise EngineError(f"{path} cannot be kept: {obstacle}")
    if damage := damage or _version_fault(engine, record):
        raise EngineError(f"{path} cannot be kept: {damage}; copy it again, with its sidecar")
    if record is None:
        raise UsageError(
            f"{path} has no sidecar {sidecar_of(path).name}, so nothing tells what it is; copy "
            "that file too, or build the engine again"
        )
    return engine, replace(record, recheck={})


def _version_fault(engine: bytes, record: EngineRecord | None) -> str:
    """Compare the sidecar with the engine's header, as far as both can be read."""
    built_by = rtx_version(engine)
    if record is None or not built_by:
        return ""
    if (record.flavour, record.flavour_version) == (RTX, built_by):
        return ""
    said = f"{LIBRARIES[record.flavour]} {record.flavour_version}"
    return f"it was built by TensorRT-RTX {built_by}, and its sidecar says {said}"
