"""What a profile measured, beside what a plan worked out."""

from collections.abc import Sequence
from dataclasses import replace

from crispstream.core.errors import UsageError
from crispstream.core.sizes import Size, size_text
from crispstream.runtime.engine.available import CPU, CUDA
from crispstream.runtime.engine.native import FLAVOURS
from crispstream.runtime.measure.host import Host
from crispstream.runtime.measure.profiling.record import LayerProfile, LayerTime, ProfileRecord

from .record import Device, PlannedLayer
from .roofline import ADDED

_KINDS = dict.fromkeys((*FLAVOURS, CUDA), "gpu") | dict.fromkeys((CPU, f"{CPU}-cpu"), "cpu")
"""Backend, as it is chosen and as it calls itself -> kind of device that it runs on."""


def with_times(
    planned: Sequence[PlannedLayer], timed: Sequence[LayerTime]
) -> tuple[tuple[PlannedLayer, ...], float]:
    """Return the steps of a plan with the times that a profile measured of them.

    A layer of the engine belongs to the step whose name is among its nodes. Where it holds the
    names of several, the engine joined them, and none of them has a time of its own; where it
    holds none, such as an activation that was not fused, to the step that has its first node. What
    has no nodes the engine added: to the step without nodes, where there is one.

    Args:
        planned: of the same graph.
        timed: layers of the engine; medians are taken, which a moment of the machine does not move.

    Returns:
        The steps, and the milliseconds of what belongs to no single one: layers that the engine
        joined, and what it added by itself, such as reorders.
    """
    names = {layer.name: place for place, layer in enumerate(planned)}
    places = {node: place for place, layer in enumerate(planned) for node in layer.nodes}
    measured: dict[int, float] = {}
    joined: set[int] = set()
    elsewhere_ms = 0.0
    for layer in timed:
        own = {names[node] for node in layer.nodes or (ADDED,) if node in names}
        own = own or {places[node] for node in layer.nodes[:1] if node in places}
        if len(own) == 1:
            place = own.pop()
            measured[place] = measured.get(place, 0.0) + layer.spread.median_ms
        else:
            joined |= own
            elsewhere_ms += layer.spread.median_ms
    elsewhere_ms += sum(measured.pop(place, 0.0) for place in joined)
    timed_steps = (_timed(layer, measured.get(place)) for place, layer in enumerate(planned))
    return tuple(timed_steps), elsewhere_ms


def _timed(layer: PlannedLayer, measured_ms: float | None) -> PlannedLayer:
    if not measured_ms:
        return layer
    return replace(layer, measured_ms=measured_ms, achieved=layer.roof_ms / measured_ms)


def check_device(profile: ProfileRecord, device: Device, here: Host) -> None:
    """Refuse a profile that cannot be of the device that is planned.

    Which GPU it was of is told by `whose`: names of drivers and of data sheets differ too much to
    be compared.

    Args:
        profile: as read from its file.
        device: that is planned.
        here: this machine, whose CPU a measured device is.

    Raises:
        UsageError: if it is of a device of another kind, or of another CPU than the measured one.
    """
    backend = str(profile.run.get("backend", ""))
    kind = _KINDS.get(backend, device.kind)
    if kind != device.kind:
        there = "--device cpu, on the machine of the profile" if kind == "cpu" else "its GPU"
        raise UsageError(
            f"the profile is of a {kind.upper()} ({backend} on {_machine(profile.host, kind)}), "
            f"and {device.title} is a {device.kind.upper()}: their times have nothing in common; "
            f"plan {there}, or profile on {device.title}: crispstream profile SOURCE"
        )
    ours, theirs = (f"{host.processor}, {host.cores} cores" for host in (here, profile.host))
    if device.measured and ours != theirs:
        raise UsageError(
            f"the profile is of another CPU ({theirs}) than this one ({ours}), which the estimate "
            "is of; plan on the machine of the profile, or profile here: crispstream profile SOURCE"
        )


def whose(profile: ProfileRecord, device: Device) -> str:
    """Return a note that tells what the profile was of, for people to compare with the plan's."""
    if device.measured:
        return ""
    return (
        f"The profile is of {_machine(profile.host, device.kind)}, the roofs are of {device.title}:"
        " shares are right only if that is the same, in the same power mode."
    )


def _machine(host: Host, kind: str) -> str:
    if kind == "cpu":
        return host.processor
    driver = f", driver {host.driver}" if host.driver else ""
    return f"{host.gpu}{driver}" if host.gpu else "a GPU that it does not name"


def layers_for(
    profile: ProfileRecord, *, model: str, precision: str, graph_sha256: str, size: Size
) -> LayerProfile:
    """Return the layer times of a profile, if it is of the graph and size that is planned.

    Args:
        profile: as read from its file.
        model: that is planned, for messages.
        precision: likewise.
        graph_sha256: of the graph that is planned.
        size: (width, height) of the frames after padding, px.

    Raises:
        UsageError: if it is of something else, or has no times of layers.
    """
    ran = " ".join(str(profile.run[key]) for key in ("model", "precision") if key in profile.run)
    if profile.graph_sha256 != graph_sha256:
        raise UsageError(
            f"the profile is of {ran or 'another model'} (graph "
            f"{profile.graph_sha256[:12] or 'none'}), and {model} {precision} (graph "
            f"{graph_sha256[:12]}) is planned; plan the bundle and --precision that were profiled, "
            "or profile this one: crispstream profile"
        )
    if profile.size != size:
        raise UsageError(
            f"the profile is of frames of {size_text(profile.size)} px and {size_text(size)} px is "
            f"planned; add --size {size_text(profile.size)}, or profile a source of that size"
        )
    if profile.layers is None:
        raise UsageError(
            "the profile has no times of layers; make it again without --no-layers: crispstream "
            "profile SOURCE"
        )
    return profile.layers
