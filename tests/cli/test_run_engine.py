"""`crispstream run` on TensorRT: the engine is built, re-checked and run, on fakes of both."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from crispstream.cli import main as command_line
from crispstream.runtime.engine.building import build as building
from crispstream.runtime.engine.device import pinned
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.rig import Rig, worker_threads

STREAM = ["run", "synth://pattern?size=30x22&frames=5", "null://", "--model", "edge-n"]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@pytest.mark.parametrize("more", [[], ["--no-cuda-graph"], ["--policy", "latest"]])
def test_the_engine_is_built_once_and_the_reason_is_printed(
    rig: Rig, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert command_line.main([*STREAM, "--backend", "tensorrt", *more]) == 0
    said = capsys.readouterr()
    assert "fp16 with tensorrt 10.3.0 on " in said.out
    assert said.err == (
        "building the engine of edge-n for 32x24: it is kept, so this happens once\n"
    )
    (entry,) = EngineStore().entries()
    assert entry.record is not None
    assert entry.record.recheck["passed"] is True
    assert command_line.main([*STREAM, "--backend", "tensorrt", *more]) == 0
    assert capsys.readouterr().err == ""
    assert worker_threads() == []
    rig.gpu.check_clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_build_and_leaves_nothing(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    build = building.Workbench.build

    def signalled(bench: Any, on_progress: Callable[..., None], *more: Any) -> Any:
        signal.raise_signal(number)
        return build(bench, on_progress, *more)

    monkeypatch.setattr(building.Workbench, "build", signalled)
    assert command_line.main([*STREAM, "--backend", "tensorrt"]) == 128 + number
    said = capsys.readouterr()
    assert f"stopped by {number.name} before the first frame; nothing was written" in said.err
    assert EngineStore().entries() == []
    assert worker_threads() == []
    rig.gpu.check_clean()


def test_a_gpu_that_is_lost_ends_the_run_with_the_reason(
    rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command_line.main([*STREAM, "--backend", "tensorrt"]) == 0
    rig.gpu.break_at_network = rig.gpu.networks_run + 3
    assert command_line.main([*STREAM, "--backend", "tensorrt"]) == 1
    assert "the GPU's context is lost" in capsys.readouterr().err
    assert worker_threads() == []


def test_without_a_driver_tensorrt_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pinned, "LIBRARY", "libno-such-driver.so.1")
    assert command_line.main([*STREAM, "--backend", "tensorrt"]) == 1
    said = capsys.readouterr().err
    assert "the backend tensorrt cannot run here: no NVIDIA driver" in said
    assert said.count("\n") == 1
