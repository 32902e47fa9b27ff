"""Build options as the library's builder configuration takes them.

`refuse_unfit` tells before any work what a flavour cannot do; `give_orders` sets the rest. What
only some versions have is asked for with `hasattr`.
"""

import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from crispstream.core.errors import EngineError, UsageError

from .options import BuildOptions

RTX = "tensorrt-rtx"
Refused = Callable[[str], EngineError]
"""Makes the error for something that the library refused, with what it said."""


def refuse_unfit(options: BuildOptions, flavour: str) -> None:
    """Raise UsageError if TensorRT-RTX is asked for what only TensorRT can do."""
    if flavour != RTX:
        return
    if options.workspace_mib is not None:
        raise UsageError(
            f"{RTX} takes no workspace limit: a build that meets one fails, where TensorRT chooses "
            "another kernel; leave it out, or build for tensorrt"
        )
    if options.version_compatible:
        raise UsageError(
            f"{RTX} builds no version-compatible engines: they carry a lean runtime, which it does "
            "not have; build again after each update, or build for tensorrt"
        )
    if options.hardware_compatible != "none":
        raise UsageError(
            f"{RTX} knows no hardware compatibility '{options.hardware_compatible}': its engines "
            "are aimed at kinds of GPU; give a compute capability, 8.6 for instance, for each"
        )


def give_orders(
    trt: ModuleType,
    config: Any,  # noqa: ANN401
    options: BuildOptions,
    flavour: str,
    refused: Refused,
) -> None:
    """Set everything but the profiles on a builder configuration.

    Raises:
        UsageError: if the library, or this version of it, cannot do what is asked.
        EngineError: if it refuses.
    """
    # On by default, it rounds what fp32 convolutions read to 10 bits of mantissa. Precision is the
    # graph's alone: fp32 is what the others are judged by, and fp16 and int8 graphs keep the
    # interpolated frame, to which the network only adds, in fp32 on purpose.
    config.clear_flag(trt.BuilderFlag.TF32)
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.optimisation_level is not None:
        config.builder_optimization_level = options.optimisation_level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    _set_hardware_level(trt, config, options.hardware_compatible)
    _aim_at(trt, config, options.compute_capabilities, flavour, refused)


def _set_hardware_level(trt: ModuleType, config: Any, level: str) -> None:  # noqa: ANN401
    if level == "none":  # the default: asking for it makes TensorRT-RTX complain
        return
    levels = trt.HardwareCompatibilityLevel
    if level == "ampere+":
        config.hardware_compatibility_level = levels.AMPERE_PLUS
    elif hasattr(levels, "SAME_COMPUTE_CAPABILITY"):
        config.hardware_compatibility_level = levels.SAME_COMPUTE_CAPABILITY
    else:
        raise UsageError(
            f"TensorRT {trt.__version__} does not know the hardware compatibility '{level}'; "
            "it needs 10.9 or newer, or choose ampere+"
        )


def _aim_at(
    trt: ModuleType,
    config: Any,  # noqa: ANN401
    compute_capabilities: Sequence[tuple[int, int]],
    flavour: str,
    refused: Refused,
) -> None:
    """Choose the kinds of GPU; none leaves the choice to the library."""
    if not compute_capabilities:
        return
    wanted = [dotted(each) for each in compute_capabilities]
    known = _compute_capabilities(trt)
    if not known:
        raise UsageError(
            f"{flavour} builds for the GPU it runs on and cannot aim at {wanted[0]}; "
            "leave out the compute capability, or build for tensorrt-rtx"
        )
    config.num_compute_capabilities = len(wanted)
    for index, each in enumerate(wanted):
        if each not in known:
            raise UsageError(
                f"{flavour} {trt.__version__} cannot build for compute capability "
                f"{each}; it knows {', '.join(known)}"
            )
        if not config.set_compute_capability(known[each], index):
            raise refused(f"compute capability {each}")


def dotted(compute_capability: tuple[int, int]) -> str:
    """Return the usual spelling.

    >>> dotted((8, 6))
    '8.6'
    """
    major, minor = compute_capability
    return f"{major}.{minor}"


def _compute_capabilities(trt: ModuleType) -> dict[str, Any]:
    """Return "8.6" -> the library's value for every kind of GPU it names; {} for TensorRT."""
    if not hasattr(trt, "ComputeCapability"):
        return {}
    found = {}
    for name, value in trt.ComputeCapability.__members__.items():
        if match := re.fullmatch(r"SM(\d+)(\d)", name):
            found[f"{match[1]}.{match[2]}"] = value
    return found
