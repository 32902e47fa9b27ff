"""Roofs, against numbers worked out by hand."""

from dataclasses import replace

import pytest

from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.plan.record import Device
from crispstream.runtime.measure.plan.roofline import macs_rate, memory_mb, plan_layers
from tests.helpers.graph_layers import graph, layer, residual, tensor

SIZE = (8, 4)
DEVICE = Device("d", "D", {"fp32": 1e-3, "fp16": 2e-3}, 10.0, 1.0, 1e-3, ())


def test_the_roofs_of_a_small_graph() -> None:
    cast, first, second, shuffle = plan_layers(residual(), DEVICE, *SIZE)

    # 32 px, 3 channels: bytes in, fp16 out
    assert (cast.macs, cast.bytes) == (0, 96 + 192)
    # 48 channels of 32 px, 27 each; 3 planes in, 48 out, weights
    assert (first.macs, first.bytes) == (48 * 32 * 27, 192 + 3072 + 2592)
    assert first.intensity == pytest.approx(41472 / 5856)
    # at 2e9 a second 20.7 us, at 10 GB/s 0.6 us
    assert first.roof_ms == pytest.approx(1e3 * 41472 / 2e9)
    assert (first.bound, cast.bound) == ("compute", "memory")
    assert cast.roof_ms == pytest.approx(1e3 * 288 / 10e9)
    assert (second.macs, second.bytes) == (48 * 32 * 432, 3072 + 3072 + 41472)
    assert (second.op, second.nodes) == ("Conv+Add", ("second", "added"))
    # 48 channels of 32 px become 3 of 512, as bytes
    assert (shuffle.bytes, shuffle.shape) == (3072 + 1536, (1, 3, 16, 32))


def test_a_kernel_takes_its_time_to_start() -> None:
    slow = replace(DEVICE, launch_us=1000.0)
    assert {(step.bound, step.roof_ms) for step in plan_layers(residual(), slow, *SIZE)} == {
        ("launch", 1.0)
    }


def test_a_precision_without_a_rate_counts_as_the_next_wider() -> None:
    assert macs_rate(DEVICE, "int8") == macs_rate(DEVICE, "fp16") == 2e-3
    assert macs_rate(replace(DEVICE, tera_macs={"fp32": 1e-3}), "int8") == 1e-3
    assert macs_rate(DEVICE, "other") == 1e-3


def test_measured_passes_have_their_own_speed() -> None:
    cpu = replace(DEVICE, kind="cpu", passes_gb_per_second={"DepthToSpace": 1.0, "Conv/int8": 2.0})
    steps = {step.name: step for step in plan_layers(residual(), cpu, *SIZE)}
    assert steps["large"].roof_ms == pytest.approx(1e3 * (3072 + 3072) / 1e9)
    assert steps["planes"].roof_ms == pytest.approx(1e3 * (192 + 192) / 10e9)


def test_on_frames_between_small_and_large_a_pass_has_a_speed_between() -> None:
    small, large = {"DepthToSpace": 8.0}, {"DepthToSpace": 2.0}
    cpu = replace(
        DEVICE,
        kind="cpu",
        passes_gb_per_second=small,
        large_passes_gb_per_second=large,
        passes_px=(32, 512),
    )
    for size, speed in (((4, 4), 8.0), ((8, 4), 8.0), ((16, 8), 4.0), ((64, 32), 2.0)):
        steps = {step.name: step for step in plan_layers(residual(), cpu, *size)}
        shuffled = steps["large"]
        assert shuffled.roof_ms == pytest.approx(1e-6 * shuffled.bytes / speed), size


def test_what_the_engine_adds_is_a_step_where_its_speed_was_measured() -> None:
    cpu = replace(DEVICE, kind="cpu", passes_gb_per_second={"Reorder": 2.0})
    *rest, added = plan_layers(residual(), cpu, *SIZE)
    moved = sum(step.bytes for step in rest if step.macs)
    assert (added.name, added.nodes, added.op) == ("(added by the engine)", (), "Reorder")
    assert (added.macs, added.bytes, added.bound) == (0, moved, "memory")
    assert added.roof_ms == pytest.approx(1e-6 * moved / 2.0)
    int8 = replace(cpu, passes_gb_per_second={"Reorder/int8": 2.0})
    assert len(plan_layers(residual(), int8, *SIZE)) == len(rest)


def test_in_graphs_with_int8_they_have_another() -> None:
    speeds = {"DepthToSpace": 1.0, "DepthToSpace/int8": 2.0}
    cpu = replace(DEVICE, kind="cpu", passes_gb_per_second=speeds)
    x, conv, large = tensor("x", 48), tensor("conv", 48), tensor("large", 3, sides=("4*H", "4*W"))
    shuffled = layer("DepthToSpace", [conv], large)
    for precision, speed in (("fp16", 1.0), ("int8", 2.0)):
        layers = graph(layer("Conv", [x], conv, precision, 9), shuffled)
        assert plan_layers(layers, cpu, *SIZE)[1].roof_ms == pytest.approx(6.144e-3 / speed)


def test_memory_counts_weights_frames_and_the_most_that_is_alive_at_once() -> None:
    memory = memory_mb(residual(), DEVICE, *SIZE)
    assert memory["weights"] == pytest.approx((2592 + 41472) / 1e6)
    # the second convolution reads 3072 and writes 3072; the picture itself is a frame
    assert memory["activations"] == pytest.approx(6144e-6)
    assert memory["frames"] == pytest.approx(4 * 17 * 96 / 1e6)


def test_what_is_read_again_later_stays_alive() -> None:
    x, a, b, c, end = (tensor(name, 8) for name in ("x", "a", "b", "c", "end"))
    convs = [
        layer("Conv", [before], after, "fp16", 9) for before, after in ((x, a), (a, b), (b, c))
    ]
    layers = graph(*convs, layer("Conv", [c, a], end, "fp16", 9))
    # each 8 channels of 32 px in fp16, 512 bytes: a, b and c
    assert memory_mb(layers, DEVICE, *SIZE)["activations"] == pytest.approx(3 * 512e-6)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-cpu"])
@pytest.mark.parametrize("model", ["edge-n", "edge-s"])
def test_all_work_of_a_shipped_graph_is_planned(model: str, precision: str) -> None:
    bundle = find_model(model)
    graph_ = bundle.graph(precision)
    for kind in ("gpu", "cpu"):
        steps = plan_layers(bundle.layers_of(graph_), replace(DEVICE, kind=kind), 320, 180)
        assert sum(step.macs for step in steps) == graph_.macs_per_lr_pixel * 320 * 180
