"""What NVIDIA GPUs tell of themselves: through nvidia-smi, and on a Jetson through files.

Fields of nvidia-smi: `nvidia-smi --help-query-gpu`; bits of the reasons: NVIDIA, NVML API
Reference, NvmlClocksEventReasons. Drivers before 535 say throttle where later ones say event, and a
field that is not known fails the whole question. Jetson: files of the kernel's devfreq (cur_freq,
Hz) and ina3221 (in*_input, mV; curr*_input, mA) drivers.
"""

import re
from collections.abc import Iterator, Mapping

from .machine import Machine

Facts = Mapping[str, float | str]

_NUMBERS = {
    "clocks.current.sm": "gpu_clock_mhz",
    "clocks.current.memory": "gpu_memory_clock_mhz",
    "power.draw": "gpu_power_w",
    "temperature.gpu": "gpu_temperature_c",
    "utilization.gpu": "gpu_use_percent",
}
_WORDS = {"pstate": "gpu_pstate", "name": "gpu_name", "driver_version": "gpu_driver"}
_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
_SLOWED_BY = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat (driver)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
"""Bit -> why clocks are lower than they could be. An idle GPU (0x01) and clocks that somebody has
set (0x02, 0x100) are no such reasons."""


class NvidiaSmi:
    """Asks nvidia-smi, as long as it answers.

    Asking wakes the driver and disturbs what runs meanwhile (NVIDIA/TensorRT issue 3090: regular
    spikes on a T4), so it is for moments in which nothing is timed.
    """

    def __init__(self, machine: Machine) -> None:
        """Ask nothing yet."""
        self._machine = machine
        self._reasons = list(_REASONS)

    def facts(self) -> Facts:
        """Return what it tells now, {} where there is no answer."""
        while self._reasons:
            fields = [*_NUMBERS, *_WORDS, self._reasons[0]]
            told = self._machine.run(
                "nvidia-smi",
                f"--id={self._machine.visible_gpu()}",
                f"--query-gpu={','.join(fields)}",
                "--format=csv,noheader,nounits",
            )
            if told is not None:
                values = [value.strip() for value in told.strip().split(",")]
                return dict(_told(dict(zip(fields, values, strict=False)), self._reasons[0]))
            del self._reasons[0]  # not asked in this way again: each try takes its time
        return {}


def _told(values: Mapping[str, str], reasons: str) -> Iterator[tuple[str, float | str]]:
    for field, name in _NUMBERS.items():
        if re.fullmatch(r"[\d.]+", values.get(field, "")):
            yield name, float(values[field])
    for field, name in _WORDS.items():
        value = values.get(field, "")
        if value and not value.startswith("["):  # "[N/A]", "[Not Supported]"
            yield name, value
    if re.fullmatch(r"0x[0-9a-fA-F]+", values.get(reasons, "")):
        yield "gpu_throttle", slowed_by(int(values[reasons], 16))


def slowed_by(reasons: int) -> str:
    """Return why a GPU's clocks are down, "" for no reason.

    >>> slowed_by(0x44), slowed_by(0x1)
    ('power cap, heat (hardware)', '')
    """
    return ", ".join(words for bit, words in _SLOWED_BY.items() if reasons & bit)


class Jetson:
    """Reads what a Jetson's kernel tells; the power mode is asked for once."""

    def __init__(self, machine: Machine) -> None:
        """Look once which files there are."""
        self._machine = machine
        patterns = ("*gpu*", "*.ga10b", "*.gv11b", "*.gp10b")
        folders = [machine.glob(f"/sys/class/devfreq/{pattern}") for pattern in patterns]
        self._gpu = next((folder for found in folders for folder in found), "")
        self._zones = [
            path.removesuffix("type") + "temp"
            for path in machine.glob("/sys/class/thermal/thermal_zone*/type")
            if self._gpu and "gpu" in machine.read(path).lower()
        ]
        self._rails = dict(_rails(machine))
        self._mode = _power_mode(machine) if self._gpu else ""

    def facts(self) -> Facts:
        """Return what is told now, {} on another machine."""
        told: dict[str, float | str] = {}
        for name, end in (("", "cur"), ("_lowest", "min"), ("_highest", "max")):
            if self._gpu and (hertz := _whole(self._machine.read(f"{self._gpu}/{end}_freq"))):
                told[f"gpu{name}_clock_mhz"] = hertz / 1e6
        if celsius := [_whole(self._machine.read(path)) / 1000 for path in self._zones]:
            told["gpu_temperature_c"] = max(celsius)
        for label, (volts, amperes) in self._rails.items():
            microwatts = _whole(self._machine.read(volts)) * _whole(self._machine.read(amperes))
            told[f"power_{label}_w"] = round(microwatts / 1e6, 3)
        if self._mode:
            told["power_mode"] = self._mode
        return told


def _rails(machine: Machine) -> Iterator[tuple[str, tuple[str, str]]]:
    """Find the rails of ina3221: label, and the files of its voltage and current."""
    for name in machine.glob("/sys/class/hwmon/hwmon*/name"):
        if machine.read(name) != "ina3221":
            continue
        folder = name.removesuffix("/name")
        for number in (1, 2, 3):
            label = machine.read(f"{folder}/in{number}_label")
            files = f"{folder}/in{number}_input", f"{folder}/curr{number}_input"
            if label and all(machine.read(path) for path in files):
                yield re.sub(r"\W+", "_", label.lower()), files


def _power_mode(machine: Machine) -> str:
    match = re.search(r"NV Power Mode: (\S+)", machine.run("nvpmodel", "-q") or "")
    return match[1] if match else ""


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d+", text) else 0
