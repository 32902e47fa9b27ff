"""What is known of an engine file: a JSON sidecar `<engine>.json` next to it.

An engine is opaque and belongs to one library version and one kind of GPU; the sidecar says
which, and its hash says whether the file is still the one that was built.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from crispstream.core.errors import EngineError, UsageError
from crispstream.core.files import sha256_of, write_atomically, write_json_atomically
from crispstream.core.sizes import SizeRange

SCHEMA = 2

BUILDER_RECIPE = 1
"""Number of the settings that the kit itself gives a builder. Raised when they change, so that
engines of the old ones are built again."""


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """The facts of one engine.

    Attributes:
        bundle: name of the bundle the graph came from.
        graph_sha256: hash of the ONNX graph that was built.
        precision: of that graph.
        flavour: "tensorrt-rtx" or "tensorrt".
        flavour_version: version of that library.
        options: the orders it was built with, as `BuildOptions.as_json` gives them.
        gpu: name, compute_capability ("8.9") and driver of the GPU it is bound to; {} for an
            engine of TensorRT-RTX, which is bound to none.
        engine_sha256: hash of the engine file.
        engine_bytes: its size.
        build_seconds: how long building took.
        built_at: UTC, "2026-11-21T18:00:00Z".
        crispstream_version: version of this kit.
        convolutions: how many of them read INT8, half or float; {} where the library does not say.
        retries: what was given up on the way, a sentence each; usually none.
        recheck: figures of the re-check on the device, {} where none was run yet.
        asked_options: the orders that were asked for, where the memory did not suffice for them;
            {} where they are `options`.
        builder_recipe: the `BUILDER_RECIPE` it was built with.
        schema: version of this record.
    """

    bundle: str
    graph_sha256: str
    precision: str
    flavour: str
    flavour_version: str
    options: Mapping[str, Any]
    gpu: Mapping[str, str]
    engine_sha256: str
    engine_bytes: int
    build_seconds: float
    built_at: str
    crispstream_version: str
    convolutions: Mapping[str, int]
    retries: tuple[str, ...] = ()
    recheck: Mapping[str, Any] = field(default_factory=dict)
    asked_options: Mapping[str, Any] = field(default_factory=dict)
    builder_recipe: int = BUILDER_RECIPE
    schema: int = SCHEMA

    @property
    def sizes(self) -> str:
        """The frame sizes it takes: "320x180", or a range for each profile."""
        return ", ".join(self.options["profiles"])


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("bundle", "graph_sha256", "precision", "flavour", "flavour_version"), str),
    **dict.fromkeys(("engine_sha256", "built_at", "crispstream_version"), str),
    **dict.fromkeys(("options", "asked_options", "gpu", "convolutions", "recheck"), dict),
    **dict.fromkeys(("engine_bytes", "builder_recipe", "schema"), int),
    "build_seconds": (int, float),
    "retries": list,
}


class Checked(NamedTuple):
    """An engine file as it lies on the disk: the bytes that were hashed, and their record."""

    engine: bytes
    record: EngineRecord | None
    """None where there is no sidecar, or none that can be read."""
    damage: str
    """What is wrong with the file or its sidecar, "" for nothing: "it is empty"."""


def sidecar_of(engine: Path) -> Path:
    """Return where an engine's record lies.

    >>> sidecar_of(Path("edge-n.engine")).name
    'edge-n.engine.json'
    """
    return engine.with_name(f"{engine.name}.json")


def write_engine(path: Path, engine: bytes, record: EngineRecord) -> None:
    """Write an engine and its sidecar, each whole or not at all; the engine comes last.

    So an engine without a sidecar is never ours, and a crash between the two leaves a sidecar
    whose hash the old engine fails.

    Raises:
        EngineError: if the folder cannot be written or the disk is full.
    """
    try:
        write_json_atomically(sidecar_of(path), asdict(record))
        write_atomically(path, engine)
    except OSError as error:
        raise EngineError(
            f"cannot write {path}: {error.strerror or error}; choose another place with -o"
        ) from error


def read_engine(path: Path) -> tuple[bytes, EngineRecord | None]:
    """Read an engine once, and its record; the bytes are those that were hashed.

    The record is None when there is no sidecar; then nothing vouches for the engine.

    Raises:
        EngineError: if the engine cannot be read or is empty, the sidecar is damaged or of
            another kit, or the engine is not the file that it describes.
    """
    checked = check_engine(path)
    if checked.damage:
        raise EngineError(f"{path} cannot be used: {checked.damage}; build it again")
    return checked.engine, checked.record


def check_engine(path: Path) -> Checked:
    """Read an engine once and tell whether it is the file its sidecar describes.

    Raises:
        EngineError: if the engine cannot be read, or the sidecar is of a newer kit: neither says
            that the file is damaged.
    """
    try:
        engine = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path} cannot be read ({error.strerror}); build it again") from error
    record, damage = read_record(path)
    if not engine:
        return Checked(engine, record, "it is empty")
    if record is None:
        return Checked(engine, None, damage)
    return Checked(engine, record, _difference(engine, record))


def read_record(path: Path) -> tuple[EngineRecord | None, str]:
    """Return the record of the engine at `path`, and what is wrong with its sidecar.

    (None, "") where there is no sidecar.

    Raises:
        EngineError: if the sidecar is of a newer kit.
    """
    sidecar = sidecar_of(path)
    try:
        content = json.loads(sidecar.read_bytes())
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, RecursionError) as error:
        return None, f"its sidecar {sidecar.name} cannot be read ({error})"
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise EngineError(
            f"{sidecar} has schema {schema}, this kit reads up to {SCHEMA}; update crispstream"
        )
    if isinstance(schema, int) and schema < SCHEMA:
        return None, f"its sidecar {sidecar.name} is of an older kit (schema {schema})"
    record = _record_of(content)
    return record, "" if record else f"its sidecar {sidecar.name} is not an engine's record"


def _difference(engine: bytes, record: EngineRecord) -> str:
    if len(engine) < record.engine_bytes:
        return f"it was cut off after {len(engine):,} of {record.engine_bytes:,} bytes"
    seen, expected = sha256_of(engine)[:12], record.engine_sha256[:12]
    if sha256_of(engine) != record.engine_sha256:
        return (
            "it is not the engine its sidecar describes (its SHA-256 starts with "
            f"{seen}, expected {expected})"
        )
    return ""


def _record_of(content: Any) -> EngineRecord | None:  # noqa: ANN401 (whatever the file holds)
    if not isinstance(content, dict) or set(content) != set(_KINDS):
        return None
    if not all(isinstance(content[name], kind) for name, kind in _KINDS.items()):
        return None
    if not all(isinstance(value, str) for value in content["gpu"].values()):
        return None
    try:
        for orders in (content["options"], content["asked_options"] or content["options"]):
            for profile in orders["profiles"]:
                SizeRange.parse(profile)
    except (KeyError, TypeError, AttributeError, UsageError):
        return None
    return EngineRecord(**{**content, "retries": tuple(content["retries"])})
