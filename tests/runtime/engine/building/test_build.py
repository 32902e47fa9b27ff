"""Engines are built for real, on a machine with no GPU; a graph TensorRT refuses fails here."""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.errors import EngineError, MissingExtraError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.building import build as build_module
from crispstream.runtime.engine.building.build import Built, build_engine, build_from_bundle
from crispstream.runtime.engine.building.layers import convolution_types
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.retry import OutOfMemoryError
from crispstream.runtime.engine.models import find_model, shipped_names
from crispstream.runtime.engine.native import load_flavour
from tests.helpers.bundles import tiny_graphs, write_tiny_bundle
from tests.helpers.graphs import (
    asymmetric_qdq,
    bytes_shuffled,
    float_contract,
    nearest_x4,
    small_net,
)

SIZE = (64, 48)
STATIC = BuildOptions.static(SIZE)
TWO = BuildOptions((SizeRange.only((320, 180)), SizeRange.parse("160x96:320x240:640x360")))
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


def is_rtx_engine(engine: bytes | Built) -> bool:
    engine = engine.plan if isinstance(engine, Built) else engine
    return engine[:4] == b"vtrt" and len(engine) > 10_000


@needs_rtx
@pytest.mark.parametrize(
    "options", [BuildOptions.static((320, 180)), TWO], ids=["static", "two profiles"]
)
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        (name, graph.precision)
        for name in shipped_names()
        for graph in find_model(name).graphs
        if "tensorrt-rtx" in graph.backends
    ],
)
def test_every_shipped_graph_builds(name: str, precision: str, options: BuildOptions) -> None:
    engine, record = build_from_bundle(
        find_model(name), options, precision=precision, allow_uncertified=True
    )
    assert is_rtx_engine(engine)
    assert record.precision == precision
    assert record.sizes == ", ".join(str(each) for each in options.profiles)
    assert record.retries == ()


@needs_rtx
def test_profiles_and_compute_capabilities_add_to_the_engine() -> None:
    graph = small_net(half=True)
    sizes = [
        len(build_engine(graph, options).plan)
        for options in (
            BuildOptions.static(SIZE, (8, 6)),
            BuildOptions.static(SIZE, (8, 6), (8, 9), (12, 0)),
            BuildOptions((SizeRange.only(SIZE), SizeRange.only((128, 96))), ((8, 6),)),
        )
    ]
    assert sizes[0] < min(sizes[1:])


@needs_rtx
def test_convolutions_are_counted_once_whatever_is_built_for() -> None:
    def counted(options: BuildOptions) -> dict[str, int]:
        return dict(convolution_types(build_engine(small_net(), options).layers))

    profiles = (SizeRange.only(SIZE), SizeRange.parse("32x32:64x64:128x96"))
    assert counted(BuildOptions(profiles, ((8, 6), (12, 0)))) == counted(STATIC) == {"Float": 3}


@needs_rtx
@pytest.mark.parametrize("level", [0, 5])
def test_optimisation_levels_build(level: int) -> None:
    options = replace(STATIC, optimisation_level=level)
    assert is_rtx_engine(build_engine(small_net(), options))


@needs_rtx
@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"workspace_mib": 64}, "takes no workspace limit"),
        ({"version_compatible": True}, "no version-compatible engines"),
        ({"hardware_compatible": "ampere+"}, "give a compute capability"),
    ],
)
def test_orders_for_tensorrt_alone_are_refused(order: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_engine(b"never read", replace(STATIC, **order))


@needs_rtx
@pytest.mark.parametrize("graph", [nearest_x4(), small_net(), small_net(half=True)])
def test_tiny_graphs_build(graph: bytes) -> None:
    assert is_rtx_engine(build_engine(graph, STATIC))


@needs_rtx
def test_fp16_comes_from_the_graph_and_shrinks_the_engine() -> None:
    # 256 channels: enough weights to outweigh what every engine carries.
    full = build_engine(small_net(channels=256), STATIC).plan
    half = build_engine(small_net(channels=256, half=True), STATIC).plan
    assert len(half) < len(full)


@needs_rtx
def test_the_record_describes_the_engine(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs(), name="b", certified=("fp16",))
    times = iter([1_000_000_000, 3_500_000_000])
    engine, record = build_from_bundle(
        bundle, BuildOptions.static(SIZE, (8, 6)), clock=lambda: next(times)
    )
    assert record.engine_sha256 == sha256_of(engine)
    assert record.engine_bytes == len(engine)
    assert record.graph_sha256 == bundle.graph("fp16").sha256
    assert (record.bundle, record.precision) == ("b", "fp16")
    assert record.sizes == "64x48"
    assert record.flavour == "tensorrt-rtx"
    assert record.options["compute_capabilities"] == ["8.6"]
    assert record.build_seconds == 2.5


@needs_rtx
def test_an_uncertified_graph_is_built_only_where_that_is_allowed(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs())
    with pytest.raises(UsageError, match="--allow-uncertified"):
        build_from_bundle(bundle, STATIC, precision="fp16")
    engine, record = build_from_bundle(bundle, STATIC, precision="fp16", allow_uncertified=True)
    assert is_rtx_engine(engine)
    assert record.precision == "fp16"
    assert build_from_bundle(bundle, STATIC)[1].precision == "fp32"


@needs_rtx
@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (bytes_shuffled(), r"refused the graph at node .*Transpose.*UInt8.*polygraphy inspect cap"),
        (asymmetric_qdq(), r"refused the graph at node .*QuantizeLinear.*zero point"),
        (b"not a graph", r"refused the graph: .*ONNX"),
        (float_contract(), r"expected \['frame'\] only"),
        (b"", r"expected \['frame'\] only"),
    ],
)
def test_graphs_that_cannot_be_engines(graph: bytes, words: str) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        build_engine(graph, STATIC)
    assert len(str(caught.value).splitlines()) == 1
    assert "In checkType at" not in str(caught.value)


