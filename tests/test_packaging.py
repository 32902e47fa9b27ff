"""The distribution: every folder is in it, and the installed wheel restores a frame."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
STAGES = ("calib", "cli", "core", "export", "runtime", "train")
PAIRS = "examples/media/pairs"
"""Data of the kit's sources that is a package of its own in the distribution."""
BUNDLES = sorted(path.parent for path in (ROOT / "runtime/bundles").glob("*/bundle.json"))
LISTING = """
from crispstream.calib.certify import pairs
print(len(pairs.read_pairs(None).pairs), pairs.SHIPPED)
"""
PROGRAM = """
import json, sys
import numpy as np
from crispstream.runtime import restorer
frame_hwc = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
with restorer.Restorer.open(sys.argv[1]) as open_restorer:
    restored_hwc = open_restorer.restore(frame_hwc).copy()
print(json.dumps({
    "file": restorer.__file__,
    "shape": restored_hwc.shape,
    "spread": float(restored_hwc.std()),
    "modules": sorted(sys.modules),
}))
"""


def run_quietly(*command: str | Path, cwd: Path) -> str:
    """Run a command without this process's PYTHONPATH; fail with what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from that sdist, in a copy of the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in (*STAGES, "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        if (ROOT / name).exists():
            run_quietly("cp", "-R", str(ROOT / name), str(source), cwd=ROOT)
    (source / PAIRS).parent.mkdir(parents=True)
    run_quietly("cp", "-R", str(ROOT / PAIRS), str(source / PAIRS), cwd=ROOT)
    out = tmp_path_factory.mktemp("dist")
    run_quietly(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    return out


@pytest.fixture(scope="session")
def environment(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a fresh environment that borrows our third-party packages."""
    folder = tmp_path_factory.mktemp("environment")
    run_quietly(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin/python"
    paths = json.loads(
        run_quietly(
            python,
            "-c",
            "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))",
            cwd=folder,
        )
    )
    # A path line borrows the folder without running its .pth files, so that an editable
    # install of the sources cannot stand in for the wheel.
    ours = sysconfig.get_paths()["purelib"]
    Path(paths["purelib"], "borrowed.pth").write_text(ours + "\n", encoding="utf-8")
    (wheel,) = dist.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    run_quietly(*pip, "--quiet", "--ignore-installed", wheel, cwd=folder)
    return folder


def test_every_folder_with_modules_is_a_listed_package() -> None:
    setuptools = PROJECT["tool"]["setuptools"]
    data = {name for name, folder in setuptools["package-dir"].items() if folder == PAIRS}
    assert data == {"crispstream.calib.certify.shipped"}
    listed = set(setuptools["packages"]) - data
    on_disk = {
        "crispstream." + ".".join(init.parent.relative_to(ROOT).parts)
        for stage in STAGES
        for init in (ROOT / stage).rglob("__init__.py")
    }
    assert listed == on_disk


def test_every_module_lies_in_a_package() -> None:
    lost = [
        path.relative_to(ROOT).as_posix()
        for stage in STAGES
        for path in (ROOT / stage).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    ]
    assert not lost, f"folders without an __init__.py are missing from the wheel: {lost}"


def test_the_base_install_is_small() -> None:
    names = {requirement.split(">")[0] for requirement in PROJECT["project"]["dependencies"]}
    newer = {"av", "numpy", "onnxruntime", "opencv-python-headless", "rich", "typer"}
    assert names == newer | {"tomli"}  # which only Python 3.10 needs


def test_every_requirement_has_a_tested_version() -> None:
    pinned = {
        line.split("==")[0]
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    project = PROJECT["project"]
    untested = {"cuda", "tensorrt"}  # they need a GPU machine; see the status table of README.md
    wanted = set(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        wanted |= set(requirements) if extra not in untested else set()
    assert {requirement.split(">")[0] for requirement in wanted} <= pinned


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wheel_and_sdist_hold_every_module_and_data_file(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for stage in STAGES
        for path in (ROOT / stage).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"crispstream/{name}" for name in wanted} - in_wheel == set()
    assert wanted - in_sdist == set()
    extra = {n for n in in_wheel if not n.startswith("crispstream-")}
    pairs = {p.relative_to(ROOT / PAIRS).as_posix() for p in (ROOT / PAIRS).rglob("*.png")}
    brought = {f"crispstream/calib/certify/shipped/{name}" for name in pairs}
    assert extra == {f"crispstream/{name}" for name in wanted} | brought


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", ["bicubic", *(path.name for path in BUNDLES)])
def test_installed_wheel_restores_a_frame(environment: Path, model: str) -> None:
    python = environment / "bin/python"
    result = json.loads(run_quietly(python, "-c", PROGRAM, model, cwd=environment))
    assert Path(result["file"]).is_relative_to(environment)
    assert result["shape"] == [64, 96, 3]
    assert result["spread"] > 1, "the restored frame is flat"
    assert not {"torch", "onnx"} & set(result["modules"])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_installed_command_tells_its_version(environment: Path) -> None:
    text = run_quietly(environment / "bin/crispstream", "--version", cwd=environment)
    assert text == f"crispstream {PROJECT['project']['version']}\n"


@pytest.mark.slow
def test_the_installed_kit_brings_its_pairs(environment: Path) -> None:
    count, place = run_quietly(environment / "bin/python", "-c", LISTING, cwd=environment).split()
    assert int(count) == 4
    assert Path(place).is_relative_to(environment)
