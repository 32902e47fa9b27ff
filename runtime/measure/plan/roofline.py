"""The least time that each step of a graph can take on a device.

A step takes no less than its arithmetic at the device's rate, nor than its bytes at the memory's,
nor than starting it: the roofline model (Williams, Waterman and Patterson, "Roofline: an insightful
visual performance model for multicore architectures", CACM 52(4), 2009), with a floor for kernels.
"""

from collections.abc import Iterator, Sequence
from math import log

from crispstream.core.layers import GraphLayers, Tensor, sized
from crispstream.core.sizes import Size
from crispstream.core.tensors import FRAME, RESTORED

from .fusing import Step, fuse, tensor_bytes
from .record import Device, PlannedLayer

SLOTS = 4
"""Pairs of frame buffers that a restorer holds by default: two frames in flight, two handed out."""

ADDED = "(added by the engine)"
"""Step of what no node asks for, where it was measured: laying pixels out for convolutions."""
REORDER = "Reorder"
"""Its operator."""

_WIDER = {"int8": ("int8", "fp16", "fp32"), "fp16": ("fp16", "fp32")}
"""What computes a precision for which a device has no rate."""


def plan_layers(
    layers: GraphLayers, device: Device, width: int, height: int
) -> tuple[PlannedLayer, ...]:
    """Return the steps of a graph with their roofs on a device, in order.

    Args:
        layers: of the graph.
        device: see `find_device`.
        width: of the frames after padding, px.
        height: likewise.

    Raises:
        ValueError: if the graph cannot take that size.
    """
    in_int8 = any(layer.precision == "int8" for layer in layers.layers)
    steps = fuse(layers.layers, device.kind, (width, height))
    planned = [_planned(step, device, (width, height), in_int8=in_int8) for step in steps]
    return (*planned, *_added(planned, device, (width, height), in_int8=in_int8))


def reordered_bytes(steps: Sequence[PlannedLayer]) -> int:
    """Return what floating-point convolutions read and write, by which reorders are counted."""
    return sum(step.bytes for step in steps if step.macs and step.precision != "int8")


def _added(
    steps: Sequence[PlannedLayer], device: Device, size: Size, *, in_int8: bool
) -> Iterator[PlannedLayer]:
    """Yield the step of what the engine adds, if the device tells its speed."""
    moved, name = reordered_bytes(steps), pass_name(REORDER, in_int8=in_int8)
    if moved and name in device.passes_gb_per_second:
        roof_ms = 1e-6 * moved / _measured_speed(device, name, size)
        yield PlannedLayer(ADDED, (), REORDER, "other", (), 0, moved, 0.0, roof_ms, "memory")


def _planned(step: Step, device: Device, size: tuple[int, int], *, in_int8: bool) -> PlannedLayer:
    parts = [sized(layer, *size) for layer in step.layers]
    macs = sum(part.macs for part in parts)
    moved = step_bytes(step, *size)
    roofs = {
        "compute": 1e-9 * macs / macs_rate(device, step.main.precision),
        "memory": 1e-6 * moved / pass_speed(device, step, size, in_int8=in_int8),
        "launch": 1e-3 * device.launch_us,
    }
    bound = max(roofs, key=lambda name: roofs[name])
    return PlannedLayer(
        name=step.main.name,
        nodes=tuple(layer.name for layer in step.layers),
        op="+".join(dict.fromkeys(_told_ops(step))),
        precision=step.main.precision,
        shape=parts[-1].shape,
        macs=macs,
        bytes=moved,
        intensity=macs / moved if moved else 0.0,
        roof_ms=roofs[bound],
        bound=bound,
    )


def _told_ops(step: Step) -> list[str]:
    """Return the operators of a step without the conversions before it."""
    begin = step.layers.index(step.main)
    return [layer.op for layer in step.layers[begin:]]


def macs_rate(device: Device, precision: str) -> float:
    """Return the 10^12 multiply-accumulates a second with which a precision is computed."""
    wider = _WIDER.get(precision, ("fp32",))
    return next(device.tera_macs[one] for one in wider if one in device.tera_macs)


def pass_speed(device: Device, step: Step, size: Size, *, in_int8: bool) -> float:
    """Return the 10^9 bytes a second at which a step's bytes move, on frames of a size in px.

    `in_int8`: whether the graph has INT8 layers, in which ONNX Runtime lays pixels out otherwise.
    """
    if step.main.precision == "int8" and not step.is_pass:
        return device.memory_gb_per_second
    return _measured_speed(device, pass_name(step.main.op, in_int8=in_int8), size)


def _measured_speed(device: Device, name: str, size: Size) -> float:
    """Return the speed of an operator's passes: between small and large frames, by log of px."""
    small = device.passes_gb_per_second.get(name, device.memory_gb_per_second)
    large = device.large_passes_gb_per_second.get(name, small)
    least_px, most_px = device.passes_px
    if not 0 < least_px < most_px:
        return small
    share = log(size[0] * size[1] / least_px) / log(most_px / least_px)
    share = min(1.0, max(0.0, share))
    return float(small ** (1 - share) * large**share)


def pass_name(op: str, *, in_int8: bool) -> str:
    """Return the key of an operator in `Device.passes_gb_per_second`."""
    return f"{op}/int8" if in_int8 else op


def step_bytes(step: Step, width: int, height: int) -> int:
    """Return the bytes that a step moves: tensors read and written, and its weights, once."""
    tensors = sum(tensor_bytes(tensor, width, height) for tensor in (*step.reads, *step.writes))
    return tensors + sum(layer.weight_bytes for layer in step.layers)


def memory_mb(layers: GraphLayers, device: Device, width: int, height: int) -> dict[str, float]:
    """Return what a graph holds on a device, in 10^6 bytes.

    `weights`; `activations`: the most that are alive at once, in order of execution; `frames`: the
    buffers of SLOTS frames and their results. An engine's own workspace, and what the CUDA context
    takes, come on top.
    """
    frame_bytes = width * height * 3
    amounts = {
        "weights": sum(layer.weight_bytes for layer in layers.layers),
        "activations": _most_alive(
            fuse(layers.layers, device.kind, (width, height)), width, height
        ),
        "frames": SLOTS * (frame_bytes + 16 * frame_bytes),
    }
    return {name: amount / 1e6 for name, amount in amounts.items()}


def _most_alive(steps: Sequence[Step], width: int, height: int) -> int:
    """Return the most bytes of tensors between steps that are held at once."""
    last_use: dict[str, int] = {}
    first_use: dict[str, int] = {}
    tensors: dict[str, Tensor] = {}
    for place, step in enumerate(steps):
        for tensor in (*step.reads, *step.writes):
            first_use.setdefault(tensor.name, place)
            last_use[tensor.name] = place
            tensors[tensor.name] = tensor
    held = [name for name in tensors if name not in (FRAME, RESTORED)]
    return max(
        (
            sum(
                tensor_bytes(tensors[name], width, height)
                for name in held
                if first_use[name] <= place <= last_use[name]
            )
            for place in range(len(steps))
        ),
        default=0,
    )
