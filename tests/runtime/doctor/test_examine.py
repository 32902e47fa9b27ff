"""The whole examination: on a machine that is played, on this one, and with checks that fail."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from crispstream.runtime.doctor.examine import CHECKS, Examination, examine
from crispstream.runtime.doctor.finding import Finding
from crispstream.runtime.doctor.machine import Machine
from crispstream.runtime.engine.available import Choice
from tests.runtime.doctor.fake_machine import ORIN, TENSORRT, FakeMachine, fake_probes

ROOT = Path(__file__).parents[3]
ORIN_FILES = {
    "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081",
    "/proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    "/proc/cpuinfo": "Features : fp asimd asimddp",
    "/proc/meminfo": "MemTotal: 7816000 kB\nMemAvailable: 5000000 kB\nSwapTotal: 3900000 kB",
    "/etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=MAXN_SUPER >",
}
MODULES = {
    "cv2": SimpleNamespace(__version__="5.0.0", getBuildInformation=lambda: ""),
    "av": SimpleNamespace(__version__="17.1.0", library_versions={"libavcodec": (61, 0, 0)}),
    "onnxruntime": SimpleNamespace(
        __version__="1.23.2", get_available_providers=lambda: ["CPUExecutionProvider"]
    ),
}


def healthy_orin() -> FakeMachine:
    return FakeMachine(
        ORIN,
        (12, 6),
        {"tensorrt": TENSORRT},
        files=ORIN_FILES,
        programs={"nvpmodel": "NV Power Mode: MAXN_SUPER\n2", "nvcc": "release 12.6, V12.6.68"},
        packages={
            "pycuda": "2025.1.2",
            "cuda-bindings": "12.9.4",
            "filelock": "4.1.0",
            "crispstream": "0.1.0",
        },
        modules=MODULES,
    )


def test_a_healthy_orin_has_nothing_to_mend() -> None:
    examination = examine(healthy_orin())
    assert [found for found in examination.findings if found.state != "fine"] == []
    assert examination.runs_with == Choice("tensorrt", "tensorrt 10.3.0 on Orin")


def test_the_json_form_stays_what_it_is() -> None:
    told = examine(healthy_orin()).as_json()
    assert list(told) == ["schema", "crispstream", "problems", "runs_with", "backends", "findings"]
    assert (told["schema"], told["crispstream"], told["problems"]) == (1, "0.1.0", 0)
    assert set(told["runs_with"]) == {"name", "reason"}
    assert set(told["backends"][0]) == {"name", "usable", "why", "fix"}
    assert set(told["findings"][0]) == {"topic", "state", "seen", "fix"}


def test_a_check_that_fails_is_a_finding_and_stops_no_other() -> None:
    def failing(machine: Machine) -> Iterator[Finding]:
        yield Finding("first", "fine", "kept")
        raise ZeroDivisionError("a fault")

    def sound(machine: Machine) -> Iterator[Finding]:
        yield Finding("second", "fine", "asked")

    examination = examine(FakeMachine(), [("clocks", failing), ("second", sound)])
    assert [found.topic for found in examination.findings] == ["first", "clocks", "second"]
    (problem,) = examination.problems
    assert "ZeroDivisionError: a fault" in problem.seen
    assert problem.fix


def test_no_check_fails_on_a_machine_that_answers_nothing() -> None:
    assert_no_check_failed(examine(FakeMachine()))


def test_no_check_fails_on_a_machine_that_answers_nonsense() -> None:
    class Nonsense(FakeMachine):
        """A fake whose every file and program says the same meaningless thing."""

        def read(self, path: str) -> str | None:
            return "::\n: ,=\n9"

        def run(self, *command: str) -> str | None:
            return "\n, ,\nrelease x"

    assert_no_check_failed(examine(Nonsense(ORIN, (12, 6), modules=MODULES)))


def test_this_machine_can_be_examined() -> None:
    examination = examine(Machine(fake_probes()))
    assert_no_check_failed(examination)
    topics = {found.topic for found in examination.findings}
    assert topics >= {"system", "Python", "processor", "ONNX Runtime", "OpenCV", "PyAV", "cache"}


def test_every_problem_of_a_bare_machine_has_a_fix() -> None:
    examination = examine(FakeMachine(writable=False))
    assert {found.topic for found in examination.problems} == {
        "ONNX Runtime",
        "OpenCV",
        "PyAV",
        "cache",
    }
    assert all(found.fix for found in examination.problems)


def test_where_onnxruntime_is_broken_nothing_runs() -> None:
    machine = FakeMachine(providers=ImportError("libcblas.so.3"), modules=MODULES)
    examination = examine(machine)
    said = "onnxruntime cannot be loaded (libcblas.so.3)"
    assert examination.runs_with == Choice("nothing", f"nothing: {said}")
    assert not any(backend.usable for backend in examination.backends)


def test_an_examination_starts_where_opencv_and_onnxruntime_are_broken(tmp_path: Path) -> None:
    for name in ("cv2", "onnxruntime"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('libGL.so.1 is not there')\n")
    program = (
        "from crispstream.runtime.doctor.examine import examine\n"
        "from crispstream.runtime.doctor.machine import Machine\n"
        "found = examine(Machine())\n"
        "print(*(problem.topic for problem in found.problems), found.runs_with.name, sep=',')"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT / 'build/links'}"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"ONNX Runtime", "OpenCV"} <= set(done.stdout.strip().split(","))


def test_checks_have_distinct_names() -> None:
    assert len({topic for topic, _ in CHECKS}) == len(CHECKS)


def assert_no_check_failed(examination: Examination) -> None:
    assert [found for found in examination.findings if "check failed" in found.seen] == []
