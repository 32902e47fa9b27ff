"""What a bench refuses before it begins."""

import math
from collections.abc import Sequence

from crispstream.core.errors import UsageError
from crispstream.core.pixels import Bytes
from crispstream.core.registry import did_you_mean
from crispstream.core.sizes import size_text

from .pace import FASTEST_FPS, LONGEST_IDLE_MS, SLOWEST_FPS
from .record import SCOPES, Settings
from .statistics import least_pairs
from .subjects import Subject


def check_settings(settings: Settings) -> None:
    """Refuse what could not be measured, in the words of the command's options.

    Raises:
        UsageError: naming the value and what is possible.
    """
    if settings.iterations < 1:
        raise UsageError(
            f"--iterations {settings.iterations} times no frame; give 1 or more, or leave it out"
        )
    if not 0 < settings.seconds < math.inf:
        raise UsageError(
            f"--seconds {settings.seconds:g} leaves no time to measure; give more than 0, such as "
            "20"
        )
    if settings.block < 1:
        raise UsageError(f"a block of {settings.block} frames gives nobody a turn; give 1 or more")
    for option, value in (("--warm-up-ms", settings.warm_up_ms), ("--idle-ms", settings.idle_ms)):
        if not 0 <= value <= LONGEST_IDLE_MS:
            raise UsageError(
                f"{option} {value:g} cannot be waited for; give 0 to {LONGEST_IDLE_MS:.0f} "
                "milliseconds, an hour"
            )
    for option, given in (
        ("--paced-fps", settings.paced_fps),
        ("--deadline-ms", settings.deadline_ms),
    ):
        if given is not None and not 0 < given < math.inf:
            raise UsageError(f"{option} {given:g} cannot be kept; give more than 0, such as 30")
    if settings.paced_fps is not None and not SLOWEST_FPS <= settings.paced_fps <= FASTEST_FPS:
        raise UsageError(
            f"--paced-fps {settings.paced_fps:g} is no camera's rate; give one frame an hour "
            f"({SLOWEST_FPS:.6f}) to {FASTEST_FPS:,.0f} a second"
        )
    if settings.paced_fps is not None and settings.idle_ms:
        raise UsageError(
            "--idle-ms is for frames that follow each other, and with --paced-fps a camera's rate "
            "tells when they come; leave one of the two out"
        )
    least_pairs(settings.confidence)


def check_subjects(
    subjects: Sequence[Subject], frames: Sequence[Bytes], scopes: Sequence[str], settings: Settings
) -> None:
    """Refuse a bench of nothing, and what the record could not tell apart.

    Raises:
        UsageError: without subjects, frames or scopes; for a name that is there twice, a scope that
            is none of `SCOPES`, or a frame of another size than `settings` tells.
    """
    names = [subject.name for subject in subjects]
    if not names:
        raise UsageError("there is nothing to measure; name a bundle, such as edge-n")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"'{twice}' would be measured twice; name each variant once")
    if not frames or not scopes:
        raise UsageError("there is nothing to measure; give one frame and one scope at least")
    for scope in scopes:
        if scope not in SCOPES:
            raise UsageError(
                f"there is no scope '{scope}'; {did_you_mean(scope, list(SCOPES))}choose from: "
                f"{', '.join(SCOPES)}"
            )
    other = {(frame.shape[1], frame.shape[0]) for frame in frames} - {settings.size}
    if other:
        raise UsageError(
            f"a frame is of {size_text(other.pop())} px, and {size_text(settings.size)} px are to "
            "be measured; resize the frames, or give their size"
        )
