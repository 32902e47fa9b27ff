"""Execution contexts: addresses that stay, and what the library refuses of a size."""

import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt.context import EngineContext
from crispstream.runtime.engine.backends.tensorrt.engine import LoadedEngine, Plan
from crispstream.runtime.engine.device.driver import Driver
from tests.helpers.fakes.fake_context import IExecutionContext
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import expected_of, plan_of
from tests.helpers.fakes.rig import HEIGHT, STATES, WIDTH, Rig, assert_same, frames_of, run


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


def note_binding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that each tensor is noted in whose address is set."""
    bound: list[str] = []
    bind = IExecutionContext.set_tensor_address

    def noted(self: IExecutionContext, name: str, address: int) -> bool:
        bound.append(name)
        return bind(self, name, address)

    monkeypatch.setattr(IExecutionContext, "set_tensor_address", noted)
    return bound


@pytest.mark.parametrize(("states", "contexts"), [((), 1), (STATES, 2)])
@pytest.mark.parametrize("in_flight", [1, 3])
def test_tensorrt_rtx_captures_each_context_once_and_never_for_a_frame(
    monkeypatch: pytest.MonkeyPatch, in_flight: int, states: tuple, contexts: int
) -> None:
    """It captures anew when an address changes: slots with their own would cost that each time."""
    rig = Rig(monkeypatch, FakeGpu(), flavour="tensorrt-rtx")
    backend = rig.backend(states=states)
    backend.allocate(HEIGHT, WIDTH, 6)
    assert rig.gpu.own_captures == contexts
    frames = frames_of(24)
    results = run(backend, frames[:12], slots=6, in_flight=in_flight)
    backend.reset()
    results += run(backend, frames[12:], slots=6, in_flight=in_flight)
    right = expected_of(frames[:12], len(states)) + expected_of(frames[12:], len(states))
    assert_same(results, right)
    assert rig.gpu.own_captures == contexts
    backend.close()
    rig.gpu.check_clean()


@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("states", [(), STATES])
def test_with_graphs_no_frame_binds_an_address(
    monkeypatch: pytest.MonkeyPatch, flavour: str, states: tuple
) -> None:
    """Slots out of turn change none either; the fake finds those that change after a capture."""
    rig = Rig(monkeypatch, FakeGpu(), flavour=flavour)
    backend = rig.backend(states=states)
    backend.allocate(HEIGHT, WIDTH, 4)
    bound = note_binding(monkeypatch)
    frames = frames_of(7)
    for slot, frame in zip((0, 1, 3, 3, 0, 2, 1), frames, strict=True):
        backend.frame(slot)[:] = frame
        backend.submit(slot)
        backend.wait(slot)
    assert bound == []
    backend.close()
    rig.gpu.check_clean()


def test_frames_that_overlap_bind_the_addresses_of_their_slots(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 2)
    bound = note_binding(monkeypatch)
    run(backend, frames_of(3), slots=2)  # the first finds those of the warm-up
    assert bound == ["frame", "restored"] * 2
    backend.close()


def test_an_address_that_was_refused_is_set_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = rig.backend(cuda_graph=False)
    backend.allocate(HEIGHT, WIDTH, 2)
    bind = IExecutionContext.set_tensor_address

    def refuse_half(self: IExecutionContext, name: str, address: int) -> bool:
        return name == "frame" and bind(self, name, address)

    with monkeypatch.context() as patch:
        patch.setattr(IExecutionContext, "set_tensor_address", refuse_half)
        backend.submit(1)
        with pytest.raises(EngineError, match=r"refused the address of restored; .* --rebuild"):
            backend.wait(1)
    frames = frames_of(4)
    assert_same(run(backend, frames, slots=2), expected_of(frames))
    backend.close()
    rig.gpu.check_clean()


def test_addresses_are_set_again_after_a_change_of_the_profile(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New buffers may lie where the old ones did."""
    bound = note_binding(monkeypatch)
    driver = Driver()
    sizes = SizeRange.only((WIDTH, HEIGHT)), SizeRange.only((HEIGHT, HEIGHT))
    engine = LoadedEngine(rig.trt, "tensorrt", Plan(plan_of(*sizes).to_bytes()))
    context, stream = EngineContext(engine), driver.stream()
    for width, count in ((WIDTH, 1), (HEIGHT, 2), (WIDTH, 3)):
        context.fit(width, HEIGHT, stream.handle)
        for _ in range(2):
            context.bind((("frame", 4096), ("restored", 8192)))
        assert bound == ["frame", "restored"] * count
    for thing in (context, engine, stream, driver):
        thing.close()
    rig.gpu.check_clean()


def refusal(rig: Rig, states: tuple[StateTensor, ...] = ()) -> EngineError:
    backend = rig.backend(states=states)
    with pytest.raises(EngineError) as caught:
        backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    rig.gpu.check_clean()
    return caught.value


def test_a_profile_that_the_library_raises_for_is_refused_with_what_it_said(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoadedEngine, "profile_for", lambda self, width, height: 7)
    refused = refusal(rig)
    assert "tensorrt refused its profile 7 for frames of 16x8 px" in str(refused)
    assert "it said: Error Code 3: no profile 7; build the engine again: " in str(refused)
    assert refused.native_log == "Error Code 3: no profile 7"


def test_shapes_that_the_library_raises_for_are_refused_with_what_it_said(rig: Rig) -> None:
    rig.plan = plan_of(SizeRange.only((WIDTH, HEIGHT)), states=(StateTensor("seen", 4, 4),))
    said = str(refusal(rig, (StateTensor("seen", 4, 2),)))
    assert "tensorrt refused to infer the shapes of frame, state_in_seen" in said
    assert "it said: Error Code 4: Shape Error (of state_in_seen)" in said


def test_an_exception_speaks_for_itself_where_the_library_logged_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, *_: object) -> None:
        raise RuntimeError("Error in set optimization profile async.")

    monkeypatch.setattr(IExecutionContext, "set_optimization_profile_async", refuse)
    assert "it said: Error in set optimization profile async." in str(refusal(rig))
