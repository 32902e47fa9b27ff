"""Puts the fakes in the place of the real libraries, for the time of a test."""

import sys
from types import ModuleType

import pytest

from crispstream.runtime.engine import native
from crispstream.runtime.engine.device import driver

from .fake_bindings import fake_bindings
from .fake_cuda import fake_pycuda
from .fake_gpu import FakeGpu
from .fake_libcuda import FakeLibcuda
from .surface import Surface


def install_cuda(monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu) -> Surface:
    """Let pycuda, cuda-bindings and libcuda be fakes; return what is touched of pycuda."""
    surface = Surface()
    cuda = fake_pycuda(gpu, surface)
    bindings = fake_bindings(gpu, Surface())
    for name, module in {
        "pycuda": _package("pycuda", driver=cuda),
        "pycuda.driver": cuda,
        "cuda": _package("cuda"),
        "cuda.bindings": _package("cuda.bindings", driver=bindings),
        "cuda.bindings.driver": bindings,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    libcuda = FakeLibcuda(gpu)
    monkeypatch.setattr(driver, "open_libcuda", lambda: libcuda)
    return surface


def install_tensorrt(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Let a fake of `fake_tensorrt` be what its flavour loads."""
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(native, "_loggers", {})  # those of real libraries are of other classes


def remove(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a module not be installed."""
    monkeypatch.setitem(sys.modules, name, None)


def _package(name: str, **content: ModuleType) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = []
    vars(package).update(content)
    return package
