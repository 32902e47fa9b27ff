"""What is known of an engine file: a JSON sidecar `<engine>.json` next to it.

An engine is opaque and belongs to one library version and one kind of GPU; the sidecar says
which, and its hash says whether the file is still the one that was built.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from crispstream.core.errors import EngineError
from crispstream.core.files import sha256_of, write_atomically, write_json_atomically

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """The facts of one engine.

    Attributes:
        bundle: name of the bundle the graph came from.
        graph_sha256: hash of the ONNX graph that was built.
        precision: of that graph.
        flavour: "tensorrt-rtx" or "tensorrt".
        flavour_version: version of that library.
        options: the builder's orders, as `BuildOptions.as_json` gives them.
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
    schema: int = SCHEMA

    @property
    def sizes(self) -> str:
        """The frame sizes it takes: "320x180", or a range for each profile."""
        return ", ".join(self.options["profiles"])


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
        EngineError: if the engine cannot be read, the sidecar is damaged or of a newer kit, or
            the engine is not the file that it describes.
    """
    try:
        engine = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path} cannot be read ({error.strerror}); build it again") from error
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return engine, None
    try:
        content = json.loads(sidecar.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineError(f"{sidecar} cannot be read ({error}); build the engine again") from error
    record = _parsed(content, sidecar)
    seen = sha256_of(engine)
    if seen != record.engine_sha256:
        raise EngineError(
            f"{path} is not the engine its sidecar describes: its SHA-256 starts with {seen[:12]}, "
            f"expected {record.engine_sha256[:12]}; build it again"
        )
    return engine, record


def _parsed(content: object, sidecar: Path) -> EngineRecord:
    if isinstance(content, dict) and isinstance(content.get("schema"), int):
        if content["schema"] > SCHEMA:
            raise EngineError(
                f"{sidecar} has schema {content['schema']}, this kit reads up to {SCHEMA}; "
                "update crispstream"
            )
        if set(content) == {each.name for each in fields(EngineRecord)}:
            return EngineRecord(**{**content, "retries": tuple(content["retries"])})
    raise EngineError(f"{sidecar} is not an engine's record; build the engine again")
