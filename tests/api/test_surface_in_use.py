"""Builds and streams of frames on fakes that have the names of one version, and no others.

Where the kit touches a name that the version lacks, the fake raises AttributeError, as the real
bindings would: a run that ends well has touched nothing else. Names that are only asked for, with
`hasattr`, are noted, and listed here.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import HARDWARE_LEVELS, BuildOptions
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu
from tests.api.read_bindings import public_names
from tests.api.surfaces import RTX, SUPPORTED, names_of, record_of
from tests.helpers.fakes.fake_bindings import fake_bindings
from tests.helpers.fakes.fake_cuda import fake_pycuda
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import plan_of
from tests.helpers.fakes.fake_tensorrt import fake_tensorrt
from tests.helpers.fakes.installing import install_cuda, install_tensorrt
from tests.helpers.fakes.surface import Surface
from tests.helpers.graphs import nearest_x4

OPTIONAL = {
    "ComputeCapability",
    "CudaGraphStrategy",
    "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY",
    "ICudaEngine.device_memory_size",
    "ICudaEngine.device_memory_size_v2",
    "Runtime.get_engine_validity",
}
"""What the kit asks for before it uses it."""

BINDINGS = ("cuda-bindings-12.9", "cuda-bindings-13.5")
PYCUDA = "pycuda-2026.1"
SIZES = (SizeRange.only((32, 16)), SizeRange.parse("8x8:16x16:64x48"))
STATES = (StateTensor("seen", 2, 1),)
LAYERS = ({"Name": "/up/Conv_myl0_1", "LayerType": "correlation"},)
SAME = "same-compute-capability"


def flavour_of(stem: str) -> str:
    return "tensorrt-rtx" if stem == RTX else "tensorrt"


def orders_for(stem: str) -> Iterator[BuildOptions]:
    """Yield orders with all that the version can do."""
    if stem == RTX:
        yield BuildOptions(SIZES, optimisation_level=5, compute_capabilities=((8, 6), (12, 0)))
        return
    yield BuildOptions(SIZES, workspace_mib=64, optimisation_level=5, version_compatible=True)
    for level in HARDWARE_LEVELS:
        if level != SAME or knows_same(stem):
            yield BuildOptions(SIZES, hardware_compatible=level)


def orders_refused_by(stem: str) -> Iterator[tuple[BuildOptions, str]]:
    """Yield orders that it cannot carry out, and words of the reason."""
    if stem == RTX:
        yield BuildOptions(SIZES, compute_capabilities=((3, 5),)), "3.5; it knows 7.5"
        return
    yield BuildOptions(SIZES, compute_capabilities=((8, 6),)), "cannot aim at 8.6"
    if not knows_same(stem):
        yield BuildOptions(SIZES, hardware_compatible=SAME), "needs 10.9 or newer"


def knows_same(stem: str) -> bool:
    return "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY" in names_of(stem)


def build_all(stem: str, folder: Path) -> bytes:
    """Build with every order, first with a damaged cache of timings; return a plan."""
    flavour, timings, told, plans = flavour_of(stem), folder / "timings", [], []
    timings.write_bytes(b"damaged")
    for orders in orders_for(stem):
        built = build_engine(
            nearest_x4(),
            orders,
            flavour=flavour,
            timing_cache=timings,
            on_progress=lambda name, done, steps: told.append(name),
        )
        plans.append(built.plan)
    assert told
    for orders, words in orders_refused_by(stem):
        with pytest.raises(UsageError, match=words):
            build_engine(nearest_x4(), orders, flavour=flavour)
    with pytest.raises(EngineError, match="refused the graph"):
        build_engine(b"no graph", BuildOptions(SIZES), flavour=flavour)
    return plans[0]


def send(backend: TensorRTBackend, width: int, height: int, count: int = 5) -> None:
    """Send frames, two in flight, and look at what comes back."""
    backend.allocate(height, width, 2)
    for number in range(count):
        slot = number % 2
        backend.frame(slot)[:] = number
        backend.submit(slot)
        if number:
            backend.wait(1 - slot)
            assert (backend.restored(1 - slot) == number - 1).all()
    backend.wait((count - 1) % 2)


def watch_layers(backend: TensorRTBackend) -> None:
    """Have the layers of an engine, which has one, timed and told of."""
    told: list[tuple[str, float]] = []
    with pytest.raises(EngineError, match="allocate first"):
        backend.watch_layers(lambda name, ms: None)
    backend.allocate(16, 32, 2)
    layers = json.loads(backend.watch_layers(lambda name, ms: told.append((name, ms))))["Layers"]
    send(backend, 32, 16)
    assert {name for name, _ in told} == {layer["Name"] for layer in layers}


Open = Callable[..., TensorRTBackend]


def opening(stem: str, folder: Path) -> Open:
    """Return what opens a backend for an engine, with all that a plan can ask for."""

    def backend_of(engine: bytes, **options: object) -> TensorRTBackend:
        plan = Plan(engine, host_code_allowed=True, runtime_cache=folder / "kernels")
        return TensorRTBackend(
            lambda height, width: plan, flavour=flavour_of(stem), precision="fp16", **options
        )

    return backend_of


def run_streams(stem: str, engine: bytes, backend_of: Open) -> None:
    """Several sizes, slots and streams, with graphs and without, with states, and started anew."""
    for cuda_graph in (False, True):
        with closing(backend_of(engine, cuda_graph=cuda_graph)) as backend:
            send(backend, 32, 16)
            assert backend.replays_graphs == (cuda_graph and stem != RTX)
            with closing(backend.twin()) as twin:
                send(twin, 64, 48)
            backend.reset()
            send(backend, 8, 8)
    version = str(record_of(stem)["version"])
    counting = plan_of(*SIZES, states=STATES, flavour=flavour_of(stem), version=version)
    with closing(backend_of(counting.to_bytes(), states=STATES)) as backend:
        send(backend, 32, 16, count=1)
    told_of = replace(plan_of(SIZES[0], flavour=flavour_of(stem), version=version), layers=LAYERS)
    with closing(backend_of(told_of.to_bytes(), cuda_graph=False)) as backend:
        watch_layers(backend)


def run_into_trouble(stem: str, engine: bytes, backend_of: Open, gpu: FakeGpu) -> None:
    """A stale graph, engines and sizes that cannot be, no memory, and a context that breaks."""
    gpu.skip = lambda start: "network"
    with closing(backend_of(engine)) as backend:
        send(backend, 32, 16)
        assert not backend.replays_graphs
    for content, words in ((engine[:-9], "does not load|cannot run"), (engine, "takes frames of")):
        with closing(backend_of(content)) as backend, pytest.raises(EngineError, match=words):
            backend.allocate(1000, 1000, 2)
    for made_before in (0, 1, 2, 7, 9):  # an engine, a context, a stream, memory, an event
        with closing(backend_of(engine)) as backend:
            gpu.fail_creation = gpu.created.total() + 1 + made_before
            with pytest.raises(EngineError):
                backend.allocate(16, 32, 2)
            gpu.fail_creation = None
    gpu.check_clean()
    with closing(backend_of(engine, cuda_graph=False)) as backend:
        backend.allocate(16, 32, 2)
        gpu.break_at_network = gpu.networks_run + 1
        backend.submit(0)
        with pytest.raises(EngineError, match="context is lost"):
            backend.wait(0)


@pytest.mark.parametrize("bindings", BINDINGS)
@pytest.mark.parametrize("stem", SUPPORTED)
def test_a_version_is_used_within_its_names(
    stem: str, bindings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = FakeGpu()
    surface = Surface(names_of(stem))
    cuda_surface, graph_surface = install(monkeypatch, gpu, stem, surface)
    cuda_surface.names, graph_surface.names = names_of(PYCUDA), names_of(bindings)

    assert isinstance(find_gpu(), Gpu)
    assert isinstance(find_gpu(1), str)
    engine = build_all(stem, tmp_path)
    backend_of = opening(stem, tmp_path)
    run_streams(stem, engine, backend_of)
    gpu.check_clean()
    run_into_trouble(stem, engine, backend_of, gpu)
    gpu.check_clean(lost=True)

    assert surface.refused <= OPTIONAL
    assert (cuda_surface.refused, graph_surface.refused) == (set(), set())
    assert len(surface.touched) > 50
    assert ("cuGraphLaunch" in graph_surface.touched) == (stem != RTX)


def install(
    monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu, stem: str, surface: Surface
) -> tuple[Surface, Surface]:
    """Install the fakes; return the surfaces of pycuda and of cuda-bindings."""
    cuda_surface = install_cuda(monkeypatch, gpu)
    version = str(record_of(stem)["version"])
    trt = fake_tensorrt(gpu, flavour=flavour_of(stem), version=version, surface=surface)
    install_tensorrt(monkeypatch, trt)
    return cuda_surface, vars(sys.modules["cuda.bindings.driver"])["_surface"]


@pytest.mark.parametrize(
    "name", ["IBuilderConfig.clear_flag", "IExecutionContext.set_tensor_address", "Stream.handle"]
)
def test_a_name_that_is_taken_away_is_missed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem = SUPPORTED[0]
    gpu, surface = FakeGpu(), Surface(names_of(stem) - {name})
    cuda_surface, _ = install(monkeypatch, gpu, stem, surface)
    cuda_surface.names = names_of(PYCUDA) - {name}
    with pytest.raises(AttributeError, match=name):
        run_streams(stem, build_all(stem, tmp_path), opening(stem, tmp_path))


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_what_is_asked_for_is_there_in_some_versions_only(name: str) -> None:
    having = [stem for stem in SUPPORTED if name in names_of(stem)]
    assert 0 < len(having) < len(SUPPORTED)


def test_the_fakes_have_no_name_that_no_real_version_has() -> None:
    gpu = FakeGpu()
    surface = Surface()
    fakes = {
        SUPPORTED: fake_tensorrt(gpu, flavour="tensorrt-rtx", surface=surface),
        (PYCUDA,): fake_pycuda(gpu, surface),
        BINDINGS: fake_bindings(gpu, surface),
    }
    for stems, fake in fakes.items():
        real = frozenset().union(*map(names_of, stems))
        invented = public_names(fake) - real
        # One class is the base of all fake enums: it gives each what some of the real ones have.
        assert {name for name in invented if not name.endswith((".itemsize", ".value"))} == set()
