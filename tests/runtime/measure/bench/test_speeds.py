"""What a bench found on TensorRT makes int8 the choice, or not: on fakes of GPU and library."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.errors import EngineError
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.store import measured as kept_speeds
from crispstream.runtime.engine.store.store import EngineStore
from crispstream.runtime.measure.bench.record import BenchRecord, Measured, Variant
from crispstream.runtime.measure.bench.speeds import Pair, keep_speeds
from crispstream.runtime.restorer import Restorer
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.rig import Rig
from tests.helpers.records import bench_record

SIZE = (32, 24)
PAIR = Pair("edge-n fp16", "edge-n int8", SIZE)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    rig = Rig(monkeypatch, FakeGpu())
    found = find_gpu()
    assert isinstance(found, Gpu)
    yield found
    rig.gpu.check_clean()


def variant(bundle: Bundle, precision: str, engine: Measured) -> Variant:
    return replace(
        bench_record().variants[0],
        name=f"edge-n {precision}",
        model="edge-n",
        precision=precision,
        backend="tensorrt",
        graph_sha256=bundle.graph(precision).sha256,
        scopes={"engine": engine},
    )


def a_bench(ratio: float) -> BenchRecord:
    """Return the record of a bench in which int8 took `ratio` of fp16's time."""
    bundle = find_model("edge-n")
    fp16 = bench_record().variants[0].scopes["engine"]
    int8 = replace(fp16, rounds_ms=tuple(ratio * each for each in fp16.rounds_ms))
    variants = (variant(bundle, "fp16", fp16), variant(bundle, "int8", int8))
    return replace(bench_record(), variants=variants)


def build_both() -> None:
    for precision in ("fp16", "int8"):
        Restorer.open("edge-n", precision, "tensorrt", size=SIZE).close()


def taken_by_auto() -> tuple[str, str]:
    with Restorer.open("edge-n", "auto", "tensorrt") as restorer:
        return restorer.precision, restorer.why


@pytest.mark.parametrize(
    ("ratio", "taken", "words"),
    [
        (0.8, "int8", "auto takes int8, if it is certified"),
        (1.0, "fp16", "auto takes fp16"),
        (1.2, "fp16", "auto takes fp16"),
    ],
)
def test_auto_takes_int8_once_a_bench_has_shown_it_to_be_faster(
    gpu: Gpu, ratio: float, taken: str, words: str
) -> None:
    build_both()
    assert taken_by_auto()[0] == "fp16"
    (note,) = keep_speeds(a_bench(ratio), [PAIR], EngineStore(), gpu)
    assert note.endswith(words)
    precision, why = taken_by_auto()
    assert precision == taken
    assert ("faster than fp16 in a bench here" in why) is (taken == "int8")


def test_a_later_bench_takes_the_place_of_the_one_before(gpu: Gpu) -> None:
    build_both()
    list(keep_speeds(a_bench(0.8), [PAIR], EngineStore(), gpu))
    list(keep_speeds(a_bench(1.1), [PAIR], EngineStore(), gpu))
    assert taken_by_auto()[0] == "fp16"


def test_another_gpu_makes_up_its_own_mind(gpu: Gpu) -> None:
    build_both()
    list(keep_speeds(a_bench(0.8), [PAIR], EngineStore(), gpu))
    for entry in EngineStore().entries():
        assert entry.record is not None
        assert entry.record.measured["gpu"] == gpu.as_json()
    fp16, int8 = (find_model("edge-n").graph(each).sha256 for each in ("fp16", "int8"))
    records = [entry.record for entry in EngineStore().entries() if entry.record]
    other = replace(gpu, multiprocessors=gpu.multiprocessors + 1)
    assert kept_speeds.int8_is_faster(records, fp16, int8, "tensorrt", gpu)
    assert not kept_speeds.int8_is_faster(records, fp16, int8, "tensorrt", other)


def test_engines_that_are_not_kept_are_told(gpu: Gpu) -> None:
    (note,) = keep_speeds(a_bench(0.8), [PAIR], EngineStore(), gpu)
    assert "the engines of edge-n are not kept" in note


def test_without_rounds_enough_or_the_engine_alone_nothing_is_kept(gpu: Gpu) -> None:
    build_both()
    record = a_bench(0.8)
    few = [
        replace(each, scopes={"engine": replace(each.scopes["engine"], rounds_ms=(1.0, 1.0))})
        for each in record.variants
    ]
    other = [replace(each, scopes={"copies": each.scopes["engine"]}) for each in record.variants]
    for variants in (few, other):
        changed = replace(record, variants=tuple(variants))
        assert list(keep_speeds(changed, [PAIR], EngineStore(), gpu)) == []
    assert taken_by_auto()[0] == "fp16"


def test_other_backends_have_no_engines(gpu: Gpu) -> None:
    record = a_bench(0.8)
    variants = tuple(replace(each, backend="onnxruntime-cuda") for each in record.variants)
    assert list(keep_speeds(replace(record, variants=variants), [PAIR], EngineStore(), gpu)) == []


def test_a_store_that_cannot_be_written_is_a_note(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise EngineError("the disk is full")

    build_both()
    monkeypatch.setattr("crispstream.runtime.measure.bench.speeds.keep_speed", refuse)
    assert list(keep_speeds(a_bench(0.8), [PAIR], EngineStore(), gpu)) == ["the disk is full"]
