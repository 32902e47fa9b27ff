"""What the GPU check says of the machine, where tools are missing or say odd things."""

import sys
from pathlib import Path

import pytest

from benchmarks.gpu_check import device
from benchmarks.gpu_check.device import file_part, flavour_here, gpu_facts, polled, software
from crispstream.runtime.engine.available import Probes
from crispstream.runtime.engine.device.gpu import Gpu

RTX = Gpu("NVIDIA GeForce RTX 4070", (8, 9), "580.65.06", 12 << 30, False, multiprocessors=46)
NO_DRIVER = "no NVIDIA driver: libcuda.so.1 was not found"


def put_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_clocks_are_read_in_the_order_they_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_smi(tmp_path, monkeypatch, 'echo "1980, 9501, 61, [N/A]"')
    assert polled("after all") == {
        "when": "after all",
        "sm_mhz": 1980.0,
        "memory_mhz": 9501.0,
        "temperature_c": 61.0,
        "power_w": None,
    }


def test_the_gpu_that_is_visible_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_smi(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    polled("now")
    assert (tmp_path / "asked").read_text(encoding="utf-8").strip().endswith("-i 3")


@pytest.mark.parametrize("says", ["echo nonsense", "exit 9", "echo 'No devices were found'"])
def test_what_cannot_be_read_is_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    put_smi(tmp_path, monkeypatch, says)
    told = polled("now")
    assert told.pop("when") == "now"
    assert set(told.values()) == {None}


def test_without_nvidia_smi_all_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert set(polled("now").values()) == {"now", None}


def test_the_driver_describes_the_gpu() -> None:
    assert gpu_facts(Probes(find_gpu=lambda: RTX)) == {
        "name": "NVIDIA GeForce RTX 4070",
        "compute_capability": "8.9",
        "driver": "580.65.06",
        "memory_mib": 12288,
    }


def test_without_pycuda_pytorch_describes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"name": "NVIDIA H", "compute_capability": "9.0", "driver": "1", "memory_mib": 1}
    monkeypatch.setattr(device, "_told_by_torch", lambda: told)
    assert gpu_facts(Probes(find_gpu=lambda: "pycuda is not installed")) == told


def test_where_nobody_sees_a_gpu_the_drivers_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu_facts(Probes(find_gpu=lambda: NO_DRIVER)) == NO_DRIVER


def test_why_no_engine_runs_names_the_flavours() -> None:
    flavour, why = flavour_here(Probes(find_gpu=lambda: NO_DRIVER))
    assert flavour == ""
    assert why.startswith("tensorrt: no NVIDIA driver")
    assert "tensorrt-rtx: " in why


def test_missing_software_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    found = software()
    assert found["onnxruntime"][0].isdigit()
    assert "pycuda" in found["pycuda"]
    assert set(found) >= {"tensorrt", "tensorrt-rtx", "torch", "cuda-bindings"}


def test_a_gpus_name_becomes_a_file_name() -> None:
    assert file_part("NVIDIA GeForce RTX 4070") == "nvidia-geforce-rtx-4070"
    assert file_part("Orin (nvgpu)/nvgpu") == "orin-nvgpu-nvgpu"
