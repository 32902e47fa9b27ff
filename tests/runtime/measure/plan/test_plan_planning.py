"""The whole plan of a bundle on a device."""

from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.errors import BundleError, UsageError
from crispstream.core.layers import LAYERS
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.plan.devices import find_device
from crispstream.runtime.measure.plan.planning import plan
from crispstream.runtime.measure.plan.record import Device, PlanRecord
from crispstream.runtime.measure.plan.sustained import SIZES, sustained
from tests.helpers.layer_records import layer_profile, profile_record

CPU = Device("cpu", "C", {"fp32": 0.2, "int8": 0.5}, 20.0, 8.0, 5.0, (), True, "cpu")


def planned(
    device: str | Device = "l4", precision: str = "fp16", size: tuple[int, int] | None = None
) -> PlanRecord:
    bundle = find_model("edge-s")
    target = find_device(device) if isinstance(device, str) else device
    return plan(bundle, bundle.graph(precision), target, size, beside=[find_model("edge-n")])


def test_totals_are_the_sums_of_the_steps() -> None:
    record = planned()
    assert record.size == (320, 180)
    assert record.macs == 48_624 * 320 * 180  # of the bundle's card, for each pixel
    assert record.bytes == sum(step.bytes for step in record.layers)
    assert record.roof_ms == pytest.approx(sum(step.roof_ms for step in record.layers))
    assert set(record.memory_mb) == {"weights", "activations", "frames"}


def test_frames_are_padded_as_the_network_needs_it() -> None:
    assert planned(size=(317, 90)).size == (320, 92)


def test_four_times_the_pixels_take_four_times_as_long_where_launches_do_not_count() -> None:
    small, large = planned("orin-nano"), planned("orin-nano", size=(640, 360))
    assert large.roof_ms == pytest.approx(4 * small.roof_ms, rel=0.02)


def test_int8_is_no_slower_than_fp16_at_the_roof() -> None:
    assert planned("l4", "int8").roof_ms <= planned("l4", "fp16").roof_ms


def test_a_roof_says_that_it_is_a_lower_bound_and_the_share_an_assumption() -> None:
    record = planned()
    told = " ".join(record.notes)
    assert "lower bound" in told
    assert "assumption" in told
    assert record.expected_share == 0.3
    assert "such as edge-m, only the planned one has rows: export one" in told


def test_rates_that_were_measured_make_an_estimate() -> None:
    record = planned(CPU, "fp32")
    assert record.expected_share == 1.0
    assert "no lower bound" in record.notes[0]


def test_what_is_sustained_is_told_of_every_model_graph_and_size() -> None:
    record = planned()
    assert [(row.model, row.precision, row.size) for row in record.sustained] == [
        (model, precision, size)
        for model in ("edge-s", "edge-n")
        for precision in ("fp16", "int8")
        for size in SIZES
    ]
    first = record.sustained[0]
    assert first.roof_ms == pytest.approx(record.roof_ms)
    assert first.frames_per_second == pytest.approx(1000 / first.roof_ms)
    assert first.expected_frames_per_second == pytest.approx(300 / first.roof_ms)


def test_on_a_cpu_other_graphs_make_sense() -> None:
    rows = planned(CPU, "fp32").sustained
    assert {row.precision for row in rows} == {"fp32", "int8-cpu"}
    assert all(row.expected_frames_per_second == row.frames_per_second for row in rows)


def test_the_planned_bundle_stands_among_the_others_once() -> None:
    bundle = find_model("edge-n")
    beside = [bundle, find_model("edge-s")]
    record = plan(bundle, bundle.graph("fp16"), find_device("t4"), beside=beside)
    assert [row.model for row in record.sustained] == ["edge-n"] * 8 + ["edge-s"] * 8


def static(size: tuple[int, int] | None) -> Bundle:
    return replace(find_model("edge-n"), frame_size=size)


def test_a_bundle_of_one_size_is_planned_for_that_size() -> None:
    bundle = static((256, 128))
    record = plan(bundle, bundle.graph("fp16"), find_device("t4"))
    assert record.size == (256, 128)
    assert [row.size for row in record.sustained] == [(256, 128)] * 2
    with pytest.raises(UsageError, match="256x128 px only, and 320x180 px was asked for"):
        plan(bundle, bundle.graph("fp16"), find_device("t4"), (320, 180))


def test_a_bundle_without_layers_is_refused_with_what_to_do() -> None:
    bundle = find_model("edge-n")
    bare = replace(bundle, files={k: v for k, v in bundle.files.items() if k != LAYERS})
    assert sustained([bare], CPU) == ()
    with pytest.raises(BundleError, match=r"no layers\.json; make the bundle again"):
        plan(bare, bare.graph("fp32"), CPU)


def test_a_rate_that_is_not_known_and_too_little_memory_are_told() -> None:
    poor = Device("poor", "P", {"fp32": 1.0}, 10.0, 0.001, 2.0, ())
    told = " ".join(planned(poor, "int8").notes)
    assert "poor has no rate of fp16" in told
    assert "poor has no rate of int8" in told
    assert "has 0.001" in told


def test_a_profile_brings_its_times_and_what_belongs_to_no_step() -> None:
    bundle = find_model("edge-s")
    graph = bundle.graph("fp16")
    profile = replace(profile_record(), graph_sha256=graph.sha256, layers=layer_profile())
    with pytest.raises(UsageError, match="the profile is of a CPU"):
        plan(bundle, graph, find_device("l4"), profile=profile)
    profile = replace(profile, run={**profile.run, "backend": "tensorrt"})
    record = plan(bundle, graph, find_device("l4"), profile=profile, profile_name="p.json")
    assert record.profile == "p.json"
    timed = {step.name: step for step in record.layers if step.measured_ms}
    assert {"/head/Conv", "/tail/Conv", "/bottom/bottom.4/Conv"} <= set(timed)
    assert any("belong to no single step" in note for note in record.notes)
    assert any("of a GPU that it does not name, the roofs are of NVIDIA L4" in note
               for note in record.notes)  # fmt: skip


def test_a_damaged_bundle_beside_is_no_secret(tmp_path: Path) -> None:
    bundle = find_model("edge-n")
    elsewhere = replace(bundle, path=tmp_path)
    with pytest.raises(BundleError):
        sustained([elsewhere], find_device("l4"))
