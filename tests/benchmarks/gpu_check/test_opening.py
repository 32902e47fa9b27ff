"""Opening in fresh processes; what needs a GPU fails here, with the reason as its last line."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.gpu_check import first_frame, opening
from benchmarks.gpu_check.opening import opening_figures, seconds_in_process
from benchmarks.gpu_check.steps import Deadline, NotRun
from crispstream.core.clock import FakeClock
from crispstream.core.errors import CrispstreamError
from tests.helpers.engines import ENGINE, made_up_record

KIT = ["kit", "onnxruntime", "edge-n", "fp32", "32x24"]


def test_a_fresh_process_opens_a_model_and_tells_the_seconds(tmp_path: Path) -> None:
    assert 0 < seconds_in_process(KIT, tmp_path) < 60


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotRun, match=r"kit: .*there is no model 'edge-z'"):
        seconds_in_process(["kit", "onnxruntime", "edge-z", "fp32", "32x24"], tmp_path)


def test_the_process_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    first_frame.main(KIT)
    assert json.loads(capsys.readouterr().out)["seconds"] > 0


def test_a_process_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LONGEST_SECONDS", 0.01)
    with pytest.raises(NotRun, match="no frame within"):
        seconds_in_process(KIT, tmp_path)


class Processes:
    """Stands for processes that take known seconds."""

    def __init__(self, clock: FakeClock, native: float, kit: Sequence[float]) -> None:
        self.clock = clock
        self.native = native
        self.kit = iter(kit)
        self.asked: list[Sequence[str]] = []

    def __call__(self, arguments: Sequence[str], cache: Path) -> float:
        self.asked.append(arguments)
        seconds = self.native if arguments[0] == "native" else next(self.kit)
        self.clock.advance(round(seconds * 1e9))
        return seconds


def run(processes: Processes, tmp_path: Path, minutes: float = 10.0) -> dict[str, object]:
    deadline = Deadline(60 * minutes, processes.clock)
    return opening_figures(ENGINE, made_up_record(), (320, 180), tmp_path, deadline)


def test_both_ways_take_turns_and_are_paired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = Processes(FakeClock(), 2.0, [60.0, 2.5, 2.25, 2.5, 2.75, 2.5])
    monkeypatch.setattr(opening, "seconds_in_process", processes)
    figures = run(processes, tmp_path)
    assert [each[0] for each in processes.asked] == ["kit", *["native", "kit"] * 5]
    assert figures["beyond_seconds"] == 0.5  # the first, which reads a cold disk, does not count
    assert figures["native_seconds"] == {
        "median": 2.0,
        "lowest": 2.0,
        "highest": 2.0,
        "repeats": 5,
    }
    _, flavour, stored = processes.asked[1]
    assert flavour == "tensorrt-rtx"
    assert Path(stored).read_bytes() == ENGINE
    assert Path(stored).is_relative_to(tmp_path)
    assert processes.asked[0] == ["kit", "tensorrt-rtx", "tiny", "fp16", "320x180"]


def test_it_ends_when_the_time_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(FakeClock(), 2.0, [3.0] * 9)
    monkeypatch.setattr(opening, "seconds_in_process", processes)
    figures = run(processes, tmp_path, minutes=0.5)
    assert isinstance(figures["kit_seconds"], dict)
    assert figures["kit_seconds"]["repeats"] == 2
    with pytest.raises(NotRun, match="out of time"):
        run(processes, tmp_path, minutes=0.01)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_the_native_way_needs_the_driver(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CrispstreamError, match=r"no NVIDIA driver|pycuda"):
        first_frame.main(["native", "tensorrt-rtx", sys.executable])
