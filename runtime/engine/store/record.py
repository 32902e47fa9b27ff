"""What is known of an engine file: a JSON sidecar `<engine>.json` next to it.

An engine is opaque and belongs to one library version and one kind of GPU; the sidecar says
which, and its hash says whether the file is still the one that was built.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from crispstream.core.errors import EngineError
from crispstream.core.files import sha256_of, write_atomically, write_json_atomically
from crispstream.core.sizes import SizeRange, size_text

from .form import is_record
from .places import staged
from .refusals import reason_of, refusal_reason

SCHEMA = 3
_READABLE = (2, SCHEMA)
"""Sidecars of schema 2 have no `measured`, and all else."""

BUILDER_RECIPE = 1
"""Number of the settings that the kit itself gives a builder. Raised when they change, so that
engines of the old ones are built again."""

NO_SIDECAR = "it has no sidecar"

_SIZES_SHOWN = 3


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
        measured: its speed as a bench on a device found it, see `measured.Speed`; {} for none.
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
    measured: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def sizes(self) -> str:
        """The frame sizes it takes: "320x180", or a range for each profile."""
        return ", ".join(self.options["profiles"])

    @property
    def sizes_in_words(self) -> str:
        """The sizes for people, at most three: "160x96 to 640x360 (best 320x180), 64x64"."""
        shown = [_in_words(each) for each in self.options["profiles"][:_SIZES_SHOWN]]
        more = len(self.options["profiles"]) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")


def _in_words(profile: str) -> str:
    sizes = SizeRange.parse(profile)
    if sizes.is_static:
        return size_text(sizes.best)
    smallest, best, largest = map(size_text, sizes)
    return f"{smallest} to {largest} (best {best})"


class Sidecar(NamedTuple):
    """What lies beside an engine; all empty where nothing does."""

    record: EngineRecord | None
    damage: str = ""
    """What is wrong with it: "its sidecar x.engine.json is no JSON"."""
    obstacle: str = ""
    """Why it cannot be used although nothing says that it is damaged, and what to do."""


class Checked(NamedTuple):
    """An engine file as it lies on the disk: the bytes that were hashed, and their record."""

    engine: bytes
    record: EngineRecord | None
    """None where there is no sidecar, or none that can be read."""
    damage: str = ""
    """What is wrong with the file or its sidecar, "" for nothing: "it is empty"."""
    obstacle: str = ""
    """See `Sidecar.obstacle`."""


def sidecar_of(engine: Path) -> Path:
    """Return where an engine's record lies.

    >>> sidecar_of(Path("edge-n.engine")).name
    'edge-n.engine.json'
    """
    return engine.with_name(f"{engine.name}.json")


def write_engine(path: Path, engine: bytes, record: EngineRecord) -> None:
    """Write an engine and its sidecar, both or neither: what was there before stays on failure.

    Both are written whole beside their places, then renamed. A process killed between the two
    leaves a sidecar whose hash the old engine fails.

    Raises:
        EngineError: if the folder cannot be written or the disk is full.
    """
    try:
        with staged(path.parent) as stage:
            write_json_atomically(stage / "record", asdict(record))
            write_atomically(stage / "engine", engine)
            _put_in_place(stage, path)
    except OSError as error:
        raise EngineError(
            f"cannot write {path}: {refusal_reason(error)}; choose another place with -o"
        ) from error


def _put_in_place(stage: Path, path: Path) -> None:
    sidecar, earlier = sidecar_of(path), stage / "earlier"
    if sidecar.is_file():
        sidecar.replace(earlier)
    try:
        (stage / "record").replace(sidecar)
        (stage / "engine").replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            earlier.replace(sidecar) if earlier.exists() else sidecar.unlink()
        raise


def read_engine(path: Path) -> tuple[bytes, EngineRecord | None]:
    """Read an engine once, and its record; the bytes are those that were hashed.

    The record is None when there is no sidecar; then nothing vouches for the engine.

    Raises:
        EngineError: if the engine cannot be read or is empty, the sidecar is damaged or of
            another kit, or the engine is not the file that it describes.
    """
    try:
        checked = check_engine(path)
    except FileNotFoundError as error:
        raise EngineError(f"there is no engine file {path}; build it again") from error
    if checked.damage:
        raise EngineError(f"{path} cannot be used: {checked.damage}; build it again")
    if checked.obstacle:
        raise EngineError(f"{path} cannot be used: {checked.obstacle}")
    return checked.engine, checked.record


def check_engine(path: Path) -> Checked:
    """Read an engine once and tell whether it is the file its sidecar describes.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    try:
        engine = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        return Checked(b"", None, obstacle=_unreadable("it", error))
    record, damage, obstacle = read_sidecar(path)
    damage = length_fault(len(engine), record) or damage
    if record is not None and not damage:
        damage = _difference(engine, record)
    return Checked(engine, record, damage, obstacle)


def read_sidecar(path: Path) -> Sidecar:
    """Return what is known of the engine at `path`, without looking at it."""
    name = sidecar_of(path).name
    try:
        content = json.loads(sidecar_of(path).read_bytes())
    except FileNotFoundError:
        return Sidecar(None)
    except OSError as error:
        return Sidecar(None, obstacle=_unreadable(f"its sidecar {name}", error))
    except (ValueError, RecursionError):
        return Sidecar(None, f"its sidecar {name} is no JSON")
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema not in _READABLE:
        return Sidecar(None, obstacle=_of_another_kit(schema))
    if record := _record_of(content):
        return Sidecar(record)
    return Sidecar(None, f"its sidecar {name} is not an engine's record")


def length_fault(size_bytes: int, record: EngineRecord | None) -> str:
    """Return what the length of an engine file tells, "" if it is right or nothing is known.

    >>> length_fault(0, None)
    'it is empty'
    """
    if not size_bytes:
        return "it is empty"
    if record is None or size_bytes == record.engine_bytes:
        return ""
    if size_bytes < record.engine_bytes:
        return f"it was cut off after {size_bytes:,} of {record.engine_bytes:,} bytes"
    return f"it has {size_bytes:,} bytes, and {record.engine_bytes:,} were written"


def _unreadable(what: str, error: OSError) -> str:
    return f"{what} cannot be read ({reason_of(error)}); check who may read it"


def _of_another_kit(schema: int) -> str:
    newer = schema > SCHEMA
    age, remedy = ("a newer", "update crispstream") if newer else ("an older", "build it again")
    return (
        f"it is of {age} crispstream (its sidecar has schema {schema}, this one reads {SCHEMA}); "
        f"{remedy}"
    )


def _difference(engine: bytes, record: EngineRecord) -> str:
    seen = sha256_of(engine)
    if seen == record.engine_sha256:
        return ""
    return (
        "it is not the engine its sidecar describes (its SHA-256 starts with "
        f"{seen[:12]}, expected {record.engine_sha256[:12]})"
    )


def _record_of(content: Any) -> EngineRecord | None:  # noqa: ANN401 (whatever the file holds)
    if isinstance(content, dict) and content.get("schema") in _READABLE:
        content = {"measured": {}, **content, "schema": SCHEMA}
    if not is_record(content):
        return None
    return EngineRecord(**{**content, "retries": tuple(content["retries"])})
