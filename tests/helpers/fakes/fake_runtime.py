"""The running half of the fake TensorRT: engines that compute on a `FakeGpu`."""

import json
from typing import Any

from .fake_context import IExecutionContext, Native
from .fake_gpu import FakeGpu, FakeMemoryError
from .fake_plan import FakePlan, Tensor
from .surface import Surfaced

ENUMS = {
    "ILogger.Severity": {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2, "INFO": 3, "VERBOSE": 4},
    "DataType": {"FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "UINT8": 5},
    "TensorIOMode": {"NONE": 0, "INPUT": 1, "OUTPUT": 2},
    "LayerInformationFormat": {"ONELINE": 0, "JSON": 1},
    "CudaGraphStrategy": {"DISABLED": 0, "WHOLE_GRAPH_CAPTURE": 1},
    "EngineValidity": {"VALID": 0, "SUBOPTIMAL": 1, "INVALID": 2},
    "DynamicShapesKernelSpecializationStrategy": {"LAZY": 0, "EAGER": 1, "NONE": 2},
    "EngineInvalidityDiagnostics": {
        "VERSION_MISMATCH": 1,
        "UNSUPPORTED_CC": 2,
        "OLD_CUDA_DRIVER": 4,
        "OLD_CUDA_RUNTIME": 8,
        "INSUFFICIENT_GPU_MEMORY": 16,
        "MALFORMED_ENGINE": 32,
        "CUDA_ERROR": 64,
    },
}
RTX_ONLY = frozenset(
    {
        "CudaGraphStrategy",
        "DynamicShapesKernelSpecializationStrategy",
        "EngineValidity",
        "EngineInvalidityDiagnostics",
        "IRuntimeCache",
        "Runtime.get_engine_validity",
        "ICudaEngine.create_runtime_config",
        "IRuntimeConfig",
    }
)


class ILogger(Surfaced):
    """Base of loggers; the library uses the first of a process only."""

    def log(self, severity: Any, message: str) -> None:
        raise NotImplementedError


class IProfiler(Surfaced):
    """Base of profilers; a context calls it for every layer of every frame."""

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


class EngineInspector(Surfaced):
    """Tells of an engine's layers what the plan says."""

    execution_context: Any = None

    def __init__(self, plan: FakePlan) -> None:
        self._plan = plan

    def get_engine_information(self, layer_format: Any) -> str:
        assert layer_format == self._enums["LayerInformationFormat"]._all["JSON"]
        bindings = [tensor.name for tensor in self._plan.tensors]
        return json.dumps({"Layers": self._plan.layers, "Bindings": bindings})


class IHostMemory(Surfaced):
    """Bytes that belong to the library."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __bytes__(self) -> bytes:
        return self._content

    @property
    def nbytes(self) -> int:
        return len(self._content)


class Runtime(Surfaced):
    """Loads engines."""

    _gpu: FakeGpu
    _flavour: str
    _version: str
    engine_host_code_allowed = False

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def _say(self, message: str) -> None:
        self._logger._own("log")(self._classes["ILogger"]._error, message)

    def _fault_of(self, content: bytes) -> str:
        try:
            plan = FakePlan.from_bytes(content)
        except ValueError as error:
            return f"IRuntime::deserializeCudaEngine: Error Code 1: Serialization ({error})"
        if (plan.flavour, plan.version) != (self._flavour, self._version):
            return "The engine plan file is not compatible with this version of TensorRT"
        if plan.has_host_code and not self._own("engine_host_code_allowed"):
            return "Error Code 3: API Usage Error (engine host code is not allowed)"
        return ""

    def deserialize_cuda_engine(self, content: bytes) -> "ICudaEngine | None":
        with self._gpu.entered("deserialize_cuda_engine"):
            if fault := self._fault_of(content):
                self._say(fault)
                return None
            try:
                made: ICudaEngine = self._classes["ICudaEngine"](FakePlan.from_bytes(content), self)
            except FakeMemoryError:
                self._say("Error Code 2: OutOfMemory (no further information)")
                return None
            return made

    def get_engine_validity(self, content: bytes) -> tuple[Any, int]:
        fault = self._fault_of(content)
        bits = self._gpu.engine_faults or (0 if not fault else 1 if "version" in fault else 32)
        validity = self._enums["EngineValidity"]._all
        return validity["INVALID" if bits or fault else "VALID"], bits


class ICudaEngine(Native):
    """An engine."""

    _kind = "engine"

    def __init__(self, plan: FakePlan, runtime: Runtime) -> None:
        self._plan = plan
        self._runtime = runtime
        self._contexts = 0
        self._count()

    def _freed(self) -> None:
        if self._contexts:
            self._gpu.fault("an engine was dropped before its contexts")

    def _tensor(self, name: str) -> Tensor:
        return next(tensor for tensor in self._plan.tensors if tensor.name == name)

    @property
    def num_io_tensors(self) -> int:
        return len(self._plan.tensors)

    def get_tensor_name(self, index: int) -> str:
        return self._plan.tensors[index].name

    def get_tensor_mode(self, name: str) -> Any:
        mode = "INPUT" if self._tensor(name).is_input else "OUTPUT"
        return self._enums["TensorIOMode"]._all[mode]

    def get_tensor_dtype(self, name: str) -> Any:
        return self._enums["DataType"]._all[self._tensor(name).kind]

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._plan.profiles)

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        return [list(shape) for shape in self._plan.profiles[index][name]]

    @property
    def device_memory_size(self) -> int:
        return 3 << 20

    device_memory_size_v2 = device_memory_size

    def create_runtime_config(self) -> "IRuntimeConfig":
        made: IRuntimeConfig = self._classes["IRuntimeConfig"]()
        return made

    def create_engine_inspector(self) -> "EngineInspector":
        made: EngineInspector = self._classes["EngineInspector"](self._plan)
        return made

    def create_execution_context(self, config: Any = None) -> "IExecutionContext | None":
        with self._gpu.entered("create_execution_context"):
            try:
                made: IExecutionContext = self._classes["IExecutionContext"](self, config)
            except FakeMemoryError:
                self._runtime._say("Error Code 2: OutOfMemory (no further information)")
                return None
            return made


class IRuntimeCache(Surfaced):
    """Compiled kernels of TensorRT-RTX."""

    def __init__(self) -> None:
        self._kernels = b""

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"fake kernels"):
            return False
        self._kernels = blob
        return True

    def serialize(self) -> IHostMemory:
        made: IHostMemory = self._classes["IHostMemory"](self._kernels)
        return made


class IRuntimeConfig(Surfaced):
    """Settings of TensorRT-RTX for contexts."""

    cuda_graph_strategy = None
    dynamic_shapes_kernel_specialization_strategy = None

    def __init__(self) -> None:
        self._cache: IRuntimeCache | None = None

    def create_runtime_cache(self) -> IRuntimeCache:
        made: IRuntimeCache = self._classes["IRuntimeCache"]()
        return made

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._cache = cache
        return True


CLASSES = {
    "ILogger": ILogger,
    "IProfiler": IProfiler,
    "EngineInspector": EngineInspector,
    "IHostMemory": IHostMemory,
    "Runtime": Runtime,
    "ICudaEngine": ICudaEngine,
    "IRuntimeCache": IRuntimeCache,
    "IRuntimeConfig": IRuntimeConfig,
    "IExecutionContext": IExecutionContext,
}
