"""Records as files: JSON with a kind and a schema number, which guard the keys."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crispstream.core.files import write_atomically

from .bench.record import BenchRecord
from .plan.record import PlanRecord
from .profiling.record import ProfileRecord

Record = BenchRecord | PlanRecord | ProfileRecord


def as_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON content; numbers that JSON does not know are None."""
    content: dict[str, Any] = _finite(asdict(record))
    return content


def write_record(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    text = json.dumps(as_json(record), indent=2, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value
