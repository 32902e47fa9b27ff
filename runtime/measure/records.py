"""Records as files: JSON with a kind and a schema number, which guard the keys.

    write_record: BenchRecord | PlanRecord | ProfileRecord -> file
    read_record:  file -> one of these, or RunRecord for what `crispstream run --report` wrote

docs/reports.md lists the keys and says what a schema number promises.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from crispstream.core.errors import UsageError
from crispstream.core.files import write_atomically

from . import report
from .bench.record import BenchRecord
from .figures import PERCENTILES, finite
from .from_json import MisfitError, from_json, printable, shown
from .host import Host
from .plan.record import PlanRecord
from .profiling.record import ProfileRecord

Record = BenchRecord | PlanRecord | ProfileRecord


@dataclass(frozen=True)
class RunRecord:
    """What of a run's report is compared: kind "run"."""

    source: str
    """What was read, without credentials."""
    sink: str
    """What was written, without credentials; several with commas between."""
    model: str
    precision: str
    backend: str
    frames: int
    """Frames restored."""
    dropped: int
    frames_per_second: float
    cpu_ms_per_frame: float
    first_frame_ms: float
    stages: Mapping[str, Mapping[str, float]]
    """Stage -> count, mean_ms, p50_ms, p95_ms, p99_ms, max_ms."""
    host: Host
    created: str
    """UTC, ISO 8601."""
    live: bool = False
    policy: str = "all"
    budget_ms: float | None = None
    kind: str = field(default=report.KIND, init=False)
    schema: int = field(default=report.SCHEMA, init=False)


AnyRecord = Record | RunRecord

_DEFAULTS = {
    each.name: each.default
    for each in fields(RunRecord)
    if each.init and each.default is not MISSING
}
"""Key of a run's report that an older kit did not write -> what it stands for."""

_KINDS: dict[str, type[AnyRecord]] = {
    kind.kind: kind for kind in (BenchRecord, ProfileRecord, PlanRecord, RunRecord)
}
MADE_BY = {
    "bench": "crispstream bench edge-n --report FILE",
    "profile": "crispstream profile SOURCE --report FILE",
    "plan": "crispstream plan edge-n --device NAME --report FILE",
    "run": "crispstream run SOURCE SINK --report FILE",
}
"""Kind -> the command that writes it."""


def as_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON content; numbers that JSON does not know are None."""
    head = {"kind": record.kind, "schema": record.schema}
    content: dict[str, Any] = finite(head | asdict(record))
    return content


def write_record(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    text = json.dumps(as_json(record), indent=2, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def read_record(path: Path) -> AnyRecord:
    r"""Read a record of any kind. What no terminal prints is written out: ESC as \x1b.

    Raises:
        UsageError: if the file cannot be read, is no record, is one of another schema, lacks a
            key, holds something else in its place, or is of a run in which nothing was measured.
    """
    content = _json_object(path)
    kind = _kind(content, path)
    _check_schema(content.get("schema"), kind.schema, path)
    try:
        record = _checked(from_json(kind, content), content)
    except MisfitError as error:
        raise UsageError(
            f"'{path}' is no whole {kind.kind} record: {error}; {_make_again(kind.kind)}"
        ) from error
    _refuse_empty(record, path)
    return record


def _checked(record: AnyRecord, content: Mapping[str, Any]) -> AnyRecord:
    """Return a record, with the defaults of the run inside of a profile.

    Raises:
        MisfitError: for what types do not tell: keys that readers look up, a range.
    """
    if isinstance(record, BenchRecord) and not 0 < record.settings.confidence < 1:
        raise MisfitError(
            f"'settings.confidence' is {record.settings.confidence:g}; expected a number between 0 "
            "and 1"
        )
    _check_lookups(record, content)
    if isinstance(record, ProfileRecord):
        from_json(RunRecord, record.run, "run")
        return replace(record, run=_DEFAULTS | dict(record.run))
    return record


def _check_lookups(record: AnyRecord, content: Mapping[str, Any]) -> None:
    for stage, row in record.stages.items() if isinstance(record, RunRecord) else ():
        if "p50_ms" not in row:
            raise MisfitError(f"the key 'stages.{stage}.p50_ms' is missing; expected a number")
    for where, percentiles in _percentiles(content, ""):
        for key in map("{:g}".format, PERCENTILES):
            if key not in percentiles:
                raise MisfitError(f"the key '{where}.{key}' is missing; expected a number")


def _percentiles(value: object, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every `percentiles_ms` below a value, with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            at = f"{where}.{key}" if where else key
            yield from [(at, item)] if key == "percentiles_ms" else _percentiles(item, at)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _percentiles(item, f"{where}[{number}]")


def _make_again(kind: str) -> str:
    return f"make it again: {MADE_BY[kind]}"


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = printable(json.loads(path.read_bytes(), parse_constant=_no_constant))
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, of too many digits
        raise UsageError(
            f"'{path}' is not JSON ({error}); give a file that --report wrote"
        ) from error
    if not isinstance(content, dict):
        raise UsageError(
            f"'{path}' holds {shown(content)}, and a record is an object; give a file that "
            "--report wrote"
        )
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


def _kind(content: Mapping[str, Any], path: Path) -> type[AnyRecord]:
    """Return the class of a record; reports of runs had no kind at first."""
    default = report.KIND if "stages" in content else None
    name = content.get("kind", default)
    if isinstance(name, str) and name in _KINDS:
        return _KINDS[name]
    if isinstance(content.get("cameras"), dict):
        raise UsageError(
            f"'{path}' is the report of several cameras, and a record is of one stream; run one "
            f"camera by itself: {MADE_BY['run']}"
        )
    what = "no kind" if name is None else f"the kind {shown(name).removeprefix('the text ')}"
    raise UsageError(
        f"'{path}' has {what}, and a record is one of {', '.join(_KINDS)}; give a file that "
        "--report wrote"
    )


def _check_schema(schema: object, known: int, path: Path) -> None:
    if schema == known and not isinstance(schema, bool):
        return
    what = f"'{path}' has schema {shown(schema)}, this kit reads {known}"
    if isinstance(schema, int) and schema > known:
        raise UsageError(f"{what}; it is of a newer kit; update this one to read it")
    raise UsageError(f"{what}; make the file again with this kit")


def _refuse_empty(record: AnyRecord, path: Path) -> None:
    if what := _lack(record):
        raise UsageError(f"'{path}' is an empty run, {what}; {_make_again(record.kind)}")


def _lack(record: AnyRecord) -> str:
    """Return what is not there, "" for a record of something."""
    if isinstance(record, BenchRecord):
        return _lack_of_bench(record)
    if isinstance(record, PlanRecord):
        return "" if record.layers else "it has no layers"
    if isinstance(record, RunRecord):
        return "" if record.frames else "it has no frames"
    measured = any(spread.count for spread in record.stages.values())
    return "" if measured else "no stage has frames"


def _lack_of_bench(record: BenchRecord) -> str:
    if not record.variants:
        return "it has no variants"
    for variant in record.variants:
        if not variant.scopes:
            return f"'{variant.name}' has nothing measured"
        for scope, measured in variant.scopes.items():
            if not (measured.spread.count and measured.rounds_ms):
                return f"'{variant.name}' has no frames in {scope}"
    return ""
