"""Checks of the libraries, on machines that are played."""

from types import SimpleNamespace
from typing import Any

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.doctor import libraries
from crispstream.runtime.doctor.finding import Finding
from tests.runtime.doctor.fake_machine import (
    H200,
    ORIN,
    RTX_4070,
    TENSORRT,
    TENSORRT_RTX,
    FakeMachine,
)

JETPACK_COPY = {"/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": ""}
CV2 = SimpleNamespace(
    __version__="4.12.0",
    getBuildInformation=lambda: "  GUI:      GTK3\n    FFMPEG:     YES\n    GStreamer:   NO\n",
)
ORT = SimpleNamespace(
    __version__="1.23.2",
    get_available_providers=lambda: [
        "CUDAExecutionProvider",
        "AzureExecutionProvider",
        "CPUExecutionProvider",
    ],
)
AV = SimpleNamespace(__version__="17.1.0", library_versions={"libavcodec": (61, 19, 101)})


def test_flavours_tell_their_versions() -> None:
    flavours = {"tensorrt": TENSORRT, "tensorrt-rtx": TENSORRT_RTX}
    assert list(libraries.tensorrt(FakeMachine(RTX_4070, flavours_there=flavours))) == [
        Finding("TensorRT", "fine", "10.3.0"),
        Finding("TensorRT-RTX", "fine", "1.7.1.116"),
    ]
    (found,) = libraries.tensorrt(FakeMachine(flavours_there={"tensorrt-rtx": TENSORRT_RTX}))
    assert (found.state, "no GPU to run them" in found.seen) == ("fine", True)


def test_tensorrt_rtx_alone_on_a_gpu_that_it_is_not_made_for_is_a_problem() -> None:
    (found,) = libraries.tensorrt(FakeMachine(H200, flavours_there={"tensorrt-rtx": TENSORRT_RTX}))
    assert (found.topic, found.state) == ("TensorRT-RTX", "problem")
    assert "nothing for compute capability 9.0" in found.seen
    assert found.fix == 'pip install "crispstream[tensorrt]"'
    both = {"tensorrt": TENSORRT, "tensorrt-rtx": TENSORRT_RTX}
    states = [found.state for found in libraries.tensorrt(FakeMachine(H200, flavours_there=both))]
    assert states == ["fine", "note"]


@pytest.mark.parametrize(
    ("error", "seen", "fix"),
    [
        (
            EngineError("TensorRT 8.5.2 cannot build; install TensorRT 10.0 or newer"),
            "TensorRT 8.5.2 cannot build",
            "install TensorRT 10.0 or newer",
        ),
        (AttributeError("ILogger"), "cannot be loaded: ILogger", "crispstream[tensorrt]"),
    ],
)
def test_a_flavour_that_cannot_be_used_is_a_problem(error: Exception, seen: str, fix: str) -> None:
    (found,) = libraries.tensorrt(FakeMachine(RTX_4070, flavours_there={"tensorrt": error}))
    assert (found.topic, found.state, found.seen) == ("TensorRT", "problem", seen)
    assert fix in found.fix


@pytest.mark.parametrize(("gpu", "extra"), [("no driver", "rtx"), (RTX_4070, "tensorrt")])
def test_no_flavour_is_a_note(gpu: Any, extra: str) -> None:
    (found,) = libraries.tensorrt(FakeMachine(gpu))
    assert (found.state, found.fix) == ("note", f'pip install "crispstream[{extra}]"')


@pytest.mark.parametrize(
    ("version", "virtual", "fix"),
    [
        (
            (3, 10, 12),
            True,
            "sed -i 's/^include-system-site-packages.*/include-system-site-packages = true/' "
            "/opt/venv/pyvenv.cfg",
        ),
        ((3, 11, 4), True, "/usr/bin/python3.10 -m venv --system-site-packages venv"),
        ((3, 10, 12), False, "/usr/bin/python3.10 -m venv --system-site-packages venv"),
    ],
)
def test_jetpacks_tensorrt_outside_the_environment_is_a_problem(
    version: tuple[int, int, int], virtual: bool, fix: str
) -> None:
    machine = FakeMachine(ORIN, files=JETPACK_COPY, version=version, virtual=virtual)
    (found,) = libraries.tensorrt(machine)
    assert (found.state, found.fix) == ("problem", fix)
    assert found.seen.startswith("/usr/lib/python3.10/dist-packages has it")


def test_jetpacks_tensorrt_inside_the_environment_is_fine() -> None:
    machine = FakeMachine(ORIN, files=JETPACK_COPY, flavours_there={"tensorrt": TENSORRT})
    assert [found.state for found in libraries.tensorrt(machine)] == ["fine"]


