"""Whether an engine fits a machine and, if not, why: one phrase for each thing in the way."""

import re
from collections.abc import Mapping, Sequence

from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import TENSORRT

from .key import SAME_GPU, EngineKey, driver_major
from .record import EngineRecord

NOTHING_KEPT = "no engine of this graph is kept for these sizes"
"""Not worth a sentence to the user: there is nothing to compare with."""

LIBRARIES = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}
"""Flavour -> what its library is called."""

# An engine that TensorRT-RTX builds without naming a GPU runs on these and newer ones, says its
# documentation of ahead-of-time builds; TensorRT's "ampere+" means the same.
_AMPERE = (8, 0)


def misfit(record: EngineRecord, flavour_version: str | None, gpu: Gpu | None) -> str:
    """Return why an engine cannot run on this machine, "" if nothing speaks against it.

    Args:
        record: of the engine.
        flavour_version: version that works here of the library that built it; None for none.
        gpu: the one here, None if there is none.
    """
    if flavour_version is None:
        return f"no {LIBRARIES[record.flavour]} here"
    if gpu is None:
        return "no GPU here"
    facts = gpu.as_json()
    return "; ".join(_phrases(record, flavour_version, facts) + _aim_phrase(record, facts))


def differences(record: EngineRecord, key: EngineKey) -> list[str]:
    """Return why a kept engine of the same graph does not serve a key, [] if it does."""
    found = _phrases(record, key.flavour_version, key.gpu)
    if others := _other_options(EngineKey.of(record).options, key.options):
        found.append(f"built for other options ({others})")
    if record.builder_recipe != key.builder_recipe:
        found.append("built with other settings of another version of this kit")
    return found


def nearest_of(records: Sequence[EngineRecord], key: EngineKey) -> EngineRecord | None:
    """Return the engine of the same graph and library with the fewest differences."""
    return min(_same_graph(records, key), key=lambda each: _distance(each, key), default=None)


def _distance(record: EngineRecord, key: EngineKey) -> int:
    """Count what is different; every option counts by itself."""
    built = EngineKey.of(record).options
    options = [name for name in {*built, *key.options} if built.get(name) != key.options.get(name)]
    return len(differences(record, key)) + max(0, len(options) - 1)


def why_none(records: Sequence[EngineRecord], key: EngineKey) -> str:
    """Return why none of the kept engines for the same sizes serves: by the nearest one."""
    wanted = key.options["profiles"]
    fit = [each for each in records if EngineKey.of(each).options["profiles"] == wanted]
    nearest = nearest_of(fit, key)
    return describe(nearest, key) if nearest else NOTHING_KEPT


def describe(record: EngineRecord, key: EngineKey) -> str:
    """Return a sentence on what is different in an engine; see `differences`."""
    title = f"{record.bundle} {record.precision} {record.sizes_in_words}"
    return f"the engine kept for {title} was {'; '.join(differences(record, key))}"


def _same_graph(records: Sequence[EngineRecord], key: EngineKey) -> list[EngineRecord]:
    wanted = key.graph_sha256, key.flavour
    return [record for record in records if (record.graph_sha256, record.flavour) == wanted]


def _phrases(record: EngineRecord, version: str, gpu: Mapping[str, str]) -> list[str]:
    phrases = [_version_phrase(record, version)]
    if record.flavour == TENSORRT:
        phrases += [_gpu_phrase(record, gpu), _driver_phrase(record, gpu)]
    return [phrase for phrase in phrases if phrase]


def _version_phrase(record: EngineRecord, version: str) -> str:
    built, here = _numbers(record.flavour_version), _numbers(version)
    if record.options.get("version_compatible"):
        fits = built[:1] == here[:1] and built <= here
    else:
        fits = record.flavour_version == version
    library = LIBRARIES[record.flavour]
    return "" if fits else f"built by {library} {record.flavour_version}, and this is {version}"


def _gpu_phrase(record: EngineRecord, gpu: Mapping[str, str]) -> str:
    level = record.options.get("hardware_compatible", "none")
    built, here = record.gpu.get("compute_capability", ""), gpu.get("compute_capability", "")
    if level == "ampere+":
        low = bool(here) and _numbers(here) < _AMPERE
        return f"built for Ampere GPUs and newer, and this is {_called(gpu)}" if low else ""
    same = built == here and (level != "none" or _facts(record.gpu) == _facts(gpu))
    if same:
        return ""
    named = _sized if _called(record.gpu) == _called(gpu) else _called
    return f"built for {named(record.gpu)}, and this is {named(gpu)}"


def _driver_phrase(record: EngineRecord, gpu: Mapping[str, str]) -> str:
    built, here = (driver_major(each.get("driver", "")) for each in (record.gpu, gpu))
    return "" if built == here else f"built under driver {built}, and this is {here}"


def _aim_phrase(record: EngineRecord, gpu: Mapping[str, str]) -> list[str]:
    """What TensorRT-RTX was told of GPUs; it is not bound to the one it was built beside."""
    if record.flavour == TENSORRT:
        return []
    aims, here = record.options.get("compute_capabilities", ()), gpu["compute_capability"]
    if aims:
        return [] if here in aims else [f"built for {', '.join(aims)}, and this GPU has {here}"]
    old = _numbers(here) < _AMPERE
    return [f"built for Ampere GPUs and newer, and this is {_called(gpu)}"] if old else []


def _other_options(built: Mapping[str, object], asked: Mapping[str, object]) -> str:
    return "; ".join(
        f"{_named(name)} {_shown(built.get(name))}, not {_shown(asked.get(name))}"
        for name in sorted({*built, *asked})
        if built.get(name) != asked.get(name)
    )


def _named(option: str) -> str:
    return option.replace("_mib", " in MiB").replace("_", " ")


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "default"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "default" if value is None else str(value)


def _called(gpu: Mapping[str, str]) -> str:
    name = gpu.get("name", "")
    return f"{name} ({gpu.get('compute_capability', '')})" if name else "an unknown GPU"


def _sized(gpu: Mapping[str, str]) -> str:
    """Name what else tells two GPUs apart: the modules of Jetson Orin share their name."""
    count, memory = gpu.get("multiprocessors", "?"), gpu.get("memory_gib", "?")
    return f"{_called(gpu)} with {count} multiprocessors and {memory} GiB"


def _facts(gpu: Mapping[str, str]) -> list[str]:
    return [gpu.get(name, "") for name in SAME_GPU]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
