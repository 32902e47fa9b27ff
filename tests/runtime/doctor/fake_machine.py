"""A fake machine: what the doctor's checks ask of a real one, played from plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import Any

from crispstream.core.errors import MissingExtraError
from crispstream.runtime.doctor.machine import Interpreter, Machine, Platform
from crispstream.runtime.engine.available import Probes
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import FLAVOURS

# What find_gpu says.
NO_DRIVER = "no NVIDIA driver: libcuda.so.1 was not found; install the driver of the GPU"
NO_PYCUDA = (
    "this needs the Python package 'pycuda', which is not installed; "
    'install it with: pip install "crispstream[cuda]"'
)
ORIN = Gpu("Orin", (8, 7), "CUDA 12.6", 8 * 2**30, True, multiprocessors=16)
RTX_4070 = Gpu(
    "NVIDIA GeForce RTX 4070", (8, 9), "580.65.06", 12 * 2**30, False, multiprocessors=46
)
TITAN_RTX = Gpu("NVIDIA TITAN RTX", (7, 5), "580.65.06", 24 * 2**30, False, multiprocessors=72)
H200 = Gpu("NVIDIA H200", (9, 0), "580.65.06", 140 * 2**30, False, multiprocessors=132)

# The lists of TensorRT-RTX 1.7.1.
AIMS = dict.fromkeys(("NONE", "CURRENT", "SM75", "SM80", "SM86", "SM89", "SM120", "SM121"), 0)
TENSORRT = SimpleNamespace(__version__="10.3.0")
TENSORRT_RTX = SimpleNamespace(
    __version__="1.7.1.116", ComputeCapability=SimpleNamespace(__members__=AIMS)
)


def fake_probes(
    gpu: Gpu | str = NO_DRIVER,
    flavours: Mapping[str, Any] | None = None,
    providers: Sequence[str] | Exception = ("CPUExecutionProvider",),
    driver: bool | None = None,
) -> Probes:
    """Return probes; a flavour that is an exception is installed, and raises when it is loaded."""
    there = flavours or {}

    def load(flavour: str) -> Any:
        if flavour not in there:
            raise MissingExtraError(f"{flavour} was never installed on this fake machine")
        if isinstance(there[flavour], Exception):
            raise there[flavour]
        return there[flavour]

    def ask_onnxruntime() -> Sequence[str]:
        if isinstance(providers, Exception):
            raise providers
        return providers

    return Probes(
        find_gpu=lambda: gpu,
        driver_starts=lambda: isinstance(gpu, Gpu) if driver is None else driver,
        is_jetson=lambda: gpu is ORIN,
        is_installed=lambda module: module in {FLAVOURS[flavour][0] for flavour in there},
        load_flavour=load,
        onnxruntime_providers=ask_onnxruntime,
    )


@dataclass
class FakeMachine(Machine):
    """Files, programs and packages by name; what is not named is not there."""

    gpu: Gpu | str = NO_DRIVER  # type: ignore[assignment]  # a cached property of the real one
    cuda: tuple[int, int] | None = None
    flavours_there: dict[str, Any] = field(default_factory=dict)
    providers: tuple[str, ...] | Exception = ("CPUExecutionProvider",)
    files: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    """Name, or whole path for one that PATH lacks -> what it prints."""
    packages: dict[str, str] = field(default_factory=dict)
    modules: dict[str, Any] = field(default_factory=dict)
    """Those that are exceptions raise when they are loaded."""
    version: tuple[int, int, int] = (3, 10, 12)
    virtual: bool = True
    core_counts: tuple[int, int] = (8, 8)
    cache: str | Exception = "/home/ann/.cache/crispstream"
    temporary_files: str | Exception = "/tmp"
    writable: bool = True
    damaged: dict[str, str] = field(default_factory=dict)
    """Name of an engine -> what is wrong with it."""
    free: int = 50 * 10**9

    def __post_init__(self) -> None:
        driver = self.cuda is not None
        self.probes = fake_probes(self.gpu, self.flavours_there, self.providers, driver=driver)

    def cache_folder(self) -> str:
        return _or_raise(self.cache)

    def temporary_folder(self) -> str:
        return _or_raise(self.temporary_files)

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def glob(self, pattern: str) -> list[str]:
        there = [*self.files, *self.programs]
        return sorted(path for path in there if fnmatch(path, pattern))

    def run(self, *command: str) -> str | None:
        return self.programs.get(command[0])

    def which(self, program: str) -> str | None:
        return program if program in self.programs else None

    def version_of(self, distribution: str) -> str | None:
        return self.packages.get(distribution)

    def load(self, module: str) -> Any:
        if module not in self.modules:
            raise ModuleNotFoundError(f"No module named '{module}'")
        return _or_raise(self.modules[module])

    def driver_cuda(self) -> tuple[int, int] | None:
        return self.cuda

    def platform(self) -> Platform:
        return Platform("Linux", "5.15.148", "aarch64", "glibc 2.35")

    def interpreter(self) -> Interpreter:
        return Interpreter(self.version, "/opt/venv", self.virtual)

    def cores(self) -> tuple[int, int]:
        return self.core_counts

    def may_write(self, folder: str) -> bool:
        return self.writable

    def free_bytes(self, folder: str) -> int:
        return self.free

    def damaged_engines(self, cache_folder: str) -> dict[str, str]:
        return self.damaged

    def sizes_of(self, pattern: str) -> list[int]:
        return [len(self.files[path]) for path in self.glob(pattern)]


def _or_raise(thing: Any) -> Any:
    if isinstance(thing, Exception):
        raise thing
    return thing
