"""What a machine tells of itself; machines are played, none is needed."""

import pytest

from crispstream.runtime.measure.bench.machine import Machine
from crispstream.runtime.measure.bench.machine_cpu import CpuTeller
from crispstream.runtime.measure.bench.machine_gpu import Jetson, NvidiaSmi
from crispstream.runtime.measure.bench.telemetry import Telemetry
from crispstream.runtime.measure.bench.telemetry_notes import notes_on
from crispstream.runtime.measure.figures import Reading
from tests.helpers.fakes.fake_sensors import FakeSensors

CPU0, CPU1 = (f"/sys/devices/system/cpu/cpu{core}" for core in (0, 1))
ZONE = "/sys/class/thermal/thermal_zone0"
# user nice system idle iowait irq softirq steal, in hundredths of a second
STAT = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 {0} 0 0 {1} 0 0 0 {2} 0 0\ncpu1 0 0 0 100 0 0 0 0 0 0\n"
SMI = "1755, 9001, 68.41, 61, 97, P0, NVIDIA L4, 580.65.06, 0x0000000000000004\n"


def smi(answer: str, unknown: str = "") -> FakeSensors:
    """Return a machine whose nvidia-smi knows all fields but one."""

    def told(command: tuple[str, ...]) -> str | None:
        if command[0] != "nvidia-smi" or (unknown and unknown in command[2]):
            return None
        return answer

    return FakeSensors(answer=told)


def test_a_machine_that_tells_nothing_gives_no_reading() -> None:
    machine = FakeSensors()
    telemetry = Telemetry(machine=machine)
    assert telemetry(0.0) is None
    assert telemetry(5.0) is None
    # Each way to ask nvidia-smi is tried once, not again and again.
    assert [command[0] for command in machine.asked] == ["nvidia-smi", "nvidia-smi"]


def test_it_is_asked_once_a_second_and_a_gpu_only_where_one_is_used() -> None:
    machine = FakeSensors({"/proc/loadavg": "0.50 0.4 0.3 1/95 8379"})
    telemetry = Telemetry(gpu=False, machine=machine)
    given = [telemetry(tenths / 10) is not None for tenths in range(0, 25, 5)]
    assert given == [True, False, True, False, True]
    assert not machine.asked


def test_a_day_of_readings_is_bounded() -> None:
    telemetry = Telemetry(gpu=False, machine=FakeSensors({"/proc/loadavg": "0.50 0 0 1/1 1"}))
    readings = [telemetry(float(second)) for second in range(86_400)]
    assert 2_000 < sum(reading is not None for reading in readings) < 4_000


def test_what_was_before_the_first_reading_is_not_counted_and_the_end_always_is() -> None:
    count = f"{CPU0}/thermal_throttle/core_throttle_count"
    quota = "/sys/fs/cgroup/cpu.stat"
    files = {count: "5", "/proc/self/cgroup": "0::/", quota: "throttled_usec 1000"}
    machine = FakeSensors({**files, "/proc/stat": STAT.format(0, 0, 0)})
    telemetry = Telemetry(gpu=False, machine=machine)
    # Models are opened and warmed up.
    machine.files.update({count: "9", quota: "throttled_usec 9000"})
    machine.files["/proc/stat"] = STAT.format(90, 10, 0)
    first = telemetry(0.5)
    assert first is not None
    assert first.facts == {"cpu_throttles": 0, "quota_held_ms": 0}
    machine.files.update({count: "10", quota: "throttled_usec 12000"})
    machine.files["/proc/stat"] = STAT.format(90, 100, 10)
    assert telemetry(0.9) is None
    last = telemetry(0.9, over=True)
    assert last is not None
    assert last.facts == {
        "cpu_throttles": 1, "quota_held_ms": 3, "stolen_share": 0.1, "others_share": 0,
    }  # fmt: skip


def test_shares_count_by_the_time_they_are_of() -> None:
    told = [Reading(0.0, {})]
    told += [Reading(at, {"others_share": share}) for at, share in ((10.0, 0.2), (10.1, 1.0))]
    assert notes_on(told, cores=2) == ("other processes used 21% of the 2 cores' time",)


