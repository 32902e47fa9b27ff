"""This CPU as a device: what its figures are made of, and the shipped probe."""

import onnx
import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.graph_layers import graph_layers
from crispstream.runtime.measure.plan import cpu
from crispstream.runtime.measure.plan.cpu import PROBE, Timed, device_from, scaled
from crispstream.runtime.measure.plan.record import PlannedLayer


def step(
    op: str, precision: str, ms: float | None, macs: int = 0, moved: int = 1_000_000
) -> PlannedLayer:
    return PlannedLayer(op, (op,), op, precision, (), macs, moved, 0.0, 0.0, "memory", ms)


PASSES = [step("Add", "fp32", 0.1), step("Clip", "fp32", 0.05), step("Mul", "fp32", 0.2)]
FP32 = Timed([*PASSES, step("Conv+Relu", "fp32", 2.0, 600_000_000)], 1.0, 3.35)
INT8 = Timed(
    [
        step("Conv+Relu", "fp32", 1.0, 90_000_000, 6_000_000),
        step("Conv+QuantizeLinear", "int8", 1.5, 900_000_000),
        step("Add", "fp32", 0.5),
        step("Add", "fp32", 1.5),
        step("Pad", "fp32", None),
    ],
    2.0,
    6.5,
)
TINY = Timed([step("Add", "fp32", 0.0)] * 20, 0.0, 0.1)


SMALL = {"fp32": FP32, "int8": INT8}
LARGE = {rate: scaled(one.steps, one.added_ms, 2 * one.frame_ms) for rate, one in SMALL.items()}
"""The same work in twice the time."""


def test_rates_are_what_convolutions_reach() -> None:
    device = device_from(SMALL, LARGE, TINY, "A CPU", 16.0)
    # 0.6 GMAC in 2 and in 4 ms; 0.9 GMAC in 1.5 and in 3 ms
    assert device.tera_macs == pytest.approx({"fp32": 0.2, "int8": 0.4})
    assert (device.measured, device.kind, device.memory_gb) == (True, "cpu", 16.0)
    assert "measured on the spot" in device.sources[0]


def test_each_operator_has_the_speed_of_all_its_passes() -> None:
    device = device_from(SMALL, LARGE, TINY, "A CPU", 16.0)
    assert device.passes_gb_per_second == pytest.approx(
        {
            "Add": 10.0, "Clip": 20.0, "Mul": 5.0,
            "Add/int8": 1.0,  # 2 MB in 2 ms
            "Conv/int8": 6.0,  # 6 MB in 1 ms
            "Reorder": 1.0,  # the convolutions' 1 MB in 1 ms of laying out anew
            "Reorder/int8": 3.0,  # 6 MB in 2 ms
        }
    )  # fmt: skip
    small, large = device.passes_gb_per_second, device.large_passes_gb_per_second
    assert large == pytest.approx({name: speed / 2 for name, speed in small.items()})
    assert device.passes_px == (160 * 90, 640 * 360)
    assert device.memory_gb_per_second == 5.0  # the median of what is elementwise and large


def test_what_is_left_of_a_frame_without_work_is_starting_operators() -> None:
    assert device_from(SMALL, LARGE, TINY, "", 1.0).launch_us == pytest.approx(5.0)


def test_times_of_layers_are_made_to_add_up_to_the_frame() -> None:
    timed = scaled(FP32.steps, 1.0, 2 * 3.35)
    assert [one.measured_ms for one in timed.steps] == pytest.approx([0.2, 0.1, 0.4, 4.0])
    assert (timed.added_ms, timed.frame_ms) == pytest.approx((2.0, 6.7))


def test_the_probe_is_whole_and_its_layers_are_those_of_its_graphs() -> None:
    bundle = Bundle.load(PROBE)
    for form in cpu.FORMS.values():
        graph = bundle.graph(form)
        read = graph_layers(
            bundle.graph_bytes(graph),
            onnx.load_model_from_string,
            onnx.shape_inference.infer_shapes,
        )
        assert bundle.layers_of(graph) == read
        assert any(layer.precision == "int8" for layer in read.layers) == (form == "int8-cpu")


@pytest.mark.slow
def test_this_cpu_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "ROUNDS", dict.fromkeys(cpu.ROUNDS, 2))
    monkeypatch.setattr(cpu, "_TINY_ROUNDS", 2)
    device = cpu.measured_cpu()
    assert set(device.tera_macs) == {"fp32", "int8"}
    passes = {"Add", "Cast", "Clip", "DepthToSpace", "Mul", "Pad", "Resize", "Transpose"}
    assert passes <= set(device.passes_gb_per_second)
    assert {f"{op}/int8" for op in (*passes, "Conv", "QuantizeLinear", "Reorder")} <= set(
        device.passes_gb_per_second
    )
    figures = (
        *device.tera_macs.values(),
        *device.passes_gb_per_second.values(),
        *device.large_passes_gb_per_second.values(),
        device.launch_us,
        device.memory_gb_per_second,
    )
    assert all(figure > 0 for figure in figures)
