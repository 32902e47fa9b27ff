"""The choice of a backend, on machines that are played: which one, why, and what is refused."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine.available import (
    BACKENDS,
    Candidate,
    Choice,
    Probes,
    candidates,
    choose_backend,
    is_installed,
)
from crispstream.runtime.engine.native import load_flavour
from tests.runtime.doctor.fake_machine import (
    H200,
    NO_PYCUDA,
    ORIN,
    RTX_4070,
    TENSORRT,
    TENSORRT_RTX,
    TITAN_RTX,
    fake_probes,
)

ROOT = Path(__file__).parents[3]
BOTH = {"tensorrt": TENSORRT, "tensorrt-rtx": TENSORRT_RTX}
RTX = {"tensorrt-rtx": TENSORRT_RTX}
CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")
NOTHING = "no NVIDIA driver: libcuda.so.1 was not found"
INSTALL = 'pip install "crispstream[tensorrt]"'


@pytest.mark.parametrize(
    ("probes", "name", "reason"),
    [
        (fake_probes(), "onnxruntime", f"onnxruntime on the CPU ({NOTHING})"),
        (
            fake_probes(flavours=BOTH),
            "onnxruntime",
            f"onnxruntime on the CPU ({NOTHING})",
        ),
        (fake_probes(ORIN, BOTH), "tensorrt", "tensorrt 10.3.0 on Orin"),
        (fake_probes(RTX_4070, BOTH), "tensorrt", "tensorrt 10.3.0 on NVIDIA GeForce RTX 4070"),
        (
            fake_probes(RTX_4070, RTX, CUDA),
            "tensorrt-rtx",
            "tensorrt-rtx 1.7.1.116 on NVIDIA GeForce RTX 4070",
        ),
        (
            fake_probes(TITAN_RTX, RTX),
            "tensorrt-rtx",
            "tensorrt-rtx 1.7.1.116 on NVIDIA TITAN RTX (which computes int8 graphs in half)",
        ),
        (
            fake_probes(H200, RTX, CUDA),
            "onnxruntime-cuda",
            "onnxruntime-cuda on NVIDIA H200 (tensorrt-rtx 1.7.1.116 has nothing for compute "
            f"capability 9.0 of NVIDIA H200; {INSTALL})",
        ),
        (
            fake_probes(RTX_4070),
            "onnxruntime",
            f"onnxruntime on the CPU (tensorrt is not installed; {INSTALL})",
        ),
        (
            fake_probes(NO_PYCUDA, BOTH, CUDA, driver=True),
            "onnxruntime-cuda",
            "onnxruntime-cuda on the GPU (this needs the Python package 'pycuda', which is not "
            'installed; pip install "crispstream[cuda]")',
        ),
    ],
)
def test_auto_takes_the_best_that_can_run(probes: Probes, name: str, reason: str) -> None:
    assert choose_backend("auto", probes) == Choice(name, reason)


def test_a_flavour_that_cannot_be_loaded_is_passed_over_with_its_reason() -> None:
    old = EngineError("TensorRT 8.6 cannot build; install TensorRT 10.0 or newer")
    probes = fake_probes(RTX_4070, {"tensorrt": old})
    expected = "onnxruntime on the CPU (TensorRT 8.6 cannot build; install TensorRT 10.0 or newer)"
    assert choose_backend("auto", probes) == Choice("onnxruntime", expected)
    assert choose_backend("auto", fake_probes(RTX_4070, {"tensorrt": old, **RTX})).name == (
        "tensorrt-rtx"
    )


def test_a_library_that_breaks_in_its_own_way_is_passed_over_too() -> None:
    probes = fake_probes(RTX_4070, {"tensorrt": AttributeError("no ILogger")}, OSError("libcublas"))
    assert choose_backend("auto", probes).reason == "onnxruntime on the CPU (no ILogger)"
    assert candidates(probes)[2].why == "onnxruntime cannot be loaded (libcublas)"


def test_onnxruntime_that_cannot_be_loaded_is_judged_unusable() -> None:
    broken = fake_probes(providers=ImportError("libcblas.so.3: cannot open\nmore"))
    expected = "onnxruntime cannot be loaded (libcblas.so.3: cannot open)"
    fix = "pip install --force-reinstall onnxruntime"
    assert candidates(broken)[-1] == Candidate("onnxruntime", False, expected, fix)
    assert choose_backend("auto", broken).name == "onnxruntime", "only who runs a model imports it"


def test_without_a_driver_no_library_is_asked() -> None:
    def never(*_: object) -> NoReturn:
        raise AssertionError("asked, though there is no driver")

    probes = replace(fake_probes(), load_flavour=never, onnxruntime_providers=never)
    assert choose_backend("auto", probes).name == "onnxruntime"
    probes = replace(fake_probes(), load_flavour=never)
    assert [found.usable for found in candidates(probes)] == [False, False, False, True]


def test_a_jetson_is_not_offered_what_is_not_made_for_it() -> None:
    tensorrt, rtx, cuda, _ = candidates(fake_probes(ORIN))
    assert tensorrt.fix.startswith("sudo apt install python3-libnvinfer")
    assert (rtx.why, rtx.fix) == ("tensorrt_rtx is not installed, nor made for a Jetson", "")
    assert cuda.fix == "install the onnxruntime-gpu that is made for this JetPack"


def test_what_is_worse_than_the_best_is_not_loaded() -> None:
    probes = fake_probes(ORIN, {"tensorrt": TENSORRT, "tensorrt-rtx": AssertionError("loaded")})
    assert choose_backend("auto", probes).name == "tensorrt"


def test_importing_the_choice_imports_no_library() -> None:
    program = (
        "import sys\nfrom crispstream.runtime.engine.available import choose_backend\n"
        "choose_backend('onnxruntime')\n"
        "print([m for m in ('onnxruntime', 'tensorrt_rtx', 'pycuda', 'av') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "build/links")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize(
    ("wanted", "probes", "said"),
    [
        ("tensorrt", fake_probes(), "libcuda.so.1 was not found; see crispstream doctor"),
        ("tensorrt", fake_probes(RTX_4070, RTX), "tensorrt is not installed; pip install"),
        ("tensorrt", fake_probes(ORIN), "python3 -m venv --system-site-packages"),
        ("tensorrt-rtx", fake_probes(ORIN, RTX), "nothing for compute capability 8.7 of Orin"),
        ("onnxruntime-cuda", fake_probes(RTX_4070), "pip install onnxruntime-gpu"),
        ("onnxruntime-cuda", fake_probes(ORIN), "that is made for this JetPack"),
        ("onnxruntime-cuda", fake_probes(), "libcuda.so.1 was not found"),
    ],
)
def test_a_named_backend_that_cannot_run_is_refused(wanted: str, probes: Probes, said: str) -> None:
    with pytest.raises(EngineError, match=f"the backend {wanted} cannot run here") as refused:
        choose_backend(wanted, probes)
    assert said in str(refused.value)


def test_a_named_backend_that_can_run_is_taken_though_there_is_a_better_one() -> None:
    probes = fake_probes(RTX_4070, BOTH, CUDA)
    assert [choose_backend(name, probes).name for name in BACKENDS] == list(BACKENDS)


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("TensorRT", "did you mean 'tensorrt'? "),
        ("tensorrt_rtx", "did you mean 'tensorrt-rtx'? "),
        ("rtx", "did you mean 'tensorrt-rtx'? "),
        ("TRT", "did you mean 'tensorrt'? "),
        ("cuda", "did you mean 'onnxruntime-cuda'? "),
        ("Auto", "did you mean 'auto'? "),
        ("vulkan", ""),
    ],
)
def test_an_unknown_backend_is_bad_usage(wanted: str, hint: str) -> None:
    names = "auto, tensorrt, tensorrt-rtx, onnxruntime-cuda, onnxruntime"
    expected = re.escape(f"there is no backend '{wanted}'; {hint}choose one of {names}")
    with pytest.raises(UsageError, match=f"^{expected}$"):
        choose_backend(wanted, fake_probes())


def test_candidates_are_all_judged() -> None:
    assert candidates(fake_probes(H200, BOTH, CUDA)) == [
        Candidate("tensorrt", True, "tensorrt 10.3.0 on NVIDIA H200"),
        Candidate(
            "tensorrt-rtx",
            False,
            "tensorrt-rtx 1.7.1.116 has nothing for compute capability 9.0 of NVIDIA H200",
            INSTALL,
        ),
        Candidate("onnxruntime-cuda", True, "onnxruntime-cuda on NVIDIA H200"),
        Candidate("onnxruntime", True, "onnxruntime on the CPU"),
    ]


@pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="TensorRT-RTX is not installed")
def test_the_real_tensorrt_rtx_names_what_it_builds_for() -> None:
    real = load_flavour("tensorrt-rtx")
    assert choose_backend("auto", fake_probes(RTX_4070, {"tensorrt-rtx": real})).name == (
        "tensorrt-rtx"
    )
    for other in (H200, ORIN):
        found = candidates(fake_probes(other, {"tensorrt-rtx": real}))[1]
        assert not found.usable
        assert "nothing for compute capability" in found.why


def test_a_folder_is_no_package(tmp_path, monkeypatch) -> None:
    (tmp_path / "no_library").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.util.find_spec("no_library") is not None
    assert not is_installed("no_library")
