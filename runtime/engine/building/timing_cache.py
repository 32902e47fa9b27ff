"""TensorRT's timing cache: what it measured of kernels, kept so that the next build is faster.

It may only be used on the GPU and with the version that it was made by, which TensorRT checks.
TensorRT-RTX measures nothing while it builds and has none.
"""

from pathlib import Path
from typing import Any

from crispstream.core.files import write_atomically
from crispstream.runtime.engine.native import Heard


def use_timing_cache(config: Any, path: Path, heard: Heard) -> str:  # noqa: ANN401
    """Give a builder configuration the cache at `path`; return a warning, "" for none.

    A file that cannot be used is left out, and the build starts with an empty cache. What the
    library said about it is taken out of `heard`: it is no error of the build.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        data, fault = b"", f"it cannot be read ({error.strerror})"
    else:
        fault = _set(config, data, heard)
    if not fault:
        return ""
    _set(config, b"", heard)
    return f"the timing cache {path} is not used and will be replaced: {fault}"


def keep_timing_cache(config: Any, path: Path) -> str:  # noqa: ANN401
    """Write what the build has measured to `path`; return a warning, "" for none."""
    cache = config.get_timing_cache()
    if cache is None:
        return ""
    try:
        write_atomically(path, bytes(cache.serialize()))
    except OSError as error:
        return f"the timing cache {path} could not be written ({error.strerror or error})"
    return ""


def _set(config: Any, data: bytes, heard: Heard) -> str:  # noqa: ANN401
    """Return why the library does not take a cache, "" if it does."""
    errors, warnings = len(heard.errors), len(heard.warnings)
    cache = config.create_timing_cache(data)
    taken = cache is not None and config.set_timing_cache(cache, False)
    said = [*heard.warnings[warnings:], *heard.errors[errors:]]
    del heard.warnings[warnings:], heard.errors[errors:]
    if taken and not (data and said):  # a damaged one is replaced by an empty one, with a warning
        return ""
    return said[-1] if said else "it was made on another GPU or by another version"
