"""Checks of driver, GPU, toolkit and clocks, on machines that are played."""

import pytest

from crispstream.runtime.doctor import hardware
from crispstream.runtime.doctor.finding import Finding
from tests.runtime.doctor.fake_machine import (
    NO_PYCUDA,
    ORIN,
    RTX_4070,
    TENSORRT,
    FakeMachine,
)

TEGRA = {"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081"}
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024"
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (root@x)\n"
    "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)"
)
GPU_ON_PCI = {
    "/sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de",
    "/sys/bus/pci/devices/0000:01:00.0/class": "0x030000",
    "/sys/bus/pci/devices/0000:01:00.0/device": "0x2684",
    "/sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de",
    "/sys/bus/pci/devices/0000:01:00.1/class": "0x040300",  # its sound device
    "/sys/bus/pci/devices/0000:01:00.1/device": "0x22ba",
}
CONF = (
    "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=0 >"
)


def test_a_laptop_without_a_gpu_is_no_problem() -> None:
    (found,) = hardware.driver(FakeMachine())
    assert found.state == "note"
    assert not list(hardware.gpu(FakeMachine()))
    assert not list(hardware.power(FakeMachine()))
    assert [f.state for f in hardware.toolkit(FakeMachine())] == ["fine"]


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"/proc/driver/nvidia/version": CLOSED}, "535.183.01"),
        ({"/proc/driver/nvidia/version": OPEN}, "560.35.03"),
        (TEGRA, "Jetson Linux 36.4.3"),
        ({}, ""),
    ],
)
def test_the_driver_tells_its_version(files: dict[str, str], version: str) -> None:
    assert hardware.driver_version(FakeMachine(files=files)) == version
    (found,) = hardware.driver(FakeMachine(files=files, cuda=(12, 6)))
    assert found == Finding("driver", "fine", f"{version or 'of unknown version'}, up to CUDA 12.6")


@pytest.mark.parametrize(
    ("files", "seen", "fix"),
    [
        (GPU_ON_PCI, "10de:2684)", "https://www.nvidia.com/drivers"),
        (GPU_ON_PCI | {"/etc/os-release": "ID=debian"}, "10de:2684", "apt install nvidia-driver"),
        (
            GPU_ON_PCI | {"/etc/os-release": "ID=pop\nID_LIKE=ubuntu debian"},
            "10de:2684",
            "sudo ubuntu-drivers install",
        ),
        (GPU_ON_PCI | {"/.dockerenv": ""}, "10de:2684", "docker run --gpus all"),
        (
            {"/proc/driver/nvidia/version": OPEN, "/.dockerenv": ""},
            "560.35.03 is loaded, but its library libcuda.so.1",
            "NVIDIA_DRIVER_CAPABILITIES=compute",
        ),
        (TEGRA | {"/.dockerenv": ""}, "Jetson Linux 36.4.3 is loaded", "--runtime nvidia"),
    ],
)
def test_a_gpu_without_its_driver_is_a_problem(files: dict[str, str], seen: str, fix: str) -> None:
    (found,) = hardware.driver(FakeMachine(files=files))
    assert found.state == "problem"
    assert seen in found.seen
    assert "22ba" not in found.seen
    assert fix in found.fix


def test_the_gpu_is_described() -> None:
    (found,) = hardware.gpu(FakeMachine(gpu=ORIN, cuda=(12, 6)))
    expected = "Orin, compute capability 8.7, 8.0 GiB shared with the CPU"
    assert found == Finding("GPU", "fine", expected)


@pytest.mark.parametrize(
    ("flavours", "packages", "state"),
    [
        ({}, {}, "note"),
        ({"tensorrt": TENSORRT}, {}, "problem"),
        ({}, {"pycuda": "2025.1.2"}, "problem"),
    ],
)
def test_half_of_what_engines_need_is_a_problem(
    flavours: dict[str, object], packages: dict[str, str], state: str
) -> None:
    machine = FakeMachine(NO_PYCUDA, (12, 6), flavours, packages=packages)
    (found,) = hardware.gpu(machine)
    install = 'pip install "crispstream[cuda]"'
    assert found == Finding("GPU", state, found.seen, install)
    assert "'pycuda', which is not installed" in found.seen


