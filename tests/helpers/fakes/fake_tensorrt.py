"""A fake of tensorrt and tensorrt_rtx, over a `FakeGpu`: engines that are built, and compute on it.

Give it the names of real bindings, and the fake has no others.
"""

from typing import Any

from . import fake_builder, fake_runtime
from .fake_gpu import FakeGpu
from .surface import FakeModule, Surface, enum_copy, surfaced_copies

_CLASSES = fake_runtime.CLASSES | fake_builder.CLASSES
_ENUMS = fake_runtime.ENUMS | fake_builder.ENUMS
_RTX_ONLY = fake_runtime.RTX_ONLY | fake_builder.RTX_ONLY


def fake_tensorrt(
    gpu: FakeGpu,
    *,
    flavour: str = "tensorrt",
    version: str = "10.3.0",
    surface: Surface | None = None,
) -> FakeModule:
    """Return a module of a flavour ("tensorrt" or "tensorrt-rtx") and version.

    Names are watched by `surface`, by default one with all that the fake of that flavour has.
    """
    if surface is None:
        surface = Surface(absent=frozenset() if flavour == "tensorrt-rtx" else _RTX_ONLY)
    enums = {name: enum_copy(surface, name, members) for name, members in _ENUMS.items()}
    shared = {"_gpu": gpu, "_flavour": flavour, "_version": version, "_enums": enums}
    classes = surfaced_copies(surface, _CLASSES, shared)
    logger = classes["ILogger"]
    logger._error = enums["ILogger.Severity"]._all["ERROR"]
    logger._verbose = enums["ILogger.Severity"]._all["VERBOSE"]
    logger.Severity = enums["ILogger.Severity"]
    for name, member in enums["ILogger.Severity"].__members__.items():
        setattr(logger, name, member)
    content: dict[str, Any] = {"__version__": version, **classes}
    content |= {name: enum for name, enum in enums.items() if "." not in name}
    there = {name: value for name, value in content.items() if name[0] == "_" or surface.has(name)}
    return FakeModule(flavour.replace("-", "_"), surface, there)