def test_the_clock_is_the_mean_of_the_usable_cores() -> None:
    files = {
        f"{CPU0}/cpufreq/scaling_cur_freq": "3000000",
        f"{CPU1}/cpufreq/scaling_cur_freq": "2000000",
        "/sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq": "400000",
    }
    assert CpuTeller(FakeSensors(files)).facts()["cpu_clock_mhz"] == 2500
    assert CpuTeller(FakeSensors(files, cores=(1,))).facts()["cpu_clock_mhz"] == 2000


def test_without_cpufreq_the_clock_is_what_proc_tells() -> None:
    text = "processor : 0\ncpu MHz\t\t: 2596.000\nprocessor : 1\ncpu MHz\t\t: 2600.000\n"
    assert CpuTeller(FakeSensors({"/proc/cpuinfo": text})).facts()["cpu_clock_mhz"] == 2598


@pytest.mark.parametrize(
    "files",
    [
        {f"{ZONE}/type": "x86_pkg_temp", f"{ZONE}/temp": "61500"},
        {"/sys/class/hwmon/hwmon3/name": "k10temp", "/sys/class/hwmon/hwmon3/temp1_input": "61500"},
    ],
)
def test_the_temperature_is_that_of_the_processor(files: dict[str, str]) -> None:
    other = {
        "/sys/class/thermal/thermal_zone7/type": "acpitz",
        "/sys/class/thermal/thermal_zone7/temp": "99000",
    }
    assert CpuTeller(FakeSensors({**files, **other})).facts()["cpu_temperature_c"] == 61.5


def test_stolen_and_others_shares_are_of_the_time_between_two_readings() -> None:
    machine = FakeSensors({"/proc/stat": STAT.format(0, 0, 0)})
    teller = CpuTeller(machine)
    machine.files["/proc/stat"] = STAT.format(60, 20, 20).replace("0 0 0 100", "0 0 0 200")
    machine.own_seconds = 0.4
    facts = teller.facts()
    # Of 2 core seconds 0.2 were stolen and 0.6 used, 0.4 of these by the process itself.
    assert facts["stolen_share"] == 0.1
    assert facts["others_share"] == pytest.approx(0.1)
    assert "stolen_share" not in teller.facts()  # no time has gone by since


def test_throttling_is_counted_from_the_beginning() -> None:
    count = f"{CPU0}/thermal_throttle/core_throttle_count"
    machine = FakeSensors({count: "17"})
    teller = CpuTeller(machine)
    assert teller.facts()["cpu_throttles"] == 0
    machine.files[count] = "20"
    assert teller.facts()["cpu_throttles"] == 3


@pytest.mark.parametrize(
    ("group", "path", "before", "after"),
    [
        ("0::/", "/sys/fs/cgroup/cpu.stat", "throttled_usec 1000", "throttled_usec 251000"),
        ("0::/a/b", "/sys/fs/cgroup/a/b/cpu.stat", "throttled_usec 0", "throttled_usec 250000"),
        (
            "2:cpuacct:/\n1:cpu,x:/c",
            "/sys/fs/cgroup/cpu/c/cpu.stat",
            "throttled_time 0",
            "throttled_time 250000000",
        ),
    ],
)
def test_a_quota_of_either_version_of_control_groups_is_told(
    group: str, path: str, before: str, after: str
) -> None:
    machine = FakeSensors({"/proc/self/cgroup": group, path: f"nr_periods 9\n{before}"})
    teller = CpuTeller(machine)
    machine.files[path] = f"nr_periods 19\n{after}"
    assert teller.facts()["quota_held_ms"] == 250


def test_nvidia_smi_tells_clocks_power_and_what_holds_them_down() -> None:
    machine = smi(SMI)
    assert NvidiaSmi(machine).facts() == {
        "gpu_clock_mhz": 1755,
        "gpu_memory_clock_mhz": 9001,
        "gpu_power_w": 68.41,
        "gpu_temperature_c": 61,
        "gpu_use_percent": 97,
        "gpu_pstate": "P0",
        "gpu_name": "NVIDIA L4",
        "gpu_driver": "580.65.06",
        "gpu_throttle": "power cap",
    }
    assert len(machine.asked) == 1


def test_an_older_driver_is_asked_for_throttle_reasons() -> None:
    machine = smi(SMI, unknown="clocks_event_reasons")
    asking = NvidiaSmi(machine)
    assert asking.facts()["gpu_throttle"] == "power cap"
    asking.facts()
    assert len(machine.asked) == 3


