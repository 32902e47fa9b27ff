"""Which backend runs a bundle on this machine: what `--backend auto` means, and why.

Best first: TensorRT, TensorRT-RTX, ONNX Runtime on the GPU, ONNX Runtime on the CPU. The GPU is
asked for before any library is imported: without a driver only the CPU is left.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

from crispstream.core.errors import EngineError, UsageError, first_line

from .device.gpu import Gpu, find_gpu
from .device.pinned import open_libcuda
from .native import FLAVOURS, RTX, TENSORRT, compute_capabilities, is_jetson, load_flavour, meant

CPU, CUDA = "onnxruntime", "onnxruntime-cuda"
BACKENDS = (*FLAVOURS, CUDA, CPU)
"""What can run a bundle, better ones first."""

_CUDA_PROVIDER = "CUDAExecutionProvider"
_SWAP_ONNXRUNTIME = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
"""Both packages bring the module onnxruntime, and removing one of them breaks the other."""
MEND_ONNXRUNTIME = "pip install --force-reinstall onnxruntime"
BROKEN: tuple[type[Exception], ...] = (ImportError, OSError, RuntimeError, AttributeError)
"""What importing a library raises that is broken, or does not fit those that it needs."""

# Turing has no INT8 kernels in TensorRT-RTX: its layer table shows the convolutions in half.
_TURING = (7, 5)


class Candidate(NamedTuple):
    """One backend, judged on this machine."""

    name: str
    usable: bool
    why: str
    """What it would run on: "tensorrt 10.7.0 on NVIDIA Orin"; or what is missing."""
    fix: str = ""
    """The line to type, where there is one."""


class Choice(NamedTuple):
    """The backend to take, and one line that says why."""

    name: str
    reason: str


def is_installed(module: str) -> bool:
    """Return whether a Python module can be found, without importing it.

    A folder that happens to have its name, which Python takes for a package, does not count.

    >>> is_installed("json"), is_installed("no_such_module")
    (True, False)
    """
    if sys.modules.get(module) is not None:
        return True
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


def driver_starts() -> bool:
    """Return whether the CUDA driver is there and sees a GPU, asked without pycuda."""
    try:
        return int(open_libcuda().cuInit(0)) == 0
    except EngineError:
        return False


def onnxruntime_providers() -> Sequence[str]:
    """Return what the installed ONNX Runtime can compute on; importing it takes 0.1 s."""
    providers: Sequence[str] = importlib.import_module("onnxruntime").get_available_providers()
    return providers


@dataclass(frozen=True)
class Probes:
    """The questions that are put to a machine; tests put in the answers."""

    find_gpu: Callable[[], Gpu | str] = find_gpu
    driver_starts: Callable[[], bool] = driver_starts
    is_jetson: Callable[[], bool] = is_jetson
    is_installed: Callable[[str], bool] = is_installed
    load_flavour: Callable[[str], ModuleType] = load_flavour
    onnxruntime_providers: Callable[[], Sequence[str]] = onnxruntime_providers


THIS_MACHINE = Probes()


def choose_backend(wanted: str, probes: Probes = THIS_MACHINE) -> Choice:
    """Return the backend to take: the one that is wanted, or for "auto" the best that can run.

    Raises:
        UsageError: if there is no backend of that name.
        EngineError: if the wanted one cannot run here; nothing else is taken in its place.
    """
    if wanted == "auto":
        return _best(probes)
    if wanted not in BACKENDS:
        known = ("auto", *BACKENDS)
        raise UsageError(
            f"there is no backend '{wanted}'; {meant(wanted, known)}"
            f"choose one of {', '.join(known)}"
        )
    found = _judge(wanted, "" if wanted == CPU else probes.find_gpu(), probes)
    if not found.usable:
        fix = found.fix or "see crispstream doctor, or choose --backend auto"
        raise EngineError(f"the backend {wanted} cannot run here: {found.why}; {fix}")
    return Choice(wanted, found.why)


def candidates(probes: Probes = THIS_MACHINE) -> list[Candidate]:
    """Return every backend, judged; better ones first.

    ONNX Runtime is imported for it, which `choose_backend` leaves to who runs a model.
    """
    gpu = probes.find_gpu()
    faster = [_judge(name, gpu, probes) for name in BACKENDS if name != CPU]
    return [*faster, _judge_cpu(probes)]


def _best(probes: Probes) -> Choice:
    """Judge one after the other, so that no library is imported in vain."""
    gpu = probes.find_gpu()
    refused: list[Candidate] = []
    for name in BACKENDS:
        found = _judge(name, gpu, probes)
        if found.usable:
            break
        refused.append(found)
    return Choice(found.name, _reason(found, refused, probes))


def _reason(found: Candidate, refused: Sequence[Candidate], probes: Probes) -> str:
    """ONNX Runtime is second choice: then the reason is what keeps TensorRT from running."""
    if found.name in FLAVOURS:
        return found.why
    flavours = [other for other in refused if other.name in FLAVOURS]
    installed = [other for other in flavours if probes.is_installed(FLAVOURS[other.name][0])]
    telling = (installed or flavours)[0]
    fix = f"; {telling.fix}" if telling.fix else ""
    return f"{found.why} ({telling.why}{fix})"


def _judge(name: str, gpu: Gpu | str, probes: Probes) -> Candidate:
    if name == CPU:
        return Candidate(CPU, True, "onnxruntime on the CPU")
    if name == CUDA:
        return _judge_cuda(gpu, probes)
    return _judge_flavour(name, gpu, probes)


def _judge_flavour(name: str, gpu: Gpu | str, probes: Probes) -> Candidate:
    if isinstance(gpu, str):
        return _no_gpu(name, gpu, probes)
    module = FLAVOURS[name][0]
    if not probes.is_installed(module):
        return _missing(name, module, probes)
    try:
        trt = probes.load_flavour(name)
    except Exception as error:  # noqa: BLE001 (a broken library may raise anything)
        return Candidate(name, False, *said_and_fix(str(error) or type(error).__name__))
    version = f"{name} {trt.__version__}"
    if name == RTX and gpu.compute_capability not in compute_capabilities(trt):
        major, minor = gpu.compute_capability
        return Candidate(
            name,
            False,
            f"{version} has nothing for compute capability {major}.{minor} of {gpu.name}",
            _missing("tensorrt", "tensorrt", probes).fix,
        )
    halved = name == RTX and gpu.compute_capability == _TURING
    note = " (which computes int8 graphs in half)" if halved else ""
    return Candidate(name, True, f"{version} on {gpu.name}{note}")


def _judge_cuda(gpu: Gpu | str, probes: Probes) -> Candidate:
    # It needs the driver, but none of the packages that find_gpu needs to describe the GPU.
    if isinstance(gpu, str) and not probes.driver_starts():
        return _no_gpu(CUDA, gpu, probes)
    providers = _providers(probes)
    if isinstance(providers, str):
        return Candidate(CUDA, False, providers, _SWAP_ONNXRUNTIME)
    if _CUDA_PROVIDER not in providers:
        made_for_it = "install the onnxruntime-gpu that is made for this JetPack"
        fix = made_for_it if probes.is_jetson() else _SWAP_ONNXRUNTIME
        return Candidate(CUDA, False, f"this ONNX Runtime has no {_CUDA_PROVIDER}", fix)
    return Candidate(CUDA, True, f"{CUDA} on {gpu.name if isinstance(gpu, Gpu) else 'the GPU'}")


def _judge_cpu(probes: Probes) -> Candidate:
    providers = _providers(probes)
    if isinstance(providers, str):
        return Candidate(CPU, False, providers, MEND_ONNXRUNTIME)
    return _judge(CPU, "", probes)


def _providers(probes: Probes) -> Sequence[str] | str:
    """Return what ONNX Runtime can compute on, or why it cannot be imported."""
    try:
        return list(probes.onnxruntime_providers())
    except BROKEN as error:
        return f"onnxruntime cannot be loaded ({first_line(error)})"


def _no_gpu(name: str, sentence: str, probes: Probes) -> Candidate:
    """Without a driver there may be no GPU either, so that nothing is to be mended."""
    said, fix = said_and_fix(sentence)
    return Candidate(name, False, said, fix if probes.driver_starts() else "")


def _missing(flavour: str, module: str, probes: Probes) -> Candidate:
    said = f"{module} is not installed"
    if not probes.is_jetson():
        return Candidate(flavour, False, said, f'pip install "crispstream[{FLAVOURS[flavour][1]}]"')
    if flavour != TENSORRT:  # NVIDIA, TensorRT-RTX Support Matrix: neither Orin nor Thor
        return Candidate(flavour, False, f"{said}, nor made for a Jetson")
    see_it = "python3 -m venv --system-site-packages venv"
    return Candidate(flavour, False, said, f"sudo apt install python3-libnvinfer && {see_it}")


def said_and_fix(message: str) -> tuple[str, str]:
    """Split a message of the kit, "what was seen; what to do", in two; of pip keep the line alone.

    >>> said_and_fix('pycuda is not installed; install it with: pip install "crispstream[cuda]"')
    ('pycuda is not installed', 'pip install "crispstream[cuda]"')
    >>> said_and_fix("the driver sees no GPU")
    ('the driver sees no GPU', '')
    """
    said, semicolon, fix = message.rpartition("; ")
    line = re.search(r"\bpip install .+", fix)
    return (said, line[0] if line else fix) if semicolon else (message, "")
