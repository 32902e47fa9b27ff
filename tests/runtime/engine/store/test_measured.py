"""What a bench found of kept engines, and when that makes int8 the choice of "auto"."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.store import measured
from crispstream.runtime.engine.store.entries import Entry
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.measured import (
    Speed,
    engine_for,
    int8_is_faster,
    keep_speed,
    speed_of,
)
from crispstream.runtime.engine.store.record import EngineRecord, read_engine, sidecar_of
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, RTX_4070, made_for_4070, made_up_record

GPU = Gpu("NVIDIA GeForce RTX 4070", (8, 9), "580.65.06", 12 * 2**30, False, multiprocessors=46)
OTHER = replace(GPU, name="NVIDIA L4")
FP16, INT8 = "a" * 64, "b" * 64
SPEED = Speed("2026-11-22T00:00:00Z", RTX_4070, "320x180", 1.5)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "cache")


def kept(store: EngineStore, record: EngineRecord, engine: bytes = ENGINE) -> Entry:
    path = store.add(EngineKey.of(record), engine, record)
    return next(entry for entry in store.entries() if entry.path == path)


def test_a_speed_lies_in_the_sidecar_and_the_engine_stays(store: EngineStore) -> None:
    entry = kept(store, made_for_4070())
    keep_speed(store, entry, replace(SPEED, over_fp16=(0.7, 0.75)))
    engine, record = read_engine(entry.path)
    assert record is not None
    assert (engine, record) == (ENGINE, replace(made_for_4070(), measured=record.measured))
    assert record.measured == {**asdict(SPEED), "over_fp16": [0.7, 0.75]}
    assert [found.record for found in store.entries(hashed=True)] == [record]


def test_a_sidecar_from_before_speeds_were_kept_is_read(store: EngineStore) -> None:
    entry = kept(store, made_for_4070())
    content = json.loads(sidecar_of(entry.path).read_text())
    del content["measured"]
    sidecar_of(entry.path).write_text(json.dumps({**content, "schema": 2}))
    assert read_engine(entry.path)[1] == made_for_4070()


@pytest.mark.parametrize(
    "damaged",
    [{"gpu": "RTX"}, {"engine_ms": "fast"}, {"over_fp16": [1]}, {"over_fp16": ["a", "b"]}],
)
def test_a_speed_that_is_none_is_damage(store: EngineStore, damaged: dict[str, Any]) -> None:
    entry = kept(store, made_for_4070())
    keep_speed(store, entry, SPEED)
    content = json.loads(sidecar_of(entry.path).read_text())
    content["measured"] |= damaged
    sidecar_of(entry.path).write_text(json.dumps(content))
    with pytest.raises(EngineError, match="not an engine's record"):
        read_engine(entry.path)


def test_nothing_is_written_beside_another_engine(store: EngineStore) -> None:
    entry = kept(store, made_for_4070())
    other = ENGINE + b" and more"
    kept(store, made_for_4070(other), other)
    keep_speed(store, entry, SPEED)
    record = read_engine(entry.path)[1]
    assert record is not None
    assert record.measured == {}


def test_a_sidecar_that_cannot_be_written_is_told(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    entry = kept(store, made_for_4070())
    monkeypatch.setattr(measured, "write_json_atomically", full)
    with pytest.raises(EngineError, match=r"what was measured cannot be kept.*No space left"):
        keep_speed(store, entry, SPEED)


def test_the_engine_of_a_size_is_found_the_one_made_for_it_first(store: EngineStore) -> None:
    ranged = made_for_4070(graph_sha256=FP16)
    ranged = replace(ranged, options={**ranged.options, "profiles": ["64x48:320x180:640x360"]})
    kept(store, ranged)
    wanted = (FP16, "tensorrt", "10.16.1.11", GPU)
    found = engine_for(store, *wanted, (320, 180))
    assert found is not None
    assert found.record == ranged
    static = made_for_4070(graph_sha256=FP16)
    kept(store, static)
    found = engine_for(store, *wanted, (320, 180))
    assert found is not None
    assert found.record == static
    assert engine_for(store, *wanted, (1280, 720)) is None
    assert engine_for(store, INT8, *wanted[1:], (320, 180)) is None
    assert engine_for(store, *wanted[:3], OTHER, (320, 180)) is None


def pair(interval: tuple[float, float] | None, **facts: Any) -> list[EngineRecord]:
    """Return the records of two engines that one bench measured; `facts` change that of int8."""
    speed = asdict(replace(SPEED, **{"over_fp16": interval and list(interval), **facts}))
    return [
        made_for_4070(graph_sha256=FP16, measured=asdict(SPEED)),
        made_for_4070(graph_sha256=INT8, measured=speed),
    ]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (pair((0.7, 0.9)), True),
        (pair((0.7, 1.01)), False),  # it may be
        (pair((1.1, 1.2)), False),
        (pair(None), False),
        (pair((0.7, 0.9), bench="another"), False),
        (pair((0.7, 0.9), size="640x360"), False),
        (pair((0.7, 0.9), gpu={**RTX_4070, "name": "NVIDIA L4"}), False),
        (pair((0.7, 0.9), gpu={**RTX_4070, "driver": "580.99.01"}), True),
        (pair((0.7, 0.9), gpu={**RTX_4070, "driver": "590.10.01"}), False),
        (pair((0.7, 0.9))[1:], False),  # the engine of fp16 is gone
        ([made_for_4070(graph_sha256=FP16), made_for_4070(graph_sha256=INT8)], False),
        ([], False),
    ],
)
def test_int8_is_faster_only_beyond_the_interval_of_one_bench_on_this_gpu(
    records: list[EngineRecord], expected: bool
) -> None:
    assert int8_is_faster(records, FP16, INT8, "tensorrt", GPU) is expected
    assert not int8_is_faster(records, FP16, INT8, "tensorrt-rtx", GPU)


def test_int8_has_to_be_faster_at_every_size() -> None:
    larger = [replace(each, measured={**each.measured, "size": "640x360"}) for each in pair((1, 2))]
    assert not int8_is_faster([*pair((0.7, 0.9)), *larger], FP16, INT8, "tensorrt", GPU)


def test_engines_of_tensorrt_rtx_count_where_they_were_measured() -> None:
    records = [replace(made_up_record(), **vars_of(each)) for each in pair((0.7, 0.9))]
    assert int8_is_faster(records, FP16, INT8, "tensorrt-rtx", GPU)
    assert not int8_is_faster(records, FP16, INT8, "tensorrt-rtx", OTHER)


def vars_of(record: EngineRecord) -> dict[str, Any]:
    return {"graph_sha256": record.graph_sha256, "measured": record.measured}


def test_a_speed_names_size_and_gpu() -> None:
    assert speed_of((320, 180), GPU, SPEED.bench, 1.5) == SPEED
