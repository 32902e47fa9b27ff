"""The engines' part of the GPU check, on fakes of CUDA and TensorRT: nothing here is a GPU's."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo  # before the fakes, whose modules it would stumble over

from benchmarks.gpu_check import engines
from benchmarks.gpu_check.bench import Order
from benchmarks.gpu_check.check import DRY_PACE, check
from benchmarks.gpu_check.engines import resident_variant
from benchmarks.gpu_check.kit import kit_variant
from benchmarks.gpu_check.record import PRECISIONS, Built, Judged, Row, expected, faults
from benchmarks.gpu_check.steps import NotRun
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.available import Probes
from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend
from crispstream.runtime.engine.device.gpu import find_gpu
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import plan_of
from tests.helpers.fakes.fake_tensorrt import fake_tensorrt
from tests.helpers.fakes.installing import install_cuda, install_tensorrt, remove
from tests.helpers.pictures import soft_picture

ORDER = Order(("edge-n",), (32, 24), pace=DRY_PACE, device="cpu", compiler="eager")
FRAMES = [soft_picture(seed, 12, 16) for seed in range(2)]
RESIDENT = Row("edge-n", "resident", "engine", "fp16", False, 1)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """Return a fake GPU on which a fake TensorRT is installed."""
    made = FakeGpu()
    install_cuda(monkeypatch, made)
    install_tensorrt(monkeypatch, fake_tensorrt(made))
    remove(monkeypatch, "tensorrt_rtx")
    return made


def no_resident(*_: object) -> None:
    raise NotRun("PyTorch's memory is none of the fake GPU's")


@pytest.mark.slow
def test_every_engine_row_is_filled_and_everything_is_given_back(
    gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "resident_variant", no_resident)
    record = check(ORDER, None, tmp_path / "x.json", Probes(find_gpu=find_gpu))
    assert faults(record.content()) == []
    for precision in PRECISIONS:
        built = record.found("engines", Built("edge-n", precision))
        judged = record.found("accuracy", Judged("edge-n", "engine", precision))
        assert not isinstance(built, str), built
        assert not isinstance(judged, str), judged
        assert judged["passed"]
    for row in expected("rows", ["edge-n"]):
        if isinstance(row, Row) and row.runs_on == "engine" and row.regime != "resident":
            figures = record.found("rows", row)
            assert not isinstance(figures, str), f"{row}: {figures}"
            stages = {"whole"} if row.cuda_graph else {"copy_in", "infer", "copy_out"}
            assert stages <= set(figures["device_ms"])
    gpu.check_clean()


@pytest.mark.slow
def test_rows_of_graphs_that_cannot_be_captured_are_not_timed_as_such(
    gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "resident_variant", no_resident)
    remove(monkeypatch, "cuda.bindings.driver")
    record = check(ORDER, None, tmp_path / "x.json", Probes(find_gpu=find_gpu))
    captured = RESIDENT._replace(regime="copies", cuda_graph=True)
    found = record.found("rows", captured)
    assert isinstance(found, str)
    assert "cannot be captured" in found
    assert not isinstance(record.found("rows", captured._replace(cuda_graph=False)), str)
    assert any("no CUDA graphs" in message for message in record.facts["warnings"])
    gpu.check_clean()


def test_a_build_ends_with_the_time(gpu: FakeGpu, tmp_path: Path) -> None:
    order = replace(ORDER, minutes=0.0)
    record = check(order, None, tmp_path / "x.json", Probes(find_gpu=find_gpu))
    for precision in PRECISIONS:
        told = record.found("engines", Built("edge-n", precision))
        assert isinstance(told, str)
        assert told.startswith("out of time")
    gpu.check_clean()


class StandInContext:
    """Stands for an execution context: repeats the pixels of PyTorch's memory on the CPU."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.at: dict[str, int] = {}

    def fit(self, width: int, height: int, stream: int) -> None:
        self.log.append(f"fit {width}x{height} on {stream}")
        self.frame_bytes = width * height * 3

    def bind(self, addresses: tuple[tuple[str, int], ...]) -> None:
        self.at = dict(addresses)

    def enqueue(self, stream: int) -> None:
        assert set(self.at) == {"frame", "restored"}
        self.log.append(f"enqueue on {stream}")

    def close(self) -> None:
        self.log.append("close context")


class StandInEngine:
    """Stands for a loaded engine."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def close(self) -> None:
        self.log.append("close engine")


@pytest.mark.parametrize("streams", [1, 4])
def test_an_engine_runs_in_pytorchs_lanes(
    gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch, streams: int
) -> None:
    log: list[str] = []
    wanted: list[bool] = []

    def load(_trt: Any, flavour: str, _plan: Plan, *, cuda_graph: bool) -> StandInEngine:
        wanted.append(cuda_graph)
        return StandInEngine(log)

    monkeypatch.setattr(engines, "LoadedEngine", load)
    monkeypatch.setattr(engines, "EngineContext", lambda _: StandInContext(log))
    plan = Plan(plan_of(SizeRange.only((16, 12))).to_bytes())
    row = RESIDENT._replace(streams=streams)
    with ExitStack() as stack:
        variant = resident_variant(plan, "tensorrt", row, FRAMES, "cpu", stack)
        assert variant.burst(8) > 0
        assert log.count("fit 16x12 on 0") == streams
        assert log.count("enqueue on 0") == 8
    assert wanted == [False]
    assert log[-streams - 1 :] == ["close context"] * streams + ["close engine"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what is to be missing")
def test_resident_frames_need_pytorch_with_a_gpu() -> None:
    with ExitStack() as stack, pytest.raises(RuntimeError, match="PyTorch"):
        resident_variant(Plan(b""), "tensorrt", RESIDENT, FRAMES, "cuda", stack)


def test_graphs_of_tensorrt_rtx_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    install_cuda(monkeypatch, gpu)
    install_tensorrt(monkeypatch, fake_tensorrt(gpu, flavour="tensorrt-rtx"))
    plan = Plan(plan_of(SizeRange.only((16, 12)), flavour="tensorrt-rtx").to_bytes())
    backend = TensorRTBackend(lambda *_: plan, flavour="tensorrt-rtx", precision="fp16")
    row = RESIDENT._replace(regime="end-to-end", cuda_graph=True, streams=4)
    with ExitStack() as stack:
        stack.callback(backend.close)
        variant = kit_variant(backend, row, FRAMES, stack)
        assert variant.burst(8) > 0
        assert set(variant.more()["device_ms"]) == {"copy_in", "infer", "copy_out"}  # type: ignore[call-overload]
    gpu.check_clean()
