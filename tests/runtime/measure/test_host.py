"""What a number was measured on."""

import sys
from types import SimpleNamespace

import pytest

from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.measure import host
from crispstream.runtime.measure.host import host_facts
from crispstream.runtime.measure.pages.frame import host_terms

GPU = Gpu("NVIDIA L4", (8, 9), "580.65.06", 24 * 2**30, False, multiprocessors=58)
ALWAYS = {"crispstream": "0.1.0", "onnxruntime": "1.30", "av": "15", "numpy": "2.1"}


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    def version(name: str) -> str:
        known = {each.replace("_", "-"): told for each, told in versions.items()}
        if name not in known:
            raise host.metadata.PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(host.metadata, "version", version)
    for module in ("tensorrt", "tensorrt_rtx", "pycuda"):
        monkeypatch.delitem(sys.modules, module, raising=False)


def test_what_could_do_the_work_is_told_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, **ALWAYS)
    assert host_facts().packages == ALWAYS
    installed(
        monkeypatch,
        **ALWAYS,
        tensorrt_cu12="10.9",
        tensorrt_rtx_cu13="1.7",
        pycuda="2026.1",
        cuda_bindings="13.0",
    )
    assert host_facts().packages == ALWAYS | {
        "tensorrt": "10.9", "tensorrt_rtx": "1.7", "pycuda": "2026.1", "cuda-bindings": "13.0",
    }  # fmt: skip


def test_what_should_be_there_and_is_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, onnxruntime_gpu="1.22")
    told = host_facts().packages
    assert told["onnxruntime"] == "1.22"
    assert told["crispstream"] == "not installed"


def test_a_library_without_a_record_of_its_installation_tells_its_version_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, **ALWAYS)
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.3.0"))
    assert host_facts().packages["tensorrt"] == "10.3.0"


def test_the_gpu_and_its_driver_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "find_gpu", lambda: GPU)
    facts = host_facts()
    assert (facts.gpu, facts.driver) == ("NVIDIA L4", "580.65.06")
    assert host_terms(facts)["GPU"] == "NVIDIA L4, driver 580.65.06"


def test_without_a_gpu_there_is_none_and_nothing_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Gpu:
        raise AttributeError("a broken library")

    for found in (lambda: "there is no driver", broken):
        monkeypatch.setattr(host, "find_gpu", found)
        facts = host_facts()
        assert (facts.gpu, facts.driver) == ("", "")
        assert "GPU" not in host_terms(facts)
