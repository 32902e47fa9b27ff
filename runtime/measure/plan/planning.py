"""From a bundle and a device to a plan, with the times of a profile where there is one."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import UsageError
from crispstream.core.sizes import Size, size_text
from crispstream.runtime.measure.host import host_facts
from crispstream.runtime.measure.profiling.record import ProfileRecord

from .profiled import check_device, layers_for, whose, with_times
from .record import Device, PlannedLayer, PlanRecord
from .roofline import memory_mb, plan_layers
from .sustained import UNTOLD, expected_share, padded, sustained

DEFAULT_SIZE: Size = (320, 180)
BACKENDS = {"gpu": "tensorrt", "cpu": "onnxruntime"}
"""Kind of device -> what would run the graph there."""

_ROOF = (
    "A roof is a lower bound: no engine that fuses as docs/plan.md tells takes less. Tensors are "
    "counted as going to memory; where a large L2 cache keeps them, steps bound by memory can be "
    "faster."
)
_SHARE = (
    "The expected rates take {:.0f} % of the roof: an assumption, until crispstream bench has run "
    "on the device. Copies to and from it, decoding and encoding come on top."
)
_MEASURED = (
    "Rates were measured on this CPU a moment ago, so the plan is an estimate of what it takes, "
    "no lower bound. Decoding and encoding come on top."
)


def plan(
    bundle: Bundle,
    graph: Graph,
    device: Device,
    size: Size | None = None,
    *,
    beside: Sequence[Bundle] = (),
    profile: ProfileRecord | None = None,
    profile_name: str = "",
) -> PlanRecord:
    """Return the plan of a graph on a device.

    Args:
        bundle: the model.
        graph: which of its graphs.
        device: see `find_device`.
        size: (width, height) of the frames, px; by default the bundle's own, or DEFAULT_SIZE.
        beside: other bundles to tell the sustained rates of.
        profile: of the same graph at the same size, for measured times.
        profile_name: what to call it.

    Raises:
        UsageError: if the graph takes frames of another size only, or the profile is of something
            else: another graph, size or device.
        BundleError: if the bundle has no layers.json.
    """
    frame = _size(bundle, size)
    layers = bundle.layers_of(graph)
    taken = padded(bundle, frame)
    steps = plan_layers(layers, device, *taken)
    notes = [_MEASURED] if device.measured else [_ROOF, _SHARE.format(100 * expected_share(device))]
    if profile is not None:
        check_device(profile, device, host_facts())
        steps, elsewhere_ms = _with_profile(bundle, graph, taken, steps, profile)
        notes += [*filter(None, [whose(profile, device)]), *_elsewhere(elsewhere_ms)]
    memory = memory_mb(layers, device, *taken)
    return PlanRecord(
        model=bundle.name,
        precision=graph.precision,
        graph_sha256=graph.sha256,
        size=taken,
        device=device,
        layers=steps,
        macs=sum(step.macs for step in steps),
        bytes=sum(step.bytes for step in steps),
        roof_ms=sum(step.roof_ms for step in steps),
        expected_share=expected_share(device),
        memory_mb=memory,
        sustained=sustained(_told(bundle, beside), device),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        profile=profile_name,
        notes=(*notes, UNTOLD, *_doubts(device, steps, memory)),
    )


def _size(bundle: Bundle, size: Size | None) -> Size:
    fixed = bundle.frame_size
    if fixed is not None and size not in (None, fixed):
        raise UsageError(
            f"{bundle.name} takes frames of {size_text(fixed)} px only, and {size_text(size)} px "
            f"was asked for; leave out --size, or export it for that size"
        )
    return size or fixed or DEFAULT_SIZE


def _with_profile(
    bundle: Bundle,
    graph: Graph,
    size: Size,
    steps: Sequence[PlannedLayer],
    profile: ProfileRecord,
) -> tuple[tuple[PlannedLayer, ...], float]:
    found = layers_for(
        profile,
        model=bundle.name,
        precision=graph.precision,
        graph_sha256=graph.sha256,
        size=size,
    )
    return with_times(steps, found.layers)


def _elsewhere(elsewhere_ms: float) -> list[str]:
    if not elsewhere_ms:
        return []
    return [
        f"{elsewhere_ms:.3f} ms of the profile belong to no single step: what the engine joined "
        "further than planned, or added itself, such as changes of layout."
    ]


def _told(bundle: Bundle, beside: Sequence[Bundle]) -> list[Bundle]:
    """Return the bundles to tell the rates of, the planned one first, each once."""
    others = [other for other in beside if other.graphs != bundle.graphs]
    return [bundle, *others] if len(others) == len(beside) else list(beside)


def _doubts(
    device: Device, steps: Sequence[PlannedLayer], memory: Mapping[str, float]
) -> Iterator[str]:
    """Say what makes the plan less than it seems."""
    lacking = {step.precision for step in steps if step.macs} - set(device.tera_macs)
    for precision in sorted(lacking):
        yield (
            f"{device.name} has no rate of {precision}: such layers count at the next wider "
            "precision's."
        )
    needed_gb = sum(memory.values()) / 1e3
    if 0 < device.memory_gb < needed_gb:
        yield (
            f"It needs {needed_gb:.1f} GB and {device.name} has {device.memory_gb:g}: cut the "
            "frames into tiles (crispstream run --tile)."
        )
