"""What a reader of a bench must know beside its figures."""

from collections.abc import Iterator

from .record import Settings
from .running import Competitor, Running
from .statistics import least_pairs

LEAST_WARM_UP_MS = 200.0
"""As trtexec's --warmUp."""
_LONGER = 1.5
"""Times the seconds that were asked for, from which on it is told."""
_BY_THE_HOST = "onnxruntime-cuda"
"""Backend that works on a GPU and has no clock there."""


def notes_of(
    running: Running, settings: Settings, took_seconds: float, *, stopped: bool
) -> Iterator[str]:
    """Give the notes of a run whose rounds took so long."""
    enough = least_pairs(settings.confidence)
    if stopped:
        yield f"stopped after {took_seconds:.1f} of {settings.seconds:g} s"
    if running.rounds < enough:
        yield (
            f"{running.rounds} rounds are too few to compare variants with a confidence of "
            f"{100 * settings.confidence:g} %, which takes {enough}"
        )
    elif took_seconds > _LONGER * settings.seconds:
        yield (
            f"it took {took_seconds:.1f} s instead of {settings.seconds:g}, for "
            f"{settings.iterations} frames of each variant and scope and at least {enough} rounds, "
            "which a comparison needs"
        )
    if settings.warm_up_ms < LEAST_WARM_UP_MS:
        yield (
            f"each variant ran {settings.warm_up_ms:g} ms before it was timed; below "
            f"{LEAST_WARM_UP_MS:g} ms clocks and caches may not be what they are in a stream"
        )
    for competitor in running.competitors:
        yield from _of_variant(competitor, settings)


def _of_variant(competitor: Competitor, settings: Settings) -> Iterator[str]:
    name = competitor.subject.name
    for scope, track in competitor.tracks.items():
        overrun = track.overrun
        if overrun is not None and overrun.missed:
            yield (
                f"{name}, {scope}: {overrun.missed} of {overrun.of} frames took longer than the "
                f"{overrun.deadline_ms:.1f} ms until a camera's next at {settings.paced_fps:g} "
                "frames/s, which was skipped"
            )
    if "engine" in competitor.tracks and competitor.subject.backend == _BY_THE_HOST:
        yield (
            f"{name}: ONNX Runtime tells no time of the GPU, so that the time of its engine is the "
            "host's around the call, which holds both copies"
        )
    on_device = competitor.subject.restorer.device_latencies
    if on_device is not None and "whole" in on_device.stages and on_device["whole"].count:
        yield (
            f"{name}: each frame is one CUDA graph, so that the time of its engine holds the "
            "copies too, unless the GPU works in the computer's own memory"
        )