def test_what_nvidia_smi_does_not_know_is_left_out() -> None:
    told = "[N/A], [Not Supported], [N/A], 45, 3, [N/A], Orin (nvgpu), 540.4.0, [N/A]\n"
    assert NvidiaSmi(smi(told)).facts() == {
        "gpu_temperature_c": 45,
        "gpu_use_percent": 3,
        "gpu_name": "Orin (nvgpu)",
        "gpu_driver": "540.4.0",
    }


def test_a_jetson_tells_its_gpu_rails_and_power_mode() -> None:
    gpu, rails = "/sys/class/devfreq/17000000.gpu", "/sys/class/hwmon/hwmon1"
    files = {
        f"{gpu}/cur_freq": "306000000",
        f"{gpu}/min_freq": "306000000",
        f"{gpu}/max_freq": "1020000000",
        f"{ZONE}/type": "gpu-thermal",
        f"{ZONE}/temp": "48000",
        f"{rails}/name": "ina3221",
        f"{rails}/in1_label": "VDD_IN",
        f"{rails}/in1_input": "5000",
        f"{rails}/curr1_input": "2400",
    }
    machine = FakeSensors(files, lambda command: "NV Power Mode: 15W\n0\n")
    jetson = Jetson(machine)
    jetson.facts()
    assert jetson.facts() == {
        "gpu_clock_mhz": 306,
        "gpu_lowest_clock_mhz": 306,
        "gpu_highest_clock_mhz": 1020,
        "gpu_temperature_c": 48,
        "power_vdd_in_w": 12,
        "power_mode": "15W",
    }
    assert machine.asked == [("nvpmodel", "-q")]  # once


def test_another_machine_is_no_jetson_and_is_not_asked_for_its_mode() -> None:
    machine = FakeSensors()
    assert Jetson(machine).facts() == {}
    assert not machine.asked


def readings(name: str, *values: float | str) -> list[Reading]:
    return [Reading(float(second), {name: value}) for second, value in enumerate(values)]


@pytest.mark.parametrize(
    ("told", "note"),
    [
        (readings("gpu_throttle", "", "power cap", "power cap, sync boost"), "2 of 3 readings: po"),
        (readings("gpu_clock_mhz", 1900, 1500), "the GPU's clock ranged from 1500 to 1900 MHz"),
        (readings("cpu_clock_mhz", 3000, 2000), "the CPU's clock ranged from 2000 to 3000 MHz"),
        (readings("cpu_throttles", 0, 2), "the CPU was throttled for its heat 2 times"),
        (readings("quota_held_ms", 0, 130), "held its threads back for 130 ms"),
        (readings("stolen_share", 0.02, 0.04), "took 4% of the cores' time (steal)"),
        (readings("others_share", 0.1, 0.2, 0.4), "other processes used 30% of the 2 cores' time"),
        (readings("load_average", 1.6, 2.0), "load average 1.6 on 2 cores"),
    ],
)
def test_what_disturbs_a_measurement_is_said_in_words(told: list[Reading], note: str) -> None:
    (said,) = notes_on(told, cores=2)
    assert note in said


@pytest.mark.parametrize(
    "told",
    [
        [],
        readings("gpu_throttle", "", ""),
        readings("gpu_clock_mhz", 1900, 1890),
        readings("stolen_share", 0.0, 0.001),
        readings("load_average", 0.1, 2.0),  # the later one is the bench's own
    ],
)
def test_a_quiet_machine_gets_no_note(told: list[Reading]) -> None:
    assert notes_on(told, cores=2) == ()


def test_a_jetson_whose_clocks_follow_the_load_is_told_how_to_hold_them() -> None:
    facts = {"gpu_lowest_clock_mhz": 306.0, "gpu_highest_clock_mhz": 1020.0}
    (said,) = notes_on([Reading(0.0, facts)], cores=6)
    assert "sudo jetson_clocks" in said


def test_this_machine_answers_whatever_it_knows() -> None:
    machine = Machine()
    assert machine.read("/no/such/file") == ""
    assert machine.run("no-such-program") is None
    assert machine.glob("/proc/loadav*") in ([], ["/proc/loadavg"])
    assert machine.cores()
    Telemetry(gpu=False, machine=machine)(0.0)


def test_the_gpu_is_the_first_that_cuda_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Machine().visible_gpu() == "0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert Machine().visible_gpu() == "2"
