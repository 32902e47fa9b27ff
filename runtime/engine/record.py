"""What is known of an engine file: a JSON sidecar `<engine>.json` next to it.

An engine is opaque and belongs to one library version and one kind of GPU; the sidecar says
which, and its hash says whether the file is still the one that was built.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from crispstream.core.errors import EngineError
from crispstream.core.files import sha256_of, write_atomically, write_json_atomically

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """The facts of one engine.

    Attributes:
        bundle: name of the bundle the graph came from.
        graph_sha256: hash of the ONNX graph that was built.
        precision: of that graph.
        width: pixels of the frames it takes, after padding.
        height: likewise.
        flavour: "tensorrt-rtx" or "tensorrt".
        flavour_version: version of that library.
        compute_capability: "8.6", or None for the library's default set of GPUs.
        engine_sha256: hash of the engine file.
        engine_bytes: its size.
        build_seconds: how long building took.
        crispstream_version: version of this kit.
        convolutions: how many of them read INT8, half or float; {} where the library does not say.
        schema: version of this record.
    """

    bundle: str
    graph_sha256: str
    precision: str
    width: int
    height: int
    flavour: str
    flavour_version: str
    compute_capability: str | None
    engine_sha256: str
    engine_bytes: int
    build_seconds: float
    crispstream_version: str
    convolutions: Mapping[str, int]
    schema: int = SCHEMA


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


def read_record(path: Path) -> EngineRecord | None:
    """Return the record of an engine file, None when it has no sidecar.

    Raises:
        EngineError: if the sidecar is damaged or of a newer kit, or the engine is not the file
            that it describes.
    """
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return None
    try:
        content = json.loads(sidecar.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineError(f"{sidecar} cannot be read ({error}); build the engine again") from error
    record = _parsed(content, sidecar)
    seen = sha256_of(path.read_bytes())
    if seen != record.engine_sha256:
        raise EngineError(
            f"{path} is not the engine its sidecar describes: its SHA-256 starts with {seen[:12]}, "
            f"expected {record.engine_sha256[:12]}; build it again"
        )
    return record


def _parsed(content: object, sidecar: Path) -> EngineRecord:
    if isinstance(content, dict) and isinstance(content.get("schema"), int):
        if content["schema"] > SCHEMA:
            raise EngineError(
                f"{sidecar} has schema {content['schema']}, this kit reads up to {SCHEMA}; "
                "update crispstream"
            )
        if set(content) == {field.name for field in fields(EngineRecord)}:
            return EngineRecord(**content)
    raise EngineError(f"{sidecar} is not an engine's record; build the engine again")
