"""Bytes that are loaded or not: which error, what was said, what to do."""

import pytest

from crispstream.core.errors import EngineError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt import deserialise
from crispstream.runtime.engine.backends.tensorrt.engine import RefusedEngineError
from tests.api.surfaces import RTX, names_of
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import FakePlan, plan_of
from tests.helpers.fakes.fake_runtime import Runtime
from tests.helpers.fakes.rig import HEIGHT, STATES, VERSION, WIDTH, Rig

SIZE = SizeRange.only((WIDTH, HEIGHT))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu(), flavour="tensorrt-rtx")


def refusal(rig: Rig, plan: FakePlan | bytes, kind: type[EngineError]) -> str:
    """Return what is said of an engine, by an error of just this kind; nothing may be left."""
    rig.plan = plan
    backend = rig.backend(states=STATES)
    with pytest.raises(EngineError) as caught:
        backend.allocate(HEIGHT, WIDTH, 2)
    assert type(caught.value) is kind
    assert rig.gpu.live["engine"] == 0
    backend.close()
    rig.gpu.check_clean()
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"fake engine\n{", b"ftrt\x00\x01"])
def test_bytes_that_are_no_engine_are_refused(rig: Rig, content: bytes) -> None:
    said = refusal(rig, content, RefusedEngineError)
    assert said.startswith(f"tensorrt {VERSION} does not load the engine; it said: IRuntime::")
    assert said.endswith("build it again on this machine: crispstream build --rebuild")


def test_an_engine_of_another_version_is_refused(rig: Rig) -> None:
    said = refusal(rig, plan_of(SIZE, states=STATES, version="10.7.0"), RefusedEngineError)
    assert "not compatible with this version of TensorRT; build it again" in said


def test_tensorrt_rtx_tells_the_reason_before_it_loads(rtx: Rig) -> None:
    said = refusal(rtx, plan_of(SIZE, flavour="tensorrt-rtx", version="1.2.0"), RefusedEngineError)
    assert f"tensorrt-rtx {VERSION} cannot run the engine here: version mismatch; build" in said
    assert "malformed engine" in refusal(rtx, b"junk", RefusedEngineError)


def test_too_little_memory_for_an_engine_is_said_as_such(rig: Rig) -> None:
    rig.gpu.fail_creation = 2  # after the context
    said = refusal(rig, plan_of(SIZE, states=STATES), EngineError)
    assert "it said: Error Code 2: OutOfMemory" in said
    assert said.endswith("end other programs that use the GPU")


@pytest.mark.parametrize(
    ("said", "kind", "advice"),
    [
        ("Error Code 1: Cuda Runtime (operation not permitted)", EngineError, "crispstream doctor"),
        ("Error Code 1: Cuda Driver (invalid device context)", EngineError, "crispstream doctor"),
        ("Error Code 1: Cuda Runtime (out of memory)", EngineError, "end other programs that use"),
        (
            "Error Code 1: Cuda Runtime (no kernel image is available for execution on the device)",
            RefusedEngineError,
            "--rebuild",
        ),
        ("Error Code 6: API Usage Error (compute 8.9 expected 8.6)", RefusedEngineError, "rebuild"),
    ],
)
def test_only_what_another_build_mends_is_a_refused_engine(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[EngineError], advice: str
) -> None:
    monkeypatch.setattr(Runtime, "_fault_of", lambda self, content: said)
    told = refusal(rig, plan_of(SIZE, states=STATES), kind)
    assert f"it said: {said}; " in told
    assert advice in told


@pytest.mark.parametrize(
    ("bits", "kind", "told", "advice"),
    [
        (1, RefusedEngineError, "version mismatch", "crispstream build --rebuild"),
        (2 + 32, RefusedEngineError, "unsupported cc, malformed engine", "build --rebuild"),
        (4, EngineError, "old cuda driver", "update the GPU's driver"),
        (8, EngineError, "old cuda runtime", 'pip install --upgrade "crispstream[rtx]"'),
        (16, EngineError, "insufficient gpu memory", "end other programs that use the GPU"),
        (64, EngineError, "cuda error", "crispstream doctor"),
        (1 + 16, EngineError, "version mismatch, insufficient", "--rebuild, or end other programs"),
        (128, EngineError, "no reason given", "doctor, or build it again on this machine"),
    ],
)
def test_each_diagnosis_of_tensorrt_rtx_has_its_own_advice(
    rtx: Rig, bits: int, kind: type[EngineError], told: str, advice: str
) -> None:
    rtx.gpu.engine_faults = bits
    said = refusal(rtx, plan_of(SIZE, states=STATES, flavour="tensorrt-rtx"), kind)
    assert f"cannot run the engine here: {told}" in said
    assert said.endswith(advice) or advice in said.split("; ")[-1]


def test_the_diagnoses_with_advice_are_those_of_tensorrt_rtx() -> None:
    members = (name.partition("EngineInvalidityDiagnostics.")[2] for name in names_of(RTX))
    assert {name for name in members if name.isupper()} == set(deserialise._ADVICE)


@pytest.mark.parametrize("second_is_good", [False, True])
def test_a_refused_engine_is_told_of_and_one_more_is_asked_for(
    rig: Rig, second_is_good: bool
) -> None:
    told: list[str] = []

    def refused(error: RefusedEngineError) -> None:
        told.append(error.native_log)
        rig.plan = None if second_is_good else rig.plan

    rig.plan, rig.plan_options = b"damaged", {"on_refused": refused}
    backend = rig.backend()
    if second_is_good:
        backend.allocate(HEIGHT, WIDTH, 2)
    else:
        with pytest.raises(RefusedEngineError, match="magic tag"):
            backend.allocate(HEIGHT, WIDTH, 2)
    assert len(rig.asked_for) == 2
    assert len(told) == 1
    assert "magic tag does not match" in told[0]
    backend.close()
    rig.gpu.check_clean()


def test_no_other_engine_is_asked_for_if_memory_is_missing(rig: Rig) -> None:
    rig.plan_options = {"on_refused": pytest.fail}
    rig.gpu.fail_creation = 2
    backend = rig.backend()
    with pytest.raises(EngineError, match="OutOfMemory"):
        backend.allocate(HEIGHT, WIDTH, 2)
    assert len(rig.asked_for) == 1
    backend.close()
