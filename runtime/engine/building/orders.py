"""Build options as the library's builder configuration takes them.

`refuse_unfit` tells before anything is imported what a flavour cannot do, `refuse_unknown_aims`
before any work what its installed version does not know; `give_orders` sets the rest. What only
some versions have is asked for with `hasattr`.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine.native import RTX, compute_capabilities

from .options import BuildOptions

_TURING = (7, 5)
Refused = Callable[[str], EngineError]
"""Makes the error for something that the library refused, with what it said."""


def refuse_unfit(options: BuildOptions, flavour: str) -> None:
    """Raise UsageError if one flavour is asked for what only the other can do."""
    if flavour != RTX:
        if options.compute_capabilities:
            raise _cannot_aim(options, flavour)
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


def refuse_unknown_aims(trt: ModuleType, options: BuildOptions, flavour: str) -> None:
    """Raise UsageError for a compute capability that this version cannot build for."""
    known = compute_capabilities(trt)
    if options.compute_capabilities and not known:
        raise _cannot_aim(options, flavour)
    for each in options.compute_capabilities:
        if each not in known:
            raise UsageError(
                f"{flavour} {trt.__version__} cannot build for compute capability {dotted(each)}; "
                f"it knows {', '.join(map(dotted, known))}"
            )


def remark_on(options: BuildOptions, flavour: str, precision: str) -> str:
    """Return what the user should know of an engine before it is built, "" for nothing.

    Seen in the tables of layers that TensorRT-RTX 1.7 logs: for compute capability 7.5 every
    convolution of an int8 graph reads half, and so it does if others are listed beside it.
    """
    aims = options.compute_capabilities
    if (flavour, precision) != (RTX, "int8") or _TURING not in aims:
        return ""
    others = ", ".join(dotted(each) for each in aims if each != _TURING)
    also = f", and so it may be for {others} in the same engine: build that by itself"
    return f"{RTX} computes int8 graphs in half for compute capability 7.5" + also * bool(others)


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
    _aim_at(trt, config, options, flavour, refused)


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
    options: BuildOptions,
    flavour: str,
    refused: Refused,
) -> None:
    """Choose the kinds of GPU; none leaves the choice to the library."""
    refuse_unknown_aims(trt, options, flavour)
    wanted = options.compute_capabilities
    if not wanted:
        return
    known = compute_capabilities(trt)
    config.num_compute_capabilities = len(wanted)
    for index, each in enumerate(wanted):
        if not config.set_compute_capability(known[each], index):
            raise refused(f"compute capability {dotted(each)}")


def _cannot_aim(options: BuildOptions, flavour: str) -> UsageError:
    return UsageError(
        f"{flavour} builds for the GPU it runs on and cannot aim at "
        f"{dotted(options.compute_capabilities[0])}; leave out the compute capability, or build "
        "for tensorrt-rtx"
    )


def dotted(compute_capability: tuple[int, int]) -> str:
    """Return the usual spelling.

    >>> dotted((8, 6))
    '8.6'
    """
    major, minor = compute_capability
    return f"{major}.{minor}"
