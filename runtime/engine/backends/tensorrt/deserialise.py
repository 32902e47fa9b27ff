"""From bytes to an engine; or why not, and what to do about it."""

import re
from types import ModuleType
from typing import Any

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.building.retry import speaks_of_memory
from crispstream.runtime.engine.native import listening

_REBUILD = "build it again on this machine: crispstream build --rebuild"
_FREE = "end other programs that use the GPU"
_EXAMINE = "see what is wrong with: crispstream doctor"
_ADVICE = {
    "VERSION_MISMATCH": _REBUILD,
    "UNSUPPORTED_CC": _REBUILD,
    "MALFORMED_ENGINE": _REBUILD,
    "INSUFFICIENT_GPU_MEMORY": _FREE,
    "OLD_CUDA_DRIVER": "update the GPU's driver",
    "OLD_CUDA_RUNTIME": 'install the newest: pip install --upgrade "crispstream[rtx]"',
    "CUDA_ERROR": _EXAMINE,
}
"""Members of TensorRT-RTX's EngineInvalidityDiagnostics -> what helps."""

_CUDA_FAILED = re.compile(r"Cuda (Runtime|Driver) \((?!no kernel image)")
"""A call of CUDA failed, for another reason than code for another GPU: not for these bytes."""


class RefusedEngineError(EngineError):
    """The bytes of an engine are for another version or GPU, or damaged: another build helps."""


def deserialised(trt: ModuleType, flavour: str, runtime: Any, engine: bytes) -> Any:  # noqa: ANN401
    """Return the engine that the bytes are.

    Raises:
        RefusedEngineError: if the library refuses these bytes.
        EngineError: if it is memory that is missing, or CUDA that does not work.
    """
    with listening() as heard:
        _refuse_invalid(trt, flavour, runtime, engine)
        loaded = runtime.deserialize_cuda_engine(engine)
    if loaded is not None:
        return loaded
    said = heard.first_error() or "nothing"
    lines = [*heard.errors, *heard.warnings]
    if speaks_of_memory(lines):
        advice = _FREE
    elif any(_CUDA_FAILED.search(line) for line in lines):
        advice = _EXAMINE
    else:
        advice = _REBUILD
    raise _error_for(advice)(
        f"{flavour} {trt.__version__} does not load the engine; it said: {said}; {advice}", said
    )


def _refuse_invalid(trt: ModuleType, flavour: str, runtime: Any, engine: bytes) -> None:  # noqa: ANN401
    """TensorRT-RTX tells what is wrong from the engine's header, before any work."""
    if not hasattr(runtime, "get_engine_validity") or not hasattr(trt, "EngineValidity"):
        return
    validity, faults = runtime.get_engine_validity(engine)
    if validity != trt.EngineValidity.INVALID:
        return
    members = getattr(trt, "EngineInvalidityDiagnostics", None)
    known = {} if members is None else members.__members__
    found = [name for name, bit in known.items() if int(faults) & int(bit)]
    advice = dict.fromkeys(_ADVICE.get(name, _EXAMINE) for name in found) or [_EXAMINE, _REBUILD]
    told = ", ".join(name.replace("_", " ").lower() for name in found)
    raise _error_for(*advice)(
        f"{flavour} {trt.__version__} cannot run the engine here: {told or 'no reason given'}; "
        f"{', or '.join(advice)}"
    )


def _error_for(*advice: str) -> type[EngineError]:
    return RefusedEngineError if set(advice) == {_REBUILD} else EngineError
