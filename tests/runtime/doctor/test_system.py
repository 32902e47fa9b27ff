"""Checks of the computer itself, on machines that are played."""

import pytest

from crispstream.runtime.doctor import system
from crispstream.runtime.doctor.finding import Finding
from tests.runtime.doctor.fake_machine import FakeMachine

TEGRA = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64"
MEMINFO = "MemTotal: {} kB\nMemFree: 1 kB\nMemAvailable: {} kB\nSwapTotal: {} kB"


def test_the_system_is_named() -> None:
    machine = FakeMachine(
        files={
            "/etc/os-release": 'ID=ubuntu\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
            "/.dockerenv": "",
        }
    )
    seen = "Ubuntu 22.04.5 LTS, Linux 5.15.148, aarch64, glibc 2.35, in a container"
    assert list(system.operating_system(machine)) == [Finding("system", "fine", seen)]


def test_a_jetson_is_named_by_board_and_release() -> None:
    files = {"/etc/nv_tegra_release": TEGRA, "/proc/device-tree/model": "NVIDIA Jetson Orin Nano"}
    (found,) = system.jetson(FakeMachine(files=files))
    assert found == Finding("Jetson", "fine", "NVIDIA Jetson Orin Nano, Jetson Linux 36.4.3")
    assert not list(system.jetson(FakeMachine()))


def test_jetpack_5_is_too_old_for_engines() -> None:
    files = {"/etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1"}
    (found,) = system.jetson(FakeMachine(files=files))
    assert found.state == "problem"
    assert "JetPack 6" in found.fix


def test_the_processor_tells_its_int8_instructions() -> None:
    x86 = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx512_vnni avx_vnni\n"
    (found,) = system.processor(FakeMachine(files={"/proc/cpuinfo": x86}))
    expected = "Some CPU, 8 cores, AVX512-VNNI, AVX-VNNI"
    assert found == Finding("processor", "fine", expected)
    arm = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"
    (found,) = system.processor(FakeMachine(files={"/proc/cpuinfo": arm}, core_counts=(4, 6)))
    assert found.seen == "aarch64, 4 of 6 cores, dot product"
    old = "model name : Old CPU\nflags : fpu avx2"
    (found,) = system.processor(FakeMachine(files={"/proc/cpuinfo": old}))
    assert found.state == "note"
    assert "int8-cpu gains less" in found.seen


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        (
            {
                "/proc/self/cgroup": "0::/system.slice/crispstream.service",
                "/sys/fs/cgroup/system.slice/cpu.max": "200000 100000",
                "/sys/fs/cgroup/system.slice/crispstream.service/cpu.max": "300000 100000",
            },
            2.0,
        ),
        (
            {
                "/proc/self/cgroup": "4:memory:/\n1:cpu,cpuacct:/docker/12ab",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            4.0,
        ),
        (
            {
                "/proc/self/cgroup": "1:cpu:/",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
)
def test_quotas_of_control_groups_are_read(files: dict[str, str], quota: float | None) -> None:
    assert system.cpu_quota(FakeMachine(files=files)) == quota


def test_a_quota_below_the_cores_is_a_note_with_the_threads_to_take() -> None:
    files = {"/proc/self/cgroup": "0::/", "/sys/fs/cgroup/cpu.max": "250000 100000"}
    (found,) = system.processor(FakeMachine(files=files))
    assert found.state == "note"
    assert "a quota of 2.5 cores' time" in found.seen
    assert found.fix.endswith("--threads 2")


@pytest.mark.parametrize(
    ("meminfo", "tegra", "state", "fix"),
    [
        (MEMINFO.format(8_000_000, 6_000_000, 4_000_000), TEGRA, "fine", ""),
        (MEMINFO.format(8_000_000, 6_000_000, 0), TEGRA, "note", "swapon"),
        (MEMINFO.format(8_000_000, 6_000_000, 0), "", "fine", ""),
        (MEMINFO.format(8_000_000, 600_000, 0), "", "note", "ps aux"),
    ],
)
def test_little_memory_is_a_note(meminfo: str, tegra: str, state: str, fix: str) -> None:
    machine = FakeMachine(files={"/proc/meminfo": meminfo, "/etc/nv_tegra_release": tegra})
    (found,) = system.memory(machine)
    assert found.state == state
    assert fix in found.fix
    assert found.seen.startswith("7.6 GiB, ")


def test_the_environment_is_named() -> None:
    (found,) = system.python(FakeMachine())
    assert found.seen == "3.10.12, the environment /opt/venv"
