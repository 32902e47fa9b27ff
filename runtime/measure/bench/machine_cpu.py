"""What Linux tells of the CPU: clock, temperature, who else uses it, and who takes it away.

Sources: the kernel's documentation of cpufreq (scaling_cur_freq, kHz), thermal zones (temp, in
thousandths of a degree), proc(5) for /proc/stat and /proc/loadavg, and cgroups(7), cpu.stat.
"""

import re
from collections.abc import Iterable, Mapping

from .machine import Machine

Facts = Mapping[str, float | str]

_CPUS = "/sys/devices/system/cpu"
_PACKAGE_SENSORS = ("k10temp", "coretemp", "zenpower")
_CPU_ZONES = re.compile(r"cpu|x86_pkg_temp|soc-?max|tj", re.IGNORECASE)
_BUSY, _STEAL = (0, 1, 2, 5, 6), 7
"""Fields of /proc/stat: user, nice, system, irq, softirq; and steal. 3 and 4 are idle."""


class CpuTeller:
    """Tells of the cores that this process may use; counts run from the latest `restart` on."""

    def __init__(self, machine: Machine) -> None:
        """Look once which files there are."""
        self._machine = machine
        self._cores = machine.cores()
        clocks = [f"{_CPUS}/cpu{core}/cpufreq/scaling_cur_freq" for core in self._cores]
        self._clocks = [path for path in clocks if machine.read(path)]
        self._temperatures = [*_zones(machine), *_sensors(machine)]
        # The first core of each package counts for all of it; on ARM there are no such files.
        counts = machine.glob(f"{_CPUS}/cpu*/thermal_throttle/core_throttle_count")
        self._throttles = [path for path in counts if machine.read(path)]
        self._quota = _quota_file(machine)
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._first_throttles = self._throttle_count()
        self._first_quota_ms = self._quota_ms()
        self._before = self._times()

    def facts(self) -> Facts:
        """Return what is told now; shares are of the time since they were last asked for."""
        told: dict[str, float | None] = {
            "cpu_clock_mhz": self._clock_mhz(),
            "cpu_temperature_c": self._temperature_c(),
            "load_average": _number(self._machine.read("/proc/loadavg").split(" ")[0]),
            "cpu_throttles": _less(self._throttle_count(), self._first_throttles),
            "quota_held_ms": _less(self._quota_ms(), self._first_quota_ms),
            **self._shares(),
        }
        return {name: round(value, 4) for name, value in told.items() if value is not None}

    def _clock_mhz(self) -> float | None:
        """Return the mean over the usable cores."""
        told = [_number(self._machine.read(path)) for path in self._clocks]
        if found := [khz / 1000 for khz in told if khz is not None]:
            return sum(found) / len(found)
        lines = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", self._machine.read("/proc/cpuinfo"), re.M)
        mhz = [float(line) for core, line in enumerate(lines) if core in self._cores]
        return sum(mhz) / len(mhz) if mhz else None

    def _temperature_c(self) -> float | None:
        told = [_number(self._machine.read(path)) for path in self._temperatures]
        return max((milli / 1000 for milli in told if milli is not None), default=None)

    def _throttle_count(self) -> float | None:
        told = [_number(self._machine.read(path)) for path in self._throttles]
        return max((count for count in told if count is not None), default=None)

    def _quota_ms(self) -> float | None:
        """Return how long a time quota has held the container's threads back."""
        told = dict(_pairs(self._machine.read(self._quota))) if self._quota else {}
        if "throttled_usec" in told:  # cgroup v2
            return told["throttled_usec"] / 1e3
        return told["throttled_time"] / 1e6 if "throttled_time" in told else None

    def _shares(self) -> dict[str, float | None]:
        before, now = self._before, self._times()
        self._before = now
        total = now["total"] - before["total"]
        if total <= 0:
            return {}
        others = now["busy"] - before["busy"] - (now["own"] - before["own"])
        stolen = now["stolen"] - before["stolen"]
        return {"stolen_share": stolen / total, "others_share": min(1.0, max(0.0, others) / total)}

    def _times(self) -> dict[str, float]:
        """Return seconds on the usable cores: all there were, busy, stolen; and this process's."""
        wanted = {f"cpu{core}" for core in self._cores}
        second = self._machine.ticks_a_second()
        times = {"total": 0.0, "busy": 0.0, "stolen": 0.0, "own": self._machine.own_cpu_seconds()}
        for line in self._machine.read("/proc/stat").splitlines():
            name, *fields = line.split()
            if name in wanted and len(fields) > _STEAL:
                ticks = [int(field) for field in fields[: _STEAL + 1]]
                times["total"] += sum(ticks) / second
                times["busy"] += sum(ticks[field] for field in _BUSY) / second
                times["stolen"] += ticks[_STEAL] / second
        return times


def _zones(machine: Machine) -> Iterable[str]:
    for path in machine.glob("/sys/class/thermal/thermal_zone*/type"):
        if _CPU_ZONES.search(machine.read(path)):
            yield path.removesuffix("type") + "temp"


def _sensors(machine: Machine) -> Iterable[str]:
    """AMD's processors have no thermal zone."""
    for path in machine.glob("/sys/class/hwmon/hwmon*/name"):
        if machine.read(path) in _PACKAGE_SENSORS:
            yield path.removesuffix("name") + "temp1_input"


def _quota_file(machine: Machine) -> str:
    """Return the cpu.stat of this process's control group, "" where there is none.

    In a container that sees its own group as the root, and in version 1, the paths differ.
    """
    for line in machine.read("/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, place = rest.partition(":")
        if names and "cpu" not in names.split(","):
            continue
        for root in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct") if names else ("",):
            base = root or "/sys/fs/cgroup"
            for path in (f"{base}{place.rstrip('/')}/cpu.stat", f"{base}/cpu.stat"):
                if "throttled" in machine.read(path):
                    return path
    return ""


def _pairs(text: str) -> Iterable[tuple[str, float]]:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if (number := _number(value)) is not None:
            yield name, number


def _less(now: float | None, first: float | None) -> float | None:
    return None if now is None or first is None else now - first


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
