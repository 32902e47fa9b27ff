"""The Makefile's targets for a GPU: what they install, and which tests they run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def dry_run(*words: str) -> str:
    """Return what make would do if nothing were prepared."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "--always-make", *words]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", ["gpu-check", "test-gpu"])
def test_a_target_for_a_gpu_installs_what_frames_need_there(target: str) -> None:
    assert '-e ".[cuda]"' in dry_run(target)
    assert '-e ".[tensorrt]"' in dry_run(target, "GPU_EXTRAS=tensorrt")
    assert "pip install" not in dry_run(target, "BIN=/some/venv/bin")


def test_other_extras_are_another_environment() -> None:
    def stamps(*words: str) -> set[str]:
        return set(re.findall(r"touch (build/venv/\S+)", dry_run("gpu-check", *words)))

    usual = stamps()
    assert len(usual) == 2
    assert not usual & stamps("EXTRAS=dev")
    assert len(usual & stamps("GPU_EXTRAS=tensorrt")) == 1, "the rest is not installed again"


def test_every_test_that_needs_a_gpu_is_run_by_test_gpu() -> None:
    assert re.search(r"pytest -m gpu tests/gpu$", dry_run("test-gpu"), re.MULTILINE)
    mark = "mark." + "gpu"
    marked = [path for path in ROOT.glob("tests/**/*.py") if mark in path.read_text("utf-8")]
    assert marked
    assert {path.parent.name for path in marked} == {"gpu"}
