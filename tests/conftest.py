"""Settings every test shares: torch's threads, and what happens to GPU tests without a GPU."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """Keep torch to one thread: tiny layers shared out over busy cores only wait for each other."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep engines of tests out of the user's cache, and of each other's way."""
    monkeypatch.setenv("CRISPSTREAM_CACHE", str(tmp_path_factory.mktemp("cache")))


def why_no_gpu() -> str:
    """Return the reason why engines cannot run here, or "" when they can."""
    try:
        driver = importlib.import_module("pycuda.driver")
    except ModuleNotFoundError:
        return 'pycuda is not installed: pip install "crispstream[cuda]"'
    except ImportError as error:
        return f"pycuda cannot load the CUDA driver: {error}"
    if not any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx")):
        return 'TensorRT is not installed: pip install "crispstream[tensorrt]"'
    try:
        driver.init()
    except driver.Error as error:
        return f"the CUDA driver found no usable device: {error}"
    return "" if driver.Device.count() else "the CUDA driver lists no device"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests with the reason, or refuse to go on where a GPU was promised."""
    gpu_tests = [item for item in items if item.get_closest_marker("gpu")]
    required = os.environ.get("CRISPSTREAM_REQUIRE_GPU") == "1"
    if not gpu_tests and not required:
        return
    reason = why_no_gpu()
    if reason and required:
        raise pytest.UsageError(f"CRISPSTREAM_REQUIRE_GPU=1, but {reason}")
    for item in gpu_tests if reason else []:
        item.add_marker(pytest.mark.skip(reason=reason))
