"""A fresh process that opens an engine once, and prints the seconds; for `gpu_check/opening.py`.

    python -m benchmarks.gpu_check.first_frame native FLAVOUR ENGINE [KERNELS]
    python -m benchmarks.gpu_check.first_frame kit BACKEND MODEL PRECISION WIDTHxHEIGHT

Nothing is imported before the clock starts: what each of the two needs is part of its time.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def open_natively(flavour: str, engine: str, kernels: str = "") -> float:
    """Return the seconds until the library alone could take a frame.

    It is imported, a CUDA context is made, the engine is read and loaded, and an execution context
    made for it. `kernels` is the file of those that TensorRT-RTX compiled before, "" for none: the
    kit reads it too.

    Raises:
        EngineError: if it refuses the engine.
    """
    begun = time.perf_counter()
    from crispstream.runtime.engine.backends.tensorrt.engine import LoadedEngine, Plan
    from crispstream.runtime.engine.device.driver import Driver
    from crispstream.runtime.engine.native import load_flavour

    driver = Driver()
    try:
        plan = Plan(Path(engine).read_bytes(), runtime_cache=Path(kernels) if kernels else None)
        loaded = LoadedEngine(load_flavour(flavour), flavour, plan)
        context = loaded.create_context()
        seconds = time.perf_counter() - begun
        del context
        loaded.close()
    finally:
        driver.close()
    return seconds


def open_with_kit(backend: str, model: str, precision: str, size: str) -> float:
    """Return the seconds until a Restorer has given back its first frame.

    Raises:
        CrispstreamError: if it cannot.
    """
    begun = time.perf_counter()
    import numpy as np

    from crispstream.core.sizes import parse_size
    from crispstream.runtime.restorer import Restorer

    width, height = parse_size(size)
    frame_hwc = np.full((height, width, 3), 128, np.uint8)
    with Restorer.open(model, precision, backend, allow_uncertified=True) as restorer:
        restorer.restore(frame_hwc)
        return time.perf_counter() - begun


def main(arguments: Sequence[str]) -> None:
    """Open once in the way that is named first."""
    way, *rest = arguments
    seconds = open_natively(*rest) if way == "native" else open_with_kit(*rest)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
