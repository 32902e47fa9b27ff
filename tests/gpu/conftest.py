"""A GPU that engines run on, and engines for it, built once in a test run."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.available import candidates
from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu
from crispstream.runtime.engine.native import FLAVOURS
from crispstream.runtime.engine.store.places import VARIABLE

Sizes = tuple[tuple[int, int], ...]
Build = Callable[..., bytes]
Open = Callable[..., TensorRTBackend]


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    """Return the GPU; tests/conftest.py skips these tests where there is none."""
    found = find_gpu()
    assert isinstance(found, Gpu), found
    return found


@pytest.fixture(scope="session")
def flavour(gpu: Gpu) -> str:
    """Return the flavour of TensorRT that runs here, the better one of two."""
    judged = [one for one in candidates() if one.name in FLAVOURS]
    for one in judged:
        if one.usable:
            return one.name
    reason = "; ".join(one.why for one in judged)
    if os.environ.get("CRISPSTREAM_REQUIRE_GPU") == "1":
        pytest.fail(f"CRISPSTREAM_REQUIRE_GPU=1, but no engine runs on {gpu.name}: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def build(flavour: str, gpu: Gpu) -> Build:
    """Return a function that builds a graph for sizes (width, height), one profile each."""

    @cache
    def built(
        onnx_bytes: bytes, *sizes: tuple[int, int], states: tuple[StateTensor, ...] = ()
    ) -> bytes:
        aims = (gpu.compute_capability,) if flavour == "tensorrt-rtx" else ()
        options = BuildOptions(tuple(SizeRange.only(size) for size in sizes), aims)
        return build_engine(onnx_bytes, options, flavour=flavour, states=states).plan

    return built


@pytest.fixture
def opened(flavour: str) -> Iterator[Open]:
    """Return a function that opens a backend on an engine; all are closed after the test."""
    backends = []

    def open_one(
        engine: bytes,
        precision: str = "fp32",
        *,
        states: tuple[StateTensor, ...] = (),
        cuda_graph: bool = True,
    ) -> TensorRTBackend:
        backend = TensorRTBackend(
            lambda _height, _width: Plan(engine),
            flavour=flavour,
            precision=precision,
            states=states,
            cuda_graph=cuda_graph,
        )
        backends.append(backend)
        return backend

    yield open_one
    for backend in backends:
        backend.close()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let engines be kept in a folder of the test's own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"
