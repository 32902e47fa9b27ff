"""How fast kept engines were on this GPU, as a bench found: what "auto" may choose by.

It lies in the sidecars, so it goes where an engine goes and ends with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from crispstream.core.errors import EngineError
from crispstream.core.files import write_json_atomically
from crispstream.core.sizes import Size, size_text
from crispstream.runtime.engine.device.gpu import Gpu

from .entries import Entry
from .fitting import fitting
from .key import EngineKey, driver_major
from .record import EngineRecord, read_sidecar, sidecar_of
from .refusals import refusal_reason, remedy_for
from .store import EngineStore


@dataclass(frozen=True)
class Speed:
    """What a bench found of one engine."""

    bench: str
    """What tells benches apart: when it was. Only engines of one bench are compared."""
    gpu: Mapping[str, str]
    """It was on, as `Gpu.as_json` gives it."""
    size: str
    """Of the frames: "320x180"."""
    engine_ms: float
    """Median of the bench's scope `engine`, by the GPU's own clock around the enqueued work. Where
    each frame is one CUDA graph, as by default, the copies to the GPU and back are in it."""
    over_fp16: tuple[float, float] | None = None
    """Of int8: interval of its `engine` over that of fp16, in turns; below 1 it is faster. The
    copies that both may hold are the same, and bring the interval nearer to 1."""


def engine_for(
    store: EngineStore, graph_sha256: str, flavour: str, version: str, gpu: Gpu, size: Size
) -> Entry | None:
    """Return the kept engine that runs frames of a size in px, one made for just it first."""
    return next(iter(fitting(store, graph_sha256, flavour, version, gpu, size)), None)


def keep_speed(store: EngineStore, entry: Entry, speed: Speed) -> None:
    """Write what was measured into an engine's sidecar; the engine stays as it is.

    Nothing is written if the engine is another one by now.

    Raises:
        EngineError: if the sidecar cannot be written.
    """
    if entry.record is None:
        return
    with store.lock(EngineKey.of(entry.record)):
        record = read_sidecar(entry.path).record
        if record is None or record.engine_sha256 != entry.record.engine_sha256:
            return
        try:
            changed = replace(record, measured=_as_json(speed))
            write_json_atomically(sidecar_of(entry.path), asdict(changed))
        except OSError as error:
            raise EngineError(
                f"what was measured cannot be kept in {sidecar_of(entry.path)} "
                f"({refusal_reason(error)}); {remedy_for(error)}"
            ) from error


def _as_json(speed: Speed) -> dict[str, Any]:
    interval = None if speed.over_fp16 is None else list(speed.over_fp16)
    return {**asdict(speed), "over_fp16": interval}


def speed_of(size: Size, gpu: Gpu, bench: str, engine_ms: float) -> Speed:
    """Return the speed of an engine that nothing is compared with yet."""
    return Speed(bench, gpu.as_json(), size_text(size), engine_ms)


def int8_is_faster(
    records: Sequence[EngineRecord], fp16_sha256: str, int8_sha256: str, flavour: str, gpu: Gpu
) -> bool:
    """Return whether int8 was faster than fp16 on this GPU, beyond the interval, at every size.

    A bench counts while both its engines are kept. Sizes can differ in it, and which size will
    come is not known when a graph is chosen.
    """
    here = _facts(gpu.as_json())
    told = {
        (record.graph_sha256, record.measured["bench"], record.measured["size"]): record.measured
        for record in records
        if record.flavour == flavour and record.measured and _facts(record.measured["gpu"]) == here
    }
    intervals = [
        measured["over_fp16"]
        for (graph, bench, size), measured in told.items()
        if graph == int8_sha256 and measured["over_fp16"] and (fp16_sha256, bench, size) in told
    ]
    return bool(intervals) and all(high < 1 for _, high in intervals)


def _facts(gpu: Mapping[str, str]) -> dict[str, str]:
    """Return what of a GPU counts: drivers by their major version, as for engines."""
    return {**gpu, "driver": driver_major(gpu.get("driver", ""))}