@pytest.mark.parametrize(
    ("programs", "cuda", "packages", "state", "seen", "fix"),
    [
        ({}, (12, 6), {"pycuda": "2025.1"}, "fine", "none", ""),
        ({}, (12, 6), {}, "note", "none", "sudo apt install cuda-toolkit-12-6"),
        ({"nvcc": "release 12.6, V12.6.68"}, (12, 6), {}, "fine", "nvcc 12.6, nvcc", ""),
        ({"nvcc": "release 13.0, V13.0.88"}, (12, 6), {}, "note", "newer", "cuda-toolkit-12-6"),
        ({"nvcc": "release 13.0, V13.0.88"}, None, {}, "fine", "nvcc 13.0", ""),
        (
            {"/usr/local/cuda/bin/nvcc": "release 12.6, V12.6.68"},
            (12, 6),
            {},
            "note",
            "which PATH lacks",
            "export PATH=/usr/local/cuda/bin:$PATH",
        ),
    ],
)
def test_the_toolkit_matters_only_where_pycuda_is_to_be_compiled(
    programs: dict[str, str],
    cuda: tuple[int, int] | None,
    packages: dict[str, str],
    state: str,
    seen: str,
    fix: str,
) -> None:
    (found,) = hardware.toolkit(FakeMachine(cuda=cuda, programs=programs, packages=packages))
    assert found.state == state
    assert seen in found.seen
    assert fix in found.fix
    assert bool(fix) == bool(found.fix)


@pytest.mark.parametrize(
    ("told", "state", "fix"),
    [
        ("NV Power Mode: 15W\n0\n", "note", "sudo nvpmodel -m 2"),
        ("NV Power Mode: MAXN_SUPER\n2\n", "fine", ""),
    ],
)
def test_the_fastest_mode_of_a_jetson_is_found_by_its_name(told: str, state: str, fix: str) -> None:
    files = TEGRA | {"/etc/nvpmodel.conf": CONF}
    (found,) = hardware.power(FakeMachine(ORIN, files=files, programs={"nvpmodel": told}))
    assert (found.topic, found.state, found.fix) == ("power mode", state, fix)


@pytest.mark.parametrize(("lowest", "state"), [("306000000", "note"), ("1020000000", "fine")])
def test_a_jetsons_clocks_are_held_or_follow_the_load(lowest: str, state: str) -> None:
    folder = "/sys/class/devfreq/17000000.gpu"
    frequencies = {f"{folder}/min_freq": lowest, f"{folder}/max_freq": "1020000000", folder: ""}
    (found,) = hardware.power(FakeMachine(ORIN, files=TEGRA | frequencies))
    assert (found.topic, found.state) == ("clocks", state)
    assert "1020 MHz" in found.seen
    assert found.fix == ("sudo jetson_clocks" if state == "note" else "")


def test_under_wsl_nvidia_smi_tells_the_drivers_version() -> None:
    machine = FakeMachine(cuda=(12, 6), programs={"nvidia-smi": "560.94\n"})
    (found,) = hardware.driver(machine)
    assert found.seen == "560.94, up to CUDA 12.6"


def test_a_desktops_clocks_come_from_nvidia_smi() -> None:
    told = {"nvidia-smi": "Disabled, 210, 3105, 41\nEnabled, 2800, 3105, 60\n"}
    first, second = hardware.power(FakeMachine(RTX_4070, (13, 0), programs=told))
    assert (first.state, first.fix) == ("note", "sudo nvidia-smi -pm 1")
    assert second == Finding("clocks", "fine", "GPU 1 at 2800 of 3105 MHz, 60 C")
    assert not list(hardware.power(FakeMachine(RTX_4070, (13, 0))))
