"""Loading an engine: refused with the reason, profiles chosen, TensorRT-RTX's own ways."""

from dataclasses import replace

import pytest

from crispstream.core.errors import EngineError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt.engine import LoadedEngine, Plan
from crispstream.runtime.engine.device.driver import Driver
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import FakePlan, Tensor, expected_of, plan_of
from tests.helpers.fakes.rig import (
    HEIGHT,
    STATES,
    WIDTH,
    Rig,
    assert_same,
    frames_of,
    run,
)

SIZE = SizeRange.only((WIDTH, HEIGHT))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu(), flavour="tensorrt-rtx")


def refusal(rig: Rig, plan: FakePlan | bytes) -> str:
    """Return what is said of an engine; nothing of it may be left."""
    rig.plan = plan
    backend = rig.backend(states=STATES)
    with pytest.raises(EngineError) as caught:
        backend.allocate(HEIGHT, WIDTH, 2)
    assert rig.gpu.live["engine"] == 0
    backend.close()
    rig.gpu.check_clean()
    return str(caught.value)


def test_profiles_made_for_a_size_come_before_those_that_take_it(rig: Rig) -> None:
    sizes = [SizeRange.parse(each) for each in ("8x8:32x32:64x64", "64x64", "16x8:16x16:32x32")]
    driver = Driver()
    engine = LoadedEngine(rig.trt, "tensorrt", Plan(plan_of(*sizes).to_bytes()))
    assert engine.profiles == tuple(sizes)
    wanted = {(16, 16): 2, (64, 64): 1, (32, 32): 0, (9, 9): 0, (65, 64): None, (7, 8): None}
    assert {size: engine.profile_for(*size) for size in wanted} == wanted
    engine.close()
    driver.close()
    rig.gpu.check_clean()


def test_code_for_the_cpu_runs_only_where_that_is_allowed(rig: Rig) -> None:
    plan = plan_of(SIZE, states=STATES, has_host_code=True)
    assert "host code is not allowed" in refusal(rig, plan)
    rig.plan_options = {"host_code_allowed": True}
    backend = rig.backend(states=STATES)
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    rig.gpu.check_clean()


FRAME, RESTORED, *STATE_TENSORS = plan_of(SIZE, states=STATES).tensors


@pytest.mark.parametrize(
    "tensors",
    [
        (FRAME, RESTORED),
        (FRAME, *STATE_TENSORS),
        (FRAME, RESTORED, *STATE_TENSORS, Tensor("mask", True, "UINT8")),
        (replace(FRAME, name="input"), RESTORED, *STATE_TENSORS),
        (replace(FRAME, kind="FLOAT"), RESTORED, *STATE_TENSORS),
        (FRAME, replace(RESTORED, kind="HALF"), *STATE_TENSORS),
        (FRAME, replace(RESTORED, is_input=True), *STATE_TENSORS),
        (FRAME, RESTORED, *(replace(tensor, kind="INT32") for tensor in STATE_TENSORS)),
    ],
)
def test_an_engine_with_other_tensors_is_refused(rig: Rig, tensors: tuple[Tensor, ...]) -> None:
    """Its addresses would lead beyond the buffers."""
    said = refusal(rig, replace(plan_of(SIZE), tensors=tensors))
    assert said.startswith(f"the engine's tensors are {tensors[0].name} (input, {tensors[0].kind})")
    assert "expected frame, restored, state_in_seen, state_out_seen" in said


def test_a_profile_that_is_not_of_frames_is_refused(rig: Rig) -> None:
    plan = plan_of(SIZE, states=STATES)
    odd = replace(plan, profiles=({"frame": [[1, 8, 16]] * 3},))
    assert "profile 0 of the engine gives the frame the shapes [(1, 8, 16)" in refusal(rig, odd)


def test_too_little_memory_for_a_context_says_how_much_it_takes(rig: Rig) -> None:
    rig.gpu.fail_creation = 3  # after the GPU's context and the engine
    backend = rig.backend()
    with pytest.raises(
        EngineError, match=r"no execution context, which needs 3 MiB of the GPU; it said: .*Memory"
    ):
        backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    rig.gpu.check_clean()


def test_what_the_library_refuses_of_a_size_is_named(rig: Rig) -> None:
    states = {"state_in_seen": [[1, 4, 99, 99]] * 3, "state_in_moved": [[1, 2, 2, 4]] * 3}
    plan = plan_of(SIZE, states=STATES)
    said = refusal_of_shape(rig, replace(plan, profiles=({**plan.profiles[0], **states},)))
    assert "tensorrt refused the shape [1, 4, 4, 8] of state_in_seen for frames of 16x8 px" in said
    assert "it said: Error Code 3" in said


def refusal_of_shape(rig: Rig, plan: FakePlan) -> str:
    rig.plan = plan
    backend = rig.backend(states=STATES)
    with pytest.raises(EngineError) as caught:
        backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    rig.gpu.check_clean()
    return str(caught.value)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_tensorrt_rtx_captures_its_own_graphs(rtx: Rig, cuda_graph: bool) -> None:
    backend = rtx.backend(states=STATES, cuda_graph=cuda_graph)
    backend.allocate(HEIGHT, WIDTH, 4)
    strategies = rtx.gpu.graph_strategies  # with graphs a context for each direction of the state
    assert strategies == (["WHOLE_GRAPH_CAPTURE"] * 2 if cuda_graph else [""])
    assert not backend.replays_graphs
    frames = frames_of(6)
    assert_same(run(backend, frames, in_flight=2), expected_of(frames, 2))
    assert backend.device_latencies["infer"].count == 6
    backend.close()
    rtx.gpu.check_clean()


def test_tensorrt_rtx_runs_the_kernels_that_were_rechecked(rtx: Rig) -> None:
    """By default it begins with others, and changes to kernels for the size as they are ready."""
    driver = Driver()
    plan = Plan(plan_of(SIZE, flavour="tensorrt-rtx").to_bytes())
    engine = LoadedEngine(rtx.trt, "tensorrt-rtx", plan)
    strategies = rtx.trt.DynamicShapesKernelSpecializationStrategy
    chosen = engine._config.dynamic_shapes_kernel_specialization_strategy
    assert chosen == strategies.EAGER
    engine.close()
    driver.close()


def test_a_tensorrt_rtx_without_that_choice_is_loaded_too(
    monkeypatch: pytest.MonkeyPatch, rtx: Rig
) -> None:
    monkeypatch.delitem(vars(rtx.trt), "DynamicShapesKernelSpecializationStrategy")
    backend = rtx.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    rtx.gpu.check_clean()
