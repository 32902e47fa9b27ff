"""Checks of the libraries that engines and streams need, and of packages that break each other."""

import re
from collections.abc import Iterator, Sequence

from crispstream.core.errors import CrispstreamError, first_line
from crispstream.runtime.engine.available import (
    MEND_ONNXRUNTIME,
    candidates,
    said_and_fix,
)
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import FLAVOURS

from .finding import Finding
from .machine import Machine

_TOPICS = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}
_OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)
"""Each brings the whole module cv2; the first is the kit's own."""
_ONNXRUNTIME = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
)
"""Each brings the whole module onnxruntime."""
_REMOTE = "AzureExecutionProvider"
"""In every build, and runs nothing on this machine."""


def tensorrt(machine: Machine) -> Iterator[Finding]:
    """Load each flavour that is installed, and tell of JetPack's where it cannot be seen."""
    flavours = machine.flavours
    for flavour in flavours:
        topic = _TOPICS[flavour]
        try:
            trt = machine.probes.load_flavour(flavour)
        except CrispstreamError as error:
            yield Finding(topic, "problem", *said_and_fix(str(error)))
        except Exception as error:  # noqa: BLE001 (a broken library may raise anything)
            yield _broken(topic, error, f'pip install "crispstream[{FLAVOURS[flavour][1]}]"')
        else:
            yield _loaded(machine, flavour, str(trt.__version__))
    if "tensorrt" not in flavours and (hidden := _system_copy(machine)):
        yield hidden
    elif not flavours:
        extra = "tensorrt" if isinstance(machine.gpu, Gpu) else "rtx"
        yield Finding(
            "TensorRT",
            "note",
            "not installed: engines are neither built nor run here",
            f'pip install "crispstream[{extra}]"',
        )


def _loaded(machine: Machine, flavour: str, version: str) -> Finding:
    topic = _TOPICS[flavour]
    if isinstance(machine.gpu, Gpu):
        judged = next(found for found in candidates(machine.probes) if found.name == flavour)
        if judged.usable:
            return Finding(topic, "fine", version)
        alone = len(machine.flavours) == 1  # then the GPU is there in vain
        return Finding(topic, "problem" if alone else "note", judged.why, judged.fix)
    if machine.driver_cuda() is not None:  # the GPU's own finding says what is missing
        return Finding(topic, "fine", version)
    rtx = "builds engines, has no GPU to run them"
    lacks = rtx if flavour == "tensorrt-rtx" else "has no GPU to build engines for"
    return Finding(topic, "fine", f"{version}: {lacks}")


def _system_copy(machine: Machine) -> Finding | None:
    """Find the TensorRT that apt installed where this environment does not look.

    JetPack's has no twin on a package index, so the environment has to see the system's packages.
    """
    copies = machine.glob("/usr/lib/python3*/dist-packages/tensorrt/__init__.py")
    if not copies:
        return None
    folder = copies[-1].removesuffix("/tensorrt/__init__.py")
    found = machine.interpreter()
    wanted = re.search(r"python3\.(\d+)", folder)
    seen = f"{folder} has it, where this Python does not look"
    if found.virtual and (wanted is None or int(wanted[1]) == found.version[1]):
        line = "s/^include-system-site-packages.*/include-system-site-packages = true/"
        return Finding("TensorRT", "problem", seen, f"sed -i '{line}' {found.prefix}/pyvenv.cfg")
    program = f"/usr/bin/python3.{wanted[1]}" if wanted else "/usr/bin/python3"
    fix = f"{program} -m venv --system-site-packages venv"
    return Finding("TensorRT", "problem", seen, fix)


def bindings(machine: Machine) -> Iterator[Finding]:
    """Tell the versions of pycuda and cuda-bindings, and whether the driver can serve them.

    A driver runs programs of an older CUDA, not of a newer major version (NVIDIA, CUDA
    Compatibility).
    """
    pycuda, bound = machine.version_of("pycuda"), machine.version_of("cuda-bindings")
    cuda = machine.driver_cuda()
    if pycuda is None and bound is None:
        return
    install = f'pip install "cuda-bindings=={cuda[0]}.*"' if cuda else "pip install cuda-bindings"
    seen = f"pycuda {pycuda or 'is missing'}, cuda-bindings {bound or 'is missing'}"
    if bound and cuda and int(bound.partition(".")[0]) > cuda[0]:
        seen = f"{seen}: newer than the driver, which ends at CUDA {cuda[0]}.{cuda[1]}"
        yield Finding("bindings", "problem", seen, install)
    elif bound is None:
        yield Finding("bindings", "note", f"{seen}: no CUDA graphs", install)
    else:
        yield Finding("bindings", "fine", seen)


