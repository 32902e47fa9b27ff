"""What devices can do at best: the kit's table, and tables of one's own in the same form.

    [device.my-board]
    title = "My board"
    dense_tera_ops = { fp32 = 2.0, fp16 = 16.0, int8 = 32.0 }   # 10^12/s, two a multiply-accumulate
    memory_gb_per_second = 100
    memory_gb = 8

docs/plan.md lists the keys.
"""

import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean

from .record import Device

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CPU = "cpu"
"""The name for the CPU that this runs on, which is measured on the spot."""

KINDS = ("gpu", CPU)
PRECISIONS = ("fp32", "fp16", "int8")
LAUNCH_US = 0.5
"""What a kernel takes at least, where a table does not say. See LAUNCH_SOURCE."""

LAUNCH_SOURCE = (
    "launch_us is the lowest figure that was found: about 0.5 us lie between the kernels of a "
    "CUDA graph ('Getting Started with CUDA Graphs', NVIDIA Technical Blog). Real ones take more: "
    "adding 1024 numbers takes 1.1 to 1.3 us (PyTorch issue 161104), on a Jetson's clock about "
    "twice that; the expected share makes up for it"
)

_EXAMPLE = "dense_tera_ops = { fp32 = 2.0, fp16 = 16.0, int8 = 32.0 }"
_NUMBERS = ("memory_gb_per_second", "memory_gb", "launch_us")
_KEYS = ("title", "kind", "dense_tera_ops", *_NUMBERS, "sources")
_OPS_PER_MAC = 2

_LEAST, _MOST = 1e-6, 1e9
"""Of any figure in a table: beyond these it is a slip, and times become nothing or infinite."""
_IN_RANGE = f"a number from {_LEAST:g} to {_MOST:g}"
_LONGEST_SHOWN = 60


def device_names() -> tuple[str, ...]:
    """Return what `find_device` knows, in the table's order; "cpu" is the last."""
    return (*_shipped(), CPU)


def find_device(name_or_toml: str) -> Device:
    """Return a device of the kit's table, or one of a TOML of one's own.

    Args:
        name_or_toml: a name, in which case, spaces, "-" and "_" do not matter; "cpu" for this one,
            which is then measured, in about three seconds; the path of a TOML that describes one
            device; or PATH:NAME, where it describes several.

    Raises:
        UsageError: if there is no such device or file, or a table of it is faulty.
        EngineError: if this CPU cannot be measured.
    """
    path, colon, chosen = name_or_toml.rpartition(":")
    if colon and path.lower().endswith(".toml"):
        return _pick(Path(path), chosen)
    if name_or_toml.lower().endswith(".toml"):
        return _pick(Path(name_or_toml), None)
    if _plain(name_or_toml) == CPU:
        from .cpu import measured_cpu

        return measured_cpu()
    for name, device in _shipped().items():
        if _plain(name) == _plain(name_or_toml):
            return device
    known = device_names()
    raise UsageError(
        f"there is no device '{name_or_toml}'; {did_you_mean(name_or_toml, known)}known: "
        f"{', '.join(known)}. Of any other give a TOML with its figures: --device my-board.toml "
        "(docs/plan.md tells its keys)"
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


@cache
def _shipped() -> Mapping[str, Device]:
    text = resources.files(__package__).joinpath("devices.toml").read_text(encoding="utf-8")
    return read_devices(text, "devices.toml")


def _pick(path: Path, name: str | None) -> Device:
    devices = read_devices(_text(path), str(path))
    if name is None and len(devices) == 1:
        return next(iter(devices.values()))
    if name is None:
        names = ", ".join(devices)
        example = f"--device {path}:{next(iter(devices))}"
        raise UsageError(f"'{path}' describes {names}; name the one that is meant: {example}")
    if name not in devices:
        hint = did_you_mean(name, devices)
        raise UsageError(
            f"'{path}' describes no device '{name}'; {hint}it has {', '.join(devices)}"
        )
    return devices[name]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"the device '{path}' cannot be read ({error.strerror}); check the path, or give one "
            f"of {', '.join(device_names())}"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}' is not UTF-8 text ({error.reason}); save it as such") from error


