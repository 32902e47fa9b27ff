"""What is said of the GPU, and why there is none."""

import ctypes
import sys
from pathlib import Path

import pytest

from crispstream.runtime.engine.device import gpu as gpu_module
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.installing import install_cuda, remove


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGpu:
    monkeypatch.setattr(gpu_module, "_VERSION_FILE", tmp_path / "version")
    gpu = FakeGpu()
    install_cuda(monkeypatch, gpu)
    return gpu


def test_a_gpu_is_described_without_a_context(fake: FakeGpu) -> None:
    found = find_gpu()
    assert found == Gpu(
        "Fake GPU", (8, 7), "CUDA 12.6", 8 << 30, integrated=False, multiprocessors=16
    )
    assert fake.created["context"] == 0
    fake.integrated = True
    described = find_gpu()
    assert isinstance(described, Gpu)
    assert described.integrated


def test_modules_of_one_name_are_told_apart_by_their_size() -> None:
    """Every Orin is called "Orin" and has compute capability 8.7."""
    nano, agx = (
        Gpu("Orin", (8, 7), "540.4.0", memory, True, multiprocessors=count)
        for memory, count in ((7990 << 20, 8), (63000 << 20, 16))
    )
    assert nano.as_json() == {
        "name": "Orin",
        "compute_capability": "8.7",
        "driver": "540.4.0",
        "multiprocessors": "8",
        "memory_gib": "8",
    }
    told = agx.as_json()
    assert (told["multiprocessors"], told["memory_gib"]) == ("16", "62")


@pytest.mark.parametrize(
    ("told", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:08:47 UTC "
            "2025\nGCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)\n",
            "580.65.06",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  "
            "(buildbrain@mobile)\nGCC version:  collect2: error: ld returned 1 exit status\n",
            "540.4.0",
        ),
        ("NVRM version: nothing known\n", "CUDA 12.6"),
    ],
)
def test_the_version_of_the_driver_is_the_kernel_modules(
    fake: FakeGpu, tmp_path: Path, told: str, version: str
) -> None:
    (tmp_path / "version").write_text(told)
    found = find_gpu()
    assert isinstance(found, Gpu)
    assert found.driver == version


def test_without_a_driver_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    for name in [name for name in sys.modules if name.startswith("pycuda")]:
        monkeypatch.delitem(sys.modules, name)
    said = find_gpu()
    assert isinstance(said, str)
    assert said.startswith("no NVIDIA driver: libcuda.so.1 was not found; ")
    assert not any(name.startswith("pycuda") for name in sys.modules)


def test_missing_pycuda_is_named_with_its_extra(
    fake: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pycuda")
    remove(monkeypatch, "pycuda.driver")
    said = find_gpu()
    assert isinstance(said, str)
    assert 'pip install "crispstream[cuda]"' in said


def test_pycuda_that_does_not_fit_the_driver_is_to_be_built_again(
    fake: FakeGpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("pycuda", "pycuda.driver"):
        monkeypatch.delitem(sys.modules, name)
    package = tmp_path / "pycuda"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "driver.py").write_text("raise ImportError('undefined symbol: cuGraphLaunch')")
    monkeypatch.syspath_prepend(tmp_path)
    said = find_gpu()
    assert isinstance(said, str)
    assert "does not load (undefined symbol: cuGraphLaunch); build it again" in said
    sys.modules.pop("pycuda", None)


def test_a_driver_that_sees_no_gpu_says_what_to_check(fake: FakeGpu) -> None:
    fake.device_count = 0
    said = find_gpu()
    assert isinstance(said, str)
    assert "no CUDA-capable device is detected" in said
    assert "CUDA_VISIBLE_DEVICES" in said


def test_a_number_beyond_the_gpus_is_refused(fake: FakeGpu) -> None:
    assert find_gpu(3) == "there is no GPU 3: the driver sees 1; choose one from 0 on"
