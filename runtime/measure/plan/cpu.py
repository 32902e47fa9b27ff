"""This CPU, measured on the spot: what layers like ours reach on it, in about three seconds.

The probe is a small bundle (examples/make_probe_graphs.py) with the operators and channel counts of
the edge family. ONNX Runtime's own profiler times its layers, in a session with the same options
as a stream's, on every core that the process may use.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crispstream.core.bundle import Bundle
from crispstream.core.sizes import Size, size_text
from crispstream.runtime.engine.available import CPU
from crispstream.runtime.measure.host import host_facts
from crispstream.runtime.measure.profiling.layers import profile_layers

from .profiled import with_times
from .record import Device, PlannedLayer
from .roofline import REORDER, pass_name, plan_layers, reordered_bytes

PROBE = Path(__file__).parent / "probe"
SMALL: Size = (160, 90)
LARGE: Size = (640, 360)
"""Frames of which caches hold most tensors, and of which they do not."""

ROUNDS = {SMALL: 15, LARGE: 5}
FORMS = {"fp32": "fp32", "int8": "int8-cpu"}
"""What a rate is of -> graph of the probe that tells it."""

_TINY: Size = (16, 16)
_TINY_ROUNDS = 60
_ELEMENTWISE = ("Add", "Clip", "Mul")
_BLANK = Device("cpu", "", {"fp32": 1.0}, 1.0, 1.0, 1.0, (), kind="cpu")


@dataclass(frozen=True)
class Timed:
    """The probe's steps with their times."""

    steps: Sequence[PlannedLayer]
    added_ms: float
    """Of what ONNX Runtime adds, for the sake of its convolutions: other layouts of pixels."""
    frame_ms: float
    """A whole frame, without timing its layers."""


def measured_cpu() -> Device:
    """Measure this CPU.

    Raises:
        BundleError: if the probe's files are damaged.
        EngineError: if ONNX Runtime cannot run them.
    """
    bundle = Bundle.load(PROBE)
    small, large = (
        {rate: _timed(bundle, form, size, ROUNDS[size]) for rate, form in FORMS.items()}
        for size in (SMALL, LARGE)
    )
    tiny = _timed(bundle, FORMS["fp32"], _TINY, _TINY_ROUNDS)
    host = host_facts()
    onnxruntime = f"ONNX Runtime {host.packages['onnxruntime']}"
    title = f"{host.processor}, {host.cores} cores, {onnxruntime}"
    return device_from(small, large, tiny, title, _memory_gb())


def device_from(
    small: Mapping[str, Timed],
    large: Mapping[str, Timed],
    tiny: Timed,
    title: str,
    memory_gb: float,
) -> Device:
    """Return the device that such times describe.

    Args:
        small: rate -> the probe in the graph that tells it, on frames of SMALL.
        large: likewise, of LARGE.
        tiny: the probe on a frame with next to no work: what is left is starting operators.
        title: of the machine.
        memory_gb: that it has.
    """
    passes, large_passes = _passes(small), _passes(large)
    return Device(
        name="cpu",
        title=title,
        tera_macs={rate: _rate((small[rate], large[rate]), rate) for rate in small},
        memory_gb_per_second=statistics.median(large_passes[op] for op in _ELEMENTWISE),
        memory_gb=memory_gb,
        launch_us=1e3 * tiny.frame_ms / len(tiny.steps),
        sources=(
            f"measured on the spot: {ROUNDS[SMALL]} frames of {size_text(SMALL)} px and "
            f"{ROUNDS[LARGE]} of {size_text(LARGE)} px of the kit's probe graphs; medians of their "
            "layers by ONNX Runtime's profiler, scaled to the frame's median without it",
        ),
        measured=True,
        kind="cpu",
        passes_gb_per_second=passes,
        large_passes_gb_per_second=large_passes,
        passes_px=(SMALL[0] * SMALL[1], LARGE[0] * LARGE[1]),
    )


def _passes(forms: Mapping[str, Timed]) -> dict[str, float]:
    """Return the 10^9 bytes a second of each operator that only goes over memory.

    In the INT8 graph of floating-point convolutions too, which read three planes there. What ONNX
    Runtime adds to lay pixels out for convolutions and back counts by what those in floating point
    read and write.
    """
    moved: dict[str, int] = defaultdict(int)
    spent_ms: dict[str, float] = defaultdict(float)
    for rate, timed in forms.items():
        for step in timed.steps:
            if step.measured_ms and (not step.macs or step.precision != rate):
                name = pass_name(step.op.partition("+")[0], in_int8=rate == "int8")
                moved[name] += step.bytes
                spent_ms[name] += step.measured_ms
        if timed.added_ms:
            name = pass_name(REORDER, in_int8=rate == "int8")
            moved[name], spent_ms[name] = reordered_bytes(timed.steps), timed.added_ms
    return {name: 1e-6 * moved[name] / spent_ms[name] for name in moved}


def _rate(sizes: Sequence[Timed], precision: str) -> float:
    """Return the 10^12 multiply-accumulates a second of the convolutions of a precision."""
    steps = [step for timed in sizes for step in timed.steps]
    products = [step for step in steps if step.macs and step.precision == precision]
    spent_ms = sum(step.measured_ms or 0.0 for step in products)
    return 1e-9 * sum(step.macs for step in products) / spent_ms


def scaled(steps: Sequence[PlannedLayer], added_ms: float, frame_ms: float) -> Timed:
    """Return times of layers such that they add up to the frame's own time.

    The profiler takes time itself, and on a busy machine a whole frame is interrupted more often
    than most of its layers are.
    """
    by = frame_ms / (sum(step.measured_ms or 0.0 for step in steps) + added_ms)
    longer = (replace(step, measured_ms=by * (step.measured_ms or 0.0)) for step in steps)
    return Timed(tuple(longer), by * added_ms, frame_ms)


def _timed(bundle: Bundle, form: str, size: Size, rounds: int) -> Timed:
    graph = bundle.graph(form)
    width, height = size
    noise_hwc = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    profile = profile_layers(
        bundle,
        graph,
        backend=CPU,
        threads=None,
        width=width,
        height=height,
        frames=[noise_hwc],
        rounds=rounds,
    )
    planned = plan_layers(bundle.layers_of(graph), _BLANK, width, height)
    steps, added_ms = with_times(planned, profile.layers)
    return scaled(steps, added_ms, profile.plain_ms)


def _memory_gb() -> float:
    """Return the machine's memory in 10^9 bytes; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return 0.0
