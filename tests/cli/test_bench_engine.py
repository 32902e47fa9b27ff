"""`crispstream bench` on TensorRT and of engine files, on fakes of GPU and library."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from crispstream.cli import main as command_line
from crispstream.runtime.engine.device import pinned
from crispstream.runtime.engine.store.record import sidecar_of
from crispstream.runtime.engine.store.store import EngineStore
from crispstream.runtime.measure.bench import running
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.rig import Rig, worker_threads

QUICK = ["--seconds", "0.01", "--iterations", "1", "--warm-up-ms", "0", "--scopes", "engine"]
SMALL = ["--size", "32x24"]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


def bench(*words: str) -> int:
    return command_line.main(["bench", *words, *QUICK])


@pytest.fixture
def engine(rig: Rig, tmp_path: Path) -> Path:
    path = tmp_path / "edge-n.engine"
    words = ["build", "edge-n", "--backend", "tensorrt", "--precision", "fp16", *SMALL]
    assert command_line.main([*words, "-o", str(path)]) == 0
    return path


def test_fp16_and_int8_of_one_bench_are_kept_with_their_engines(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["edge-n", "--backend", "tensorrt", "--precision", "fp16,int8", *SMALL]
    assert bench(*words) == 0
    said = capsys.readouterr()
    assert "that is kept with the engines, and --precision auto takes" in said.err
    measured = [entry.record.measured for entry in EngineStore().entries() if entry.record]
    assert len(measured) == 2
    assert len({each["bench"] for each in measured}) == 1
    assert sorted(each["over_fp16"] is None for each in measured) == [False, True]
    assert {each["size"] for each in measured} == {"32x24"}
    assert worker_threads() == []
    rig.gpu.check_clean()


def test_one_precision_alone_is_compared_with_nothing(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("edge-n", "--backend", "tensorrt", "--precision", "fp16", *SMALL) == 0
    assert "kept with the engines" not in capsys.readouterr().err
    (entry,) = EngineStore().entries()
    assert entry.record is not None
    assert entry.record.measured == {}


def test_an_engine_file_is_timed_at_the_size_it_is_made_for(
    engine: Path, rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert bench(str(engine), "--json") == 0
    content = json.loads(capsys.readouterr().out)
    (variant,) = content["variants"]
    assert variant["name"] == "edge-n fp16"
    assert variant["backend"] == "tensorrt"
    assert variant["why"].startswith("fp16 with tensorrt 10.3.0 on ")
    assert "from edge-n.engine" in variant["why"]
    assert content["settings"]["size"] == [32, 24]
    assert worker_threads() == []
    rig.gpu.check_clean()


def test_an_engine_file_and_its_bundle_are_told_apart(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = [str(engine), "edge-n", "--backend", "tensorrt", "--precision", "fp16", "--json"]
    assert bench(*words) == 0
    content = json.loads(capsys.readouterr().out)
    assert [variant["name"] for variant in content["variants"]] == [
        f"edge-n fp16 ({engine})",
        "edge-n fp16 (edge-n)",
    ]


def test_a_changed_engine_file_is_not_opened(
    engine: Path, rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    content = engine.read_bytes()
    engine.write_bytes(content[:-1] + b"?")
    assert bench(str(engine)) == 1
    assert "it is not the engine its sidecar describes" in capsys.readouterr().err
    sidecar_of(engine).unlink()
    assert bench(str(engine)) == 2
    assert "has no sidecar edge-n.engine.json" in capsys.readouterr().err


def test_an_engine_file_needs_a_gpu(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(str(engine), "--device", "cpu") == 2
    assert "is an engine for GPUs" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(pinned, "LIBRARY", "libno-such-driver.so.1")
    assert bench(str(engine)) == 1
    assert "the backend tensorrt cannot run here: no NVIDIA driver" in capsys.readouterr().err


def test_times_of_frames_are_the_gpus_own(engine: Path, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    assert bench(str(engine), "--exportTimes", str(path), "--noCudaGraph", "--json") == 0
    records = json.loads(path.read_text())
    assert records
    for record in records:
        parts = record["h2dMs"] + record["computeMs"] + record["d2hMs"]
        assert record["latencyMs"] == pytest.approx(parts)
        assert record["startH2dMs"] == record["startEnqMs"]


def test_a_signal_ends_a_bench_with_what_there_is(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed = running.Running.round

    def signalled(self: Any) -> bool:
        went_on = timed(self)
        if self.rounds == 2:
            signal.raise_signal(signal.SIGINT)
        return went_on

    monkeypatch.setattr(running.Running, "round", signalled)
    assert bench("bicubic", *SMALL) == 130
    said = capsys.readouterr()
    assert "engine alone" in said.out
    assert "stopped after" in said.out


def test_a_signal_before_the_first_round_leaves_nothing(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running.Running, "warm_up", lambda _: signal.raise_signal(signal.SIGINT))
    assert bench("bicubic", *SMALL, "--report", str(tmp_path / "r.json")) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