@pytest.mark.parametrize(
    ("packages", "state", "fix"),
    [
        ({"pycuda": "2025.1.2", "cuda-bindings": "12.9.4"}, "fine", ""),
        ({"pycuda": "2025.1.2", "cuda-bindings": "11.8.7"}, "fine", ""),
        (
            {"pycuda": "2025.1.2", "cuda-bindings": "13.5.0"},
            "problem",
            'pip install "cuda-bindings==12.*"',
        ),
        ({"pycuda": "2025.1.2"}, "note", 'pip install "cuda-bindings==12.*"'),
    ],
)
def test_bindings_may_not_be_newer_than_the_driver(
    packages: dict[str, str], state: str, fix: str
) -> None:
    (found,) = libraries.bindings(FakeMachine(cuda=(12, 6), packages=packages))
    assert (found.state, found.fix) == (state, fix)


def test_bindings_that_nobody_installed_are_not_missed() -> None:
    assert not list(libraries.bindings(FakeMachine(cuda=(12, 6))))


def test_filelock_is_missed_where_engines_are_built() -> None:
    flavours = {"tensorrt": TENSORRT}
    (found,) = libraries.filelock(FakeMachine(ORIN, flavours_there=flavours))
    assert (found.state, found.fix) == ("problem", "pip install filelock")
    there = FakeMachine(ORIN, flavours_there=flavours, packages={"filelock": "4.1.0"})
    assert not list(libraries.filelock(there))
    assert not list(libraries.filelock(FakeMachine(ORIN)))


def test_onnxruntime_tells_what_it_computes_on() -> None:
    (found,) = libraries.onnxruntime(FakeMachine(modules={"onnxruntime": ORT}))
    assert found == Finding("ONNX Runtime", "fine", "1.23.2 on CUDA, CPU")


@pytest.mark.parametrize(
    ("gpu", "keep"), [("no driver", "onnxruntime==1.23.2"), (RTX_4070, "onnxruntime-gpu==1.22.0")]
)
def test_doubled_onnxruntime_is_a_problem_with_the_line_that_mends_it(gpu: Any, keep: str) -> None:
    packages = {"onnxruntime": "1.23.2", "onnxruntime-gpu": "1.22.0"}
    machine = FakeMachine(gpu, packages=packages, modules={"onnxruntime": ORT})
    (found,) = libraries.onnxruntime(machine)
    assert found.state == "problem"
    assert "onnxruntime 1.23.2, onnxruntime-gpu 1.22.0" in found.seen
    assert found.fix == f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install {keep}"


def test_opencv_tells_what_it_was_built_with() -> None:
    packages = {"opencv-python-headless": "4.12.0"}
    (found,) = libraries.opencv(FakeMachine(packages=packages, modules={"cv2": CV2}))
    expected = "4.12.0: FFMPEG yes, GStreamer no, GUI gtk3"
    assert found == Finding("OpenCV", "fine", expected)


def test_doubled_opencv_is_a_problem_with_the_line_that_mends_it() -> None:
    packages = {"opencv-python": "4.11.0.86", "opencv-python-headless": "5.0.0.93"}
    (found,) = libraries.opencv(FakeMachine(packages=packages, modules={"cv2": CV2}))
    assert found.state == "problem"
    assert found.fix == (
        "pip uninstall -y opencv-python-headless opencv-python && "
        "pip install opencv-python-headless==5.0.0.93"
    )


@pytest.mark.parametrize(
    ("check", "module"),
    [
        (libraries.opencv, "cv2"),
        (libraries.onnxruntime, "onnxruntime"),
        (libraries.pyav, "av"),
    ],
)
def test_a_library_that_does_not_load_is_a_problem_with_a_fix(check: Any, module: str) -> None:
    broken = ImportError("libGL.so.1: cannot open shared object file\nmore")
    (found,) = check(FakeMachine(modules={module: broken}))
    expected = "cannot be loaded: libGL.so.1: cannot open shared object file"
    assert (found.state, found.seen) == ("problem", expected)
    assert "pip install" in found.fix


def test_pyav_tells_its_decoders() -> None:
    hwaccel = SimpleNamespace(hwdevices_available=lambda: ["cuda", "drm"])
    modules = {"av": AV, "av.codec.hwaccel": hwaccel}
    (found,) = libraries.pyav(FakeMachine(modules=modules))
    assert found.seen == "17.1.0, libavcodec 61.19.101, built with decoders for cuda, drm"
    (found,) = libraries.pyav(FakeMachine(modules={"av": AV}))
    assert found.seen.endswith("software decoders")