@needs_rtx
def test_the_librarys_own_line_is_kept() -> None:
    with pytest.raises(EngineError) as caught:
        build_engine(bytes_shuffled(), STATIC)
    assert "API Usage Error" in caught.value.native_log


@needs_rtx
def test_an_impossible_build_says_what_the_library_said() -> None:
    with pytest.raises(EngineError, match=r"it said: .*volume"):
        build_engine(small_net(), BuildOptions.static((400_000, 400_000)))


@needs_rtx
def test_a_static_graph_has_one_size() -> None:
    graph = small_net(48, 64)
    assert is_rtx_engine(build_engine(graph, BuildOptions.static((64, 48))))
    with pytest.raises(UsageError, match=r"no engine of 320x180 px"):
        build_engine(graph, BuildOptions.static((320, 180)))


@needs_rtx
def test_unknown_compute_capabilities_list_the_known() -> None:
    with pytest.raises(UsageError, match=r"capability 3\.5; it knows .*8\.6, 8\.9, 12\.0"):
        build_engine(small_net(), BuildOptions.static(SIZE, (3, 5)))


@needs_rtx
@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((321, 179), "multiples of 4, not 321x179; build for 324x180"),
        ((0, 180), "no frame has the size 0x180"),
    ],
)
def test_sizes_the_bundle_cannot_have(tmp_path: Path, size: tuple[int, int], words: str) -> None:
    bundle: Bundle = write_tiny_bundle(tmp_path / "b")
    with pytest.raises(UsageError, match=words):
        build_from_bundle(bundle, BuildOptions.static(size))


@needs_rtx
def test_progress_is_told_from_start_to_end() -> None:
    told: list[tuple[str, int, int]] = []
    build_engine(small_net(), STATIC, on_progress=lambda *step: told.append(step))
    whole, done, steps = told[0]
    assert done == 0
    assert told[-1] == (whole, steps, steps)
    assert all(0 <= done <= steps for _, done, steps in told)


class StopError(Exception):
    """Raised by a callback."""


@needs_rtx
def test_an_exception_from_progress_cancels_and_comes_out() -> None:
    calls = []

    def stop(phase: str, done: int, steps: int) -> None:
        calls.append(phase)
        raise StopError

    with pytest.raises(StopError):
        build_engine(small_net(), STATIC, on_progress=stop)
    assert len(calls) == 1
    assert is_rtx_engine(build_engine(small_net(), STATIC))


def test_an_unknown_flavour_lists_the_known() -> None:
    with pytest.raises(UsageError, match="tensorrt, tensorrt-rtx"):
        load_flavour("openvino")


@pytest.mark.parametrize(
    ("flavour", "module", "extra"),
    [("tensorrt-rtx", "tensorrt_rtx", "rtx"), ("tensorrt", "tensorrt", "tensorrt")],
)
def test_a_missing_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, flavour: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"crispstream\[{extra}\]"):
        load_flavour(flavour)


def test_tensorrt_before_10_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("tensorrt")
    vars(old).update(__version__="8.6.1", NetworkDefinitionCreationFlag=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(EngineError, match=r"8\.6\.1 cannot build strongly typed.*10\.0 or newer"):
        load_flavour("tensorrt")


@needs_rtx
def test_tensorrt_goes_through_the_same_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    # TensorRT-RTX stands in for TensorRT: the calls are the same, the GPU cannot be chosen.
    import tensorrt_rtx

    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_rtx)
    assert is_rtx_engine(build_engine(small_net(), STATIC, flavour="tensorrt"))


def test_less_is_built_when_memory_is_missing_and_the_record_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    told: list[str] = []

    def fake_build(onnx_bytes: bytes, options: BuildOptions, **_: object) -> Built:
        if not options.profiles[0].is_static:
            raise OutOfMemoryError("OutOfMemory")
        return Built(b"engine", (), ("the timing cache was replaced",))

    monkeypatch.setattr(build_module, "build_engine", fake_build)
    monkeypatch.setattr(
        build_module, "load_flavour", lambda flavour: SimpleNamespace(__version__="10.3")
    )
    options = BuildOptions((SizeRange.parse("64x48:64x48:128x96"),))
    _, record = build_from_bundle(bundle, options, flavour="tensorrt", on_note=told.append)
    assert record.sizes == "64x48"
    assert record.retries == ("out of memory: built for sizes up to the best only, 64x48",)
    assert told == [
        "out of memory; trying again for sizes up to the best only, 64x48",
        "the timing cache was replaced",
    ]


@needs_rtx
def test_builds_of_several_threads_do_not_mix_what_is_said_of_them() -> None:
    graphs = [small_net(), small_net(half=True)] * 2
    expected = [convolution_types(build_engine(graph, STATIC).layers) for graph in graphs]
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda graph: build_engine(graph, STATIC), graphs))
    assert [convolution_types(each.layers) for each in built] == expected