def read_devices(text: str, origin: str) -> dict[str, Device]:
    """Return the devices of a TOML text, by name.

    Args:
        text: one table `[device.NAME]` for each.
        origin: the file, for messages, and as the source of a device that names none.

    Raises:
        UsageError: naming the key, what was found and what is expected.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of TOML, of too many digits, of nesting
        raise UsageError(f"'{origin}' is no TOML ({error}); see docs/plan.md for one") from error
    tables = content.get("device")
    if not isinstance(tables, dict) or not tables or set(content) != {"device"}:
        raise UsageError(
            f"'{origin}' has the keys {', '.join(content) or 'none'} outermost; expected a table "
            f"[device.NAME] for each device, with {_EXAMPLE}"
        )
    return {name: _Table(origin, name, table).device() for name, table in tables.items()}


def _short(value: object) -> str:
    """Return a value for a message, cut where it is long."""
    try:
        told = repr(value)
    except (ValueError, RecursionError):  # of too many digits, nested too deeply
        return "too long to be shown"
    return told if len(told) <= _LONGEST_SHOWN else f"{told[:_LONGEST_SHOWN]}..."


class _Table:
    """One table of a TOML, checked key by key."""

    def __init__(self, origin: str, name: str, table: object) -> None:
        self._where = f"device.{name}"
        self._origin, self._name = origin, name
        if not isinstance(table, dict):
            raise self._fault("", table, f"a table with {_EXAMPLE}")
        self._table: dict[str, Any] = table
        for key in table:
            if key not in _KEYS:
                raise UsageError(
                    f"'{origin}': {self._where} has no key '{key}'; {did_you_mean(key, _KEYS)}"
                    f"it takes {', '.join(_KEYS)}"
                )

    def _fault(self, key: str, value: object, expected: str) -> UsageError:
        path = f"{self._where}.{key}" if key else self._where
        found = "missing" if value is None else _short(value)
        return UsageError(f"'{self._origin}': {path} is {found}; expected {expected}")

    def device(self) -> Device:
        """Return what the table says.

        Raises:
            UsageError: if a key is missing or not of its kind.
        """
        speed, memory, launch = (self._number(key) for key in _NUMBERS)
        sources = self._table.get("sources", [])
        if not isinstance(sources, list) or not all(isinstance(one, str) for one in sources):
            raise self._fault("sources", sources, "a list of texts")
        return Device(
            name=self._name,
            title=self._word("title", self._name),
            tera_macs=self._rates(),
            memory_gb_per_second=speed,
            memory_gb=memory,
            launch_us=launch,
            sources=(*(sources or [f"{self._origin}, which names no source"]), LAUNCH_SOURCE),
            kind=self._word("kind", KINDS[0], KINDS),
        )

    def _word(self, key: str, default: str, known: tuple[str, ...] = ()) -> str:
        word = self._table.get(key, default)
        if not isinstance(word, str) or (known and word not in known):
            raise self._fault(key, word, " or ".join(known) or "a text")
        return word

    def _number(self, key: str) -> float:
        number = self._table.get(key, LAUNCH_US if key == "launch_us" else None)
        return self._in_range(key, number, _IN_RANGE)

    def _in_range(self, key: str, number: object, expected: str) -> float:
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not is_number or not _LEAST <= number <= _MOST:  # type: ignore[operator]
            raise self._fault(key, number, expected)
        return float(number)  # type: ignore[arg-type]

    def _rates(self) -> dict[str, float]:
        key = "dense_tera_ops"
        rates = self._table.get(key)
        if not isinstance(rates, dict) or "fp32" not in rates or set(rates) - set(PRECISIONS):
            raise self._fault(key, rates, f"numbers for fp32, and fp16 and int8: {_EXAMPLE}")
        expected = f"10^12 operations a second, {_IN_RANGE}"
        return {
            precision: self._in_range(f"{key}.{precision}", rate, expected) / _OPS_PER_MAC
            for precision, rate in rates.items()
        }
