"""The import contracts of pyproject.toml hold, and a planted violation of each is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("calib", "cli", "core", "export", "runtime", "train")


def lint_imports(project: Path, package_parent: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as m; m()"]
    return subprocess.run(
        [*command, "--no-logo", "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(package_parent), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_imports_of_the_sources_keep_every_contract() -> None:
    done = lint_imports(ROOT, ROOT / "build/links")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("core/errors.py", "import crispstream.cli.main", "imports go down"),
        ("train/losses.py", "import crispstream.runtime.frame", "imports go down"),
        ("export/__init__.py", "import crispstream.runtime.frame", "the training side never"),
        ("calib/__init__.py", "import crispstream.train.losses", "the device side never"),
        ("runtime/frame.py", "import torch", "the device side never"),
        ("runtime/restorer.py", "import onnx", "the runtime reads graphs"),
        ("runtime/latency.py", "import crispstream.runtime.restorer", "inside the runtime"),
    ],
)
def test_a_planted_import_inside_a_function_is_found(
    tmp_path: Path, module: str, planted: str, contract: str
) -> None:
    package = tmp_path / "crispstream"
    for stage in STAGES:
        shutil.copytree(ROOT / stage, package / stage, ignore=shutil.ignore_patterns("bundles"))
    with (package / module).open("a", encoding="utf-8") as source:
        source.write(f"\n\ndef planted() -> None:\n    {planted}\n")
    done = lint_imports(tmp_path, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), done.stdout
