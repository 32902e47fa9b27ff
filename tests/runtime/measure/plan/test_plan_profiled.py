"""Times of a profile beside a plan."""

from dataclasses import replace

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.host import Host
from crispstream.runtime.measure.plan.profiled import check_device, layers_for, whose, with_times
from crispstream.runtime.measure.plan.record import Device, PlannedLayer
from crispstream.runtime.measure.plan.roofline import plan_layers
from crispstream.runtime.measure.profiling.record import LayerTime, ProfileRecord
from tests.helpers.graph_layers import residual
from tests.helpers.layer_records import GRAPH, profile_record
from tests.helpers.records import HOST, spread_of

DEVICE = Device("d", "D", {"fp32": 1e-3, "fp16": 2e-3}, 10.0, 1.0, 1e-3, ())


def steps() -> tuple[PlannedLayer, ...]:
    """planes (with floats), first (with relu), second (with added), large (with restored)."""
    return plan_layers(residual(), DEVICE, 8, 4)


def timed(ms: float, *nodes: str) -> LayerTime:
    return LayerTime("engine's own name", nodes, "Conv", "fp16", (), spread_of([ms]), 0.1)


def times(*layers: LayerTime) -> tuple[list[float | None], float]:
    found, elsewhere_ms = with_times(steps(), layers)
    return [step.measured_ms for step in found], elsewhere_ms


def near(ms: float) -> object:
    return pytest.approx(ms, rel=0.02)


def test_steps_get_the_times_of_their_layers() -> None:
    found, elsewhere_ms = with_times(
        steps(), [timed(0.1, "floats", "planes"), timed(0.2, "first", "relu")]
    )
    assert [step.measured_ms for step in found] == [near(0.1), near(0.2), None, None]
    first = found[1]
    assert first.achieved == pytest.approx(first.roof_ms / (first.measured_ms or 0))
    assert first.lost_ms == pytest.approx((first.measured_ms or 0) - first.roof_ms)
    assert (found[2].achieved, found[2].lost_ms, elsewhere_ms) == (None, None, 0)


def test_what_the_engine_did_not_fuse_is_added_to_its_step() -> None:
    assert times(timed(0.2, "first"), timed(0.1, "relu")) == ([None, near(0.3), None, None], 0)


def test_steps_that_the_engine_joined_have_no_time_of_their_own() -> None:
    joined = timed(0.4, "first", "relu", "second", "added")
    assert times(timed(0.1, "planes"), joined) == ([near(0.1), None, None, None], near(0.4))


def test_nor_have_they_if_a_part_of_them_was_timed_apart() -> None:
    found, elsewhere_ms = times(timed(0.4, "first", "second"), timed(0.1, "relu"))
    assert (found, elsewhere_ms) == ([None] * 4, near(0.5))


def test_what_the_engine_added_belongs_to_no_step() -> None:
    assert times(timed(0.2)) == ([None] * 4, near(0.2))


def test_what_the_engine_added_has_its_step_where_one_is_planned() -> None:
    cpu = replace(DEVICE, kind="cpu", passes_gb_per_second={"Reorder": 2.0})
    *_, added = with_times(plan_layers(residual(), cpu, 8, 4), [timed(0.2), timed(0.1)])[0]
    assert added.measured_ms == near(0.3)


CPU = replace(DEVICE, title="Own CPU", kind="cpu", measured=True)


def profile_on(backend: str, host: Host = HOST) -> ProfileRecord:
    profile = profile_record()
    return replace(profile, run={**profile.run, "backend": backend}, host=host)


@pytest.mark.parametrize("backend", ["onnxruntime-cpu", "onnxruntime"])
def test_a_profile_of_a_cpu_is_refused_beside_a_gpu(backend: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_device(profile_on(backend), DEVICE, HOST)
    told = str(caught.value)
    assert f"the profile is of a CPU ({backend} on Example CPU" in told
    assert "and D is a GPU" in told
    assert "plan --device cpu, on the machine of the profile, or profile on D" in told


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "onnxruntime-cuda"])
def test_a_profile_of_a_gpu_is_refused_beside_a_cpu(backend: str) -> None:
    profile = profile_on(backend, replace(HOST, gpu="NVIDIA H200", driver="580.65.06"))
    with pytest.raises(UsageError) as caught:
        check_device(profile, CPU, HOST)
    told = str(caught.value)
    assert f"is of a GPU ({backend} on NVIDIA H200, driver 580.65.06), and Own CPU is a CPU" in told
    check_device(profile, DEVICE, HOST)


@pytest.mark.parametrize("there", [replace(HOST, cores=8), replace(HOST, processor="Another")])
def test_a_profile_of_another_cpu_is_refused_beside_the_measured_one(there: Host) -> None:
    with pytest.raises(UsageError, match=f"another CPU .{there.processor}, {there.cores} cores"):
        check_device(profile_on("onnxruntime-cpu", there), CPU, HOST)
    check_device(profile_on("onnxruntime-cpu", there), replace(CPU, measured=False), HOST)
    check_device(profile_on("onnxruntime-cpu"), CPU, HOST)


def test_the_gpu_of_a_profile_is_told_beside_the_planned_one() -> None:
    named = profile_on("tensorrt", replace(HOST, gpu="NVIDIA Orin", driver="540.4.0"))
    assert "of NVIDIA Orin, driver 540.4.0, the roofs are of D" in whose(named, DEVICE)
    assert "of a GPU that it does not name, the roofs are of D" in whose(
        profile_on("tensorrt"), DEVICE
    )
    assert whose(named, CPU) == ""


def test_a_profile_of_the_planned_graph_is_taken() -> None:
    profile = profile_record()
    found = layers_for(
        profile, model="edge-s", precision="fp16", graph_sha256=GRAPH, size=profile.size
    )
    assert found is profile.layers


def test_a_profile_of_another_graph_is_refused() -> None:
    profile = profile_record()
    with pytest.raises(UsageError, match=r"profile is of edge-s .*5f5f5f.* edge-n int8 .*abab"):
        layers_for(
            profile, model="edge-n", precision="int8", graph_sha256="ab" * 32, size=profile.size
        )


def test_a_profile_of_another_size_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"of 320x180 px and 640x360 px is planned; add --size 320"
    ):
        layers_for(
            profile_record(), model="edge-s", precision="fp16", graph_sha256=GRAPH, size=(640, 360)
        )


def test_a_profile_without_layers_is_refused() -> None:
    profile = replace(profile_record(), layers=None)
    with pytest.raises(UsageError, match="without --no-layers"):
        layers_for(profile, model="", precision="", graph_sha256=GRAPH, size=profile.size)