def filelock(machine: Machine) -> Iterator[Finding]:
    """Miss the package that keeps two processes from building one engine, where any is built."""
    if machine.flavours and machine.version_of("filelock") is None:
        seen = "not installed, and engines are built under a lock"
        yield Finding("filelock", "problem", seen, "pip install filelock")


def onnxruntime(machine: Machine) -> Iterator[Finding]:
    """Tell the version and what it computes on."""
    wanted = "onnxruntime-gpu" if isinstance(machine.gpu, Gpu) else "onnxruntime"
    doubled = _doubled("ONNX Runtime", "onnxruntime", machine, _ONNXRUNTIME, wanted)
    if doubled:
        yield doubled
        return
    try:
        module = machine.load("onnxruntime")
        providers = module.get_available_providers()
    except Exception as error:  # noqa: BLE001 (a broken library may raise anything)
        yield _broken("ONNX Runtime", error, MEND_ONNXRUNTIME)
        return
    kinds = [name.removesuffix("ExecutionProvider") for name in providers if name != _REMOTE]
    yield Finding("ONNX Runtime", "fine", f"{module.__version__} on {', '.join(kinds)}")


def opencv(machine: Machine) -> Iterator[Finding]:
    """Tell the version and what it was built with.

    The kit itself reads and writes video with PyAV, so that a build without GStreamer does.
    """
    doubled = _doubled("OpenCV", "cv2", machine, _OPENCV, _OPENCV[0])
    if doubled:
        yield doubled
        return
    try:
        cv2 = machine.load("cv2")
        told = str(cv2.getBuildInformation())
    except Exception as error:  # noqa: BLE001 (a broken library may raise anything)
        fix = f"pip uninstall -y {' '.join(_OPENCV)} && pip install {_OPENCV[0]}"
        yield _broken("OpenCV", error, fix)
        return
    parts = [f"{part} {_built_with(part, told)}" for part in ("FFMPEG", "GStreamer", "GUI")]
    yield Finding("OpenCV", "fine", f"{cv2.__version__}: {', '.join(parts)}")


def _built_with(part: str, build_information: str) -> str:
    """Return what OpenCV says of a part, in small letters: "yes", "no", "none", "gtk3".

    >>> _built_with("GStreamer", "    GStreamer:                   YES (1.20.3)")
    'yes'
    >>> _built_with("GUI", "  GUI:                           NONE")
    'none'
    """
    match = re.search(rf"^\s*{part}:\s*(\w+)", build_information, re.MULTILINE)
    return match[1].lower() if match else "no"


def pyav(machine: Machine) -> Iterator[Finding]:
    """Tell the version, FFmpeg's, and the hardware decoders that it was built with."""
    try:
        av = machine.load("av")
        major, minor, micro = av.library_versions["libavcodec"]
    except Exception as error:  # noqa: BLE001 (a broken library may raise anything)
        yield _broken("PyAV", error, "pip install --force-reinstall av")
        return
    try:
        devices: Sequence[str] = machine.load("av.codec.hwaccel").hwdevices_available()
    except (ImportError, AttributeError):
        devices = ()
    decoders = f"built with decoders for {', '.join(devices)}" if devices else "software decoders"
    yield Finding(
        "PyAV", "fine", f"{av.__version__}, libavcodec {major}.{minor}.{micro}, {decoders}"
    )


def _doubled(
    topic: str, module: str, machine: Machine, distributions: Sequence[str], wanted: str
) -> Finding | None:
    """Find several packages that bring one module: files of one lie over those of the other."""
    versions = {name: machine.version_of(name) for name in distributions}
    found = {name: version for name, version in versions.items() if version}
    if len(found) < 2:
        return None
    keep = wanted if wanted in found else next(iter(found))
    names = ", ".join(f"{name} {version}" for name, version in found.items())
    return Finding(
        topic,
        "problem",
        f"{len(found)} packages bring {module} and overwrite each other: {names}",
        f"pip uninstall -y {' '.join(found)} && pip install {keep}=={found[keep]}",
    )


def _broken(topic: str, error: Exception, fix: str) -> Finding:
    return Finding(topic, "problem", f"cannot be loaded: {first_line(error)}", fix)
