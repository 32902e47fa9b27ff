"""The building half of the fake TensorRT: from ONNX to a fake engine that computes the graph."""

import base64
from collections.abc import Sequence
from typing import Any

import onnx

from .fake_gpu import FakeGpu
from .fake_plan import FakePlan, Tensor
from .surface import Surfaced

ENUMS = {
    "NetworkDefinitionCreationFlag": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "ProfilingVerbosity": {"LAYER_NAMES_ONLY": 0, "NONE": 1, "DETAILED": 2},
    "BuilderFlag": {"TF32": 7, "VERSION_COMPATIBLE": 13},
    "MemoryPoolType": {"WORKSPACE": 0},
    "HardwareCompatibilityLevel": {"NONE": 0, "AMPERE_PLUS": 1, "SAME_COMPUTE_CAPABILITY": 2},
    "ComputeCapability": {
        "NONE": 0,
        "CURRENT": 1,
        "SM75": 75,
        "SM86": 86,
        "SM89": 89,
        "SM120": 120,
    },
}
RTX_ONLY = frozenset(
    {
        "ComputeCapability",
        "IBuilderConfig.set_compute_capability",
        "IBuilderConfig.num_compute_capabilities",
    }
)
_KINDS = {
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.FLOAT: "FLOAT",
    onnx.TensorProto.FLOAT16: "HALF",
}
_CACHE_MAGIC = b"fake timings"


class IProgressMonitor(Surfaced):
    """Base of progress monitors."""

    def __init__(self) -> None:
        """Nothing to do."""

    def phase_start(self, name: str, parent: str | None, steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, name: str) -> None:
        raise NotImplementedError


class ITensor(Surfaced):
    """An input of a network."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        self._name, self._shape = name, tuple(shape)

    @property
    def name(self) -> str:
        return self._name

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape


class INetworkDefinition(Surfaced):
    """What a parser fills."""

    def __init__(self) -> None:
        self._onnx = b""
        self._graph = onnx.GraphProto()

    @property
    def num_inputs(self) -> int:
        return len(self._graph.input)

    def get_input(self, index: int) -> ITensor:
        value = self._graph.input[index]
        made: ITensor = self._classes["ITensor"](value.name, _shape(value))
        return made


class ParserError(Surfaced):
    """Why a graph was refused."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def desc(self) -> str:
        return self._reason

    def node(self) -> int:
        return -1

    def node_name(self) -> str:
        return ""

    def node_operator(self) -> str:
        return ""


class OnnxParser(Surfaced):
    """Reads ONNX into a network."""

    def __init__(self, network: INetworkDefinition, logger: Any) -> None:
        self._network = network
        self._errors: list[str] = []

    def parse(self, content: bytes) -> bool:
        try:
            graph = onnx.load_from_string(content).graph
            onnx.checker.check_graph(graph) if not graph.node else None
        except Exception as error:  # noqa: BLE001 (protobuf's and ONNX's have no common base)
            self._errors.append(f"cannot parse the model: {error}")
            return False
        self._network._onnx, self._network._graph = content, graph
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        made: ParserError = self._classes["ParserError"](self._errors[index])
        return made


class IOptimizationProfile(Surfaced):
    """Shapes of the inputs."""

    def __init__(self) -> None:
        self._shapes: dict[str, list[list[int]]] = {}

    def set_shape(
        self, name: str, low: Sequence[int], best: Sequence[int], high: Sequence[int]
    ) -> None:
        self._shapes[name] = [list(shape) for shape in (low, best, high)]


class ITimingCache(Surfaced):
    """What was measured of kernels."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> Any:
        return self._classes["IHostMemory"](self._content or _CACHE_MAGIC)


class IBuilderConfig(Surfaced):
    """Orders for a build."""

    profiling_verbosity = None
    builder_optimization_level = 3
    hardware_compatibility_level = None
    progress_monitor = None
    num_compute_capabilities = 0

    def __init__(self) -> None:
        self._profiles: list[IOptimizationProfile] = []
        self._flags: set[Any] = set()
        self._limits: dict[Any, int] = {}
        self._aims: dict[int, Any] = {}
        self._timings: ITimingCache | None = None

    def set_flag(self, flag: Any) -> None:
        self._flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag)

    def get_flag(self, flag: Any) -> bool:
        return flag in self._flags

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self._limits[pool] = size

    def set_compute_capability(self, capability: Any, index: int) -> bool:
        self._aims[index] = capability
        return index < self._own("num_compute_capabilities")

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, content: bytes) -> ITimingCache:
        made: ITimingCache = self._classes["ITimingCache"](content)
        return made

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache._content and not cache._content.startswith(_CACHE_MAGIC):
            return ignore_mismatch
        self._timings = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._timings


class Builder(Surfaced):
    """Builds engines: in two steps, of which a monitor may cancel the second."""

    _gpu: FakeGpu
    _flavour: str
    _version: str

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        made: INetworkDefinition = self._classes["INetworkDefinition"]()
        return made

    def create_builder_config(self) -> IBuilderConfig:
        made: IBuilderConfig = self._classes["IBuilderConfig"]()
        return made

    def create_optimization_profile(self) -> IOptimizationProfile:
        made: IOptimizationProfile = self._classes["IOptimizationProfile"]()
        return made

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> Any:
        log = self._logger._own("log")
        severities = self._classes["ILogger"]
        if not config._profiles or not network._onnx:
            log(severities._error, "Error Code 4: API Usage Error (nothing to build)")
            return None
        if not _goes_on(config._own("progress_monitor")):
            log(severities._error, "Error Code 10: Internal Error (BuildCanceled)")
            return None
        log(severities._verbose, _TABLE)
        version_compatible = any(flag._name == "VERSION_COMPATIBLE" for flag in config._flags)
        plan = FakePlan(
            self._flavour,
            self._version,
            tuple(_tensors(network._graph)),
            tuple(profile._shapes for profile in config._profiles),
            base64.b64encode(network._onnx).decode(),
            has_host_code=version_compatible,
        )
        return self._classes["IHostMemory"](plan.to_bytes())


_TABLE = "Name: fake, LayerType: correlation, Inputs: [ { Name: x, Datatype: Half, } ], Outputs: []"


def _goes_on(monitor: Any) -> bool:
    if monitor is None:
        return True
    monitor._own("phase_start")("Building", None, 2)
    goes_on = all(monitor._own("step_complete")("Building", step) for step in range(2))
    monitor._own("phase_finish")("Building")
    return goes_on


def _shape(value: Any) -> list[int]:
    return [d.dim_value or -1 for d in value.type.tensor_type.shape.dim]


def _tensors(graph: Any) -> list[Tensor]:
    """Return the inputs and outputs; a state's divisor is not told by its shape, and is 1."""
    made = []
    for is_input, values in ((True, graph.input), (False, graph.output)):
        for value in values:
            kind = _KINDS.get(value.type.tensor_type.elem_type, "FLOAT")
            state = value.name.startswith("state_")
            made.append(Tensor(value.name, is_input, kind, _shape(value)[1] if state else 3))
    return made


CLASSES = {
    "IProgressMonitor": IProgressMonitor,
    "ITensor": ITensor,
    "INetworkDefinition": INetworkDefinition,
    "ParserError": ParserError,
    "OnnxParser": OnnxParser,
    "IOptimizationProfile": IOptimizationProfile,
    "ITimingCache": ITimingCache,
    "IBuilderConfig": IBuilderConfig,
    "Builder": Builder,
}
