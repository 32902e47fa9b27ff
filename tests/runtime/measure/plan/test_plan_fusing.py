"""What an engine computes in one step, by the documented rule."""

import pytest

from crispstream.core.layers import Layer
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.plan.fusing import Step, fuse
from tests.helpers.graph_layers import layer, residual, tensor

SIZE = (8, 4)


def names(steps: tuple[Step, ...]) -> list[list[str]]:
    return [[one.name for one in step.layers] for step in steps]


def moved(step: Step) -> tuple[list[str], list[str]]:
    return [tensor.name for tensor in step.reads], [tensor.name for tensor in step.writes]


def test_a_gpu_fuses_what_follows_convolutions_and_chains_of_passes() -> None:
    steps = fuse(residual().layers, "gpu", SIZE)

    assert names(steps) == [
        ["floats", "planes"], ["first", "relu"], ["second", "added"], ["large", "restored"],
    ]  # fmt: skip
    assert [step.main.name for step in steps] == ["planes", "first", "second", "large"]
    assert [step.is_pass for step in steps] == [True, False, False, True]
    assert moved(steps[0]) == (["frame"], ["planes"])
    assert moved(steps[2]) == (["relu"], ["added"])  # what it adds, it reads anyway
    assert moved(steps[3]) == (["added"], ["restored"])


def test_a_cpu_fuses_activations_only() -> None:
    steps = fuse(residual().layers, "cpu", SIZE)
    assert names(steps) == [
        ["floats"], ["planes"], ["first", "relu"], ["second"], ["added"], ["large"], ["restored"],
    ]  # fmt: skip


def test_what_somebody_else_reads_too_has_to_be_written() -> None:
    x, conv, relu, other = (tensor(name, 8) for name in ("x", "conv", "relu", "other"))
    layers = [
        layer("Conv", [x], conv, macs_per_output=72),
        layer("Relu", [conv], relu),
        layer("Sigmoid", [conv], other),
    ]
    for kind in ("gpu", "cpu"):
        assert names(fuse(layers, kind, SIZE)) == [["conv"], ["relu"], ["other"]]


def test_an_addition_joins_the_larger_of_two_and_waits_for_the_other() -> None:
    """The convolution in fp32 comes first, and is computed last: its output then never moves."""
    x, narrow = tensor("x", 8), tensor("narrow", 48)
    base, wide = tensor("base", 48, "float32"), tensor("wide", 48, "float32")
    total = tensor("total", 48, "float32")
    steps = fuse(
        [
            layer("Conv", [x], base, "fp32", 27),
            layer("Conv", [x], narrow, "fp16", 27),
            layer("Cast", [narrow], wide, "fp32"),
            layer("Add", [wide, base], total, "fp32"),
        ],
        "gpu",
        SIZE,
    )
    assert names(steps) == [["narrow"], ["base", "wide", "total"]]
    assert moved(steps[1]) == (["x", "narrow"], ["total"])  # widened as it is read


def quantised(behind: str) -> list[Layer]:
    """Two convolutions in INT8 and what follows the second, which reads a float."""
    x, x_dq, first = tensor("x", 8, "uint8"), tensor("x_dq", 8), tensor("first", 8)
    relu, q, dq = tensor("relu", 8), tensor("q", 8, "uint8"), tensor("dq", 8)
    second, end = tensor("second", 8), tensor("end", 8)
    return [
        layer("DequantizeLinear", [x], x_dq),
        layer("Conv", [x_dq], first, "int8", 72),
        layer("Relu", [first], relu),
        layer("QuantizeLinear", [relu], q),
        layer("DequantizeLinear", [q], dq),
        layer("Conv", [dq], second, "int8", 72),
        layer(behind, [second, dq], end),
    ]


def test_between_quantised_convolutions_only_bytes_move() -> None:
    first, second = fuse(quantised("Add"), "gpu", SIZE)
    assert moved(first) == (["x"], ["q"])
    assert moved(second) == (["q"], ["end"])
    assert [one.name for one in second.layers] == ["dq", "second", "end"]


def test_on_a_cpu_whoever_is_no_quantised_convolution_needs_a_float_tensor() -> None:
    steps = fuse(quantised("Add"), "cpu", SIZE)
    assert names(steps) == [["x_dq", "first", "relu", "q"], ["dq"], ["dq", "second"], ["end"]]
    assert moved(steps[2]) == (["q"], ["second"])
    assert moved(steps[3]) == (["second", "dq"], ["end"])


def test_a_change_of_layout_never_joins_a_convolution() -> None:
    x, conv, turned = tensor("x", 8), tensor("conv", 8), tensor("turned", 8)
    layers = [layer("Conv", [x], conv, macs_per_output=72), layer("Transpose", [conv], turned)]
    assert names(fuse(layers, "gpu", SIZE)) == [["conv"], ["turned"]]


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_an_output_of_the_graph_that_is_also_read_inside_has_to_be_written(kind: str) -> None:
    x, state, end = tensor("x", 8), tensor("state_out_h", 8), tensor("restored", 8)
    convolution = layer("Conv", [x], state, macs_per_output=72)
    (step,) = fuse([convolution, layer("Relu", [state], end)], kind, SIZE)
    assert moved(step) == (["x"], ["state_out_h", "restored"])


def test_a_conversion_that_makes_an_output_is_work_of_its_own() -> None:
    x, state, end = tensor("x", 8), tensor("state_out_h", 8, "float32"), tensor("restored", 8)
    steps = fuse(
        [layer("Cast", [x], state), layer("Conv", [state], end, macs_per_output=72)], "gpu", SIZE
    )
    assert [moved(step)[1] for step in steps] == [["state_out_h"], ["restored"]]


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-cpu"])
@pytest.mark.parametrize("model", ["edge-n", "edge-s"])
def test_nothing_of_a_shipped_graph_is_lost_and_each_step_can_be_computed(
    model: str, precision: str, kind: str
) -> None:
    bundle = find_model(model)
    layers = bundle.layers_of(bundle.graph(precision)).layers
    steps = fuse(layers, kind, (320, 180))

    assert {one.name for step in steps for one in step.layers} == {one.name for one in layers}
    assert len({step.main.name for step in steps}) == len(steps)
    there = {"frame"}
    for step in steps:
        assert {one.name for one in step.reads} <= there
        there |= {one.name for one in step.writes}
    assert "restored" in there
