"""`crispstream doctor` from the user's side: the page, the exit code, the JSON."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from crispstream.cli import doctor_camera
from crispstream.cli.doctor import doctor
from crispstream.core.errors import UsageError
from crispstream.runtime.doctor import machine as machine_module
from tests.runtime.doctor.fake_machine import NO_PYCUDA, RTX_4070, TENSORRT, FakeMachine
from tests.runtime.doctor.test_examine import MODULES, healthy_orin

app = typer.Typer()
app.command()(doctor)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch):
    """Run the command on a machine that is played."""

    def run(machine: FakeMachine, *words: str, columns: int = 80) -> Result:
        monkeypatch.setattr(machine_module, "Machine", lambda: machine)
        monkeypatch.setenv("COLUMNS", str(columns))
        return CliRunner().invoke(app, list(words), catch_exceptions=False)

    return run


def laptop() -> FakeMachine:
    return FakeMachine(modules=MODULES)


def broken() -> FakeMachine:
    """A machine with a GPU and TensorRT, without pycuda, and with OpenCV twice."""
    return FakeMachine(
        NO_PYCUDA,
        (12, 6),
        {"tensorrt": TENSORRT},
        packages={
            "opencv-python": "4.11.0.86",
            "opencv-python-headless": "5.0.0.93",
            "filelock": "4.1.0",
        },
        modules=MODULES,
    )


def test_a_laptop_without_a_gpu_is_fit(examined) -> None:
    result = examined(laptop())
    assert result.exit_code == 0
    assert "problem" not in result.stdout
    assert result.stdout.splitlines()[-1] == (
        "runs with: onnxruntime on the CPU (no NVIDIA driver: libcuda.so.1 was not found)"
    )


def test_a_healthy_device_ends_with_its_backend(examined) -> None:
    result = examined(healthy_orin())
    assert result.exit_code == 0
    assert result.stdout.endswith("\nruns with: tensorrt 10.3.0 on Orin\n")
    assert "to mend" not in result.stdout


def test_where_nothing_runs_the_last_line_says_so(examined) -> None:
    machine = FakeMachine(providers=ImportError("libcblas.so.3"), modules=MODULES)
    lines = examined(machine).stdout.splitlines()
    assert lines[-1] == "runs with: nothing: onnxruntime cannot be loaded (libcblas.so.3)"
    assert "    pip install --force-reinstall onnxruntime" in lines


def test_problems_give_1_and_the_lines_to_type(examined) -> None:
    result = examined(broken())
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert '    pip install "crispstream[cuda]"' in lines
    mending = (
        "    pip uninstall -y opencv-python-headless opencv-python && "
        "pip install opencv-python-headless==5.0.0.93"
    )
    assert mending in lines, "a line that is folded cannot be copied"
    assert lines.count('    pip install "crispstream[cuda]"') == 1


@pytest.mark.parametrize("columns", [80, 140])
def test_the_page_fits_the_terminal(examined, columns: int) -> None:
    lines = examined(broken(), columns=columns).stdout.splitlines()
    page = lines[: lines.index("to mend, or to gain something")]
    assert max(map(len, page)) <= columns
    assert not [line for line in lines if line != line.rstrip()]


def test_json_is_one_line_and_says_the_same(examined) -> None:
    result = examined(broken(), "--json")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    told = json.loads(result.stdout)
    assert told["problems"] == 2
    assert told["runs_with"]["name"] == "onnxruntime"
    assert told["backends"][0]["name"] == "tensorrt"
    seen = {found["topic"]: found["state"] for found in told["findings"]}
    assert (seen["GPU"], seen["OpenCV"]) == ("problem", "problem")


def test_square_brackets_are_printed_as_they_are(examined) -> None:
    machine = FakeMachine(RTX_4070, (12, 6), modules=MODULES)
    assert 'pip install "crispstream[tensorrt]"' in examined(machine).stdout


def test_this_machine_can_be_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRISPSTREAM_CACHE", str(tmp_path))
    result = CliRunner().invoke(app, ["--json"], catch_exceptions=False)
    assert result.exit_code in (0, 1)
    told = json.loads(result.stdout)
    assert result.exit_code == min(told["problems"], 1)
    assert list(tmp_path.iterdir()) == [], "an examination changes nothing"


def test_cameras_are_asked_about_an_output_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        doctor_camera, "show_camera_modes", lambda text, json: asked.append((text, json))
    )
    for words in (["--output-size", "1280x720"], ["--output-size", "1280x720", "--json"]):
        assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    assert asked == [("1280x720", False), ("1280x720", True)]


def test_two_questions_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="one after the other"):
        CliRunner().invoke(app, ["--colour", "--output-size", "1280x720"], catch_exceptions=False)
