"""An engine file, with the sidecar that `crispstream build -o` writes, as a model that runs.

An engine is code: it is read once, its SHA-256 is compared with that of the sidecar, and those same
bytes are handed to the library.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from crispstream.core.bundle import Bundle, StateTensor
from crispstream.core.errors import BundleError, EngineError, UsageError
from crispstream.core.sizes import Size, SizeRange

from .available import choose_backend
from .device.gpu import find_gpu
from .models import find_model, shipped_names
from .native import load_flavour
from .opening import Opened
from .store.fit import misfit
from .store.record import EngineRecord, read_engine, sidecar_of

ENDINGS = (".engine", ".plan", ".trt")
"""Of engine files, as people name them."""


class EngineFile(NamedTuple):
    """An engine as it lies in a file: the bytes that were hashed, and what is known of them."""

    path: Path
    engine: bytes
    record: EngineRecord

    @property
    def best_size(self) -> Size:
        """The (width, height) that its first profile is made for, px."""
        return SizeRange.parse(self.record.options["profiles"][0]).best


def is_engine_file(thing: str) -> bool:
    """Return whether a name means an engine file: by its ending, for it need not be there."""
    return thing.endswith(ENDINGS) and not Path(thing).is_dir()


def read_engine_file(path: Path) -> EngineFile:
    """Read an engine and its sidecar; nothing of it is loaded yet.

    Raises:
        UsageError: if there is no such file, or nothing vouches for it.
        EngineError: if it cannot be read, or is not the file that its sidecar describes.
    """
    if not path.is_file():
        raise UsageError(f"there is no engine file '{path}'; write one with: crispstream build -o")
    engine, record = read_engine(path)
    if record is None:
        raise UsageError(
            f"'{path}' has no sidecar {sidecar_of(path).name}, so nothing tells what it is, and an "
            "engine is code; copy that file too, or build the engine: crispstream build -o"
        )
    return EngineFile(path, engine, record)


def open_engine_file(file: EngineFile, *, cuda_graph: bool = True) -> Opened:
    """Start the backend that runs an engine file.

    Its states and the size multiple are those of the shipped bundle that has its graph. Where there
    is none it takes frames that need no padding, and a network with states is refused.

    Raises:
        EngineError: if there is no GPU that it runs on, or the library refuses it.
        MissingExtraError: if TensorRT or pycuda is not installed.
    """
    from .backends.tensorrt.backend import Plan, TensorRTBackend

    record = file.record
    choice = choose_backend(record.flavour)
    judged = _check_fit(file)
    bundle = _bundle_of(record)
    states: tuple[StateTensor, ...] = bundle.states if bundle else ()
    statistics: Mapping[str, Any] = bundle.input_statistics if bundle else {}
    plan = Plan(file.engine, host_code_allowed=bool(record.options["version_compatible"]))
    return Opened(
        TensorRTBackend(
            lambda _height, _width: plan,
            flavour=record.flavour,
            precision=record.precision,
            states=states,
            cuda_graph=cuda_graph,
        ),
        record.bundle,
        bundle.size_multiple if bundle else 1,
        f"{record.precision} with {choice.reason}, from {file.path.name}{judged}",
        input_statistics=statistics,
        guarded=True,
        recurrent=bool(states),
        frame_size=bundle.frame_size if bundle else None,
        graph_sha256=record.graph_sha256,
    )


def _check_fit(file: EngineFile) -> str:
    """Return what is to be added to the reason: whether the engine was re-checked on this GPU.

    Raises:
        EngineError: if the engine is for another GPU or library.
    """
    gpu = find_gpu()
    if isinstance(gpu, str):
        raise EngineError(gpu)
    record = file.record
    version = str(load_flavour(record.flavour).__version__)
    if reason := misfit(record, version, gpu):
        raise EngineError(
            f"'{file.path}' does not fit this machine: {reason}; build it here: crispstream build "
            f"{record.bundle} --precision {record.precision} -o {file.path.name}"
        )
    passed = record.recheck.get("passed") is True and record.recheck.get("gpu") == gpu.as_json()
    return "" if passed else ", not re-checked here"


def _bundle_of(record: EngineRecord) -> Bundle | None:
    """Return the shipped bundle that the engine was built from."""
    if record.bundle not in shipped_names():
        return None
    try:
        bundle = find_model(record.bundle)
    except BundleError:
        return None
    known = any(graph.sha256 == record.graph_sha256 for graph in bundle.graphs)
    return bundle if known else None
