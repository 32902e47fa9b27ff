"""The cameras of this machine, their modes, and the mode to take for a wanted output."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from crispstream.core.errors import first_line
from crispstream.core.pixels import SCALE
from crispstream.core.sizes import Size, size_text
from crispstream.runtime.stream.sources.v4l2_device import SYSTEM, Device, Mode, System
from crispstream.runtime.stream.sources.v4l2_found import cameras, explained
from crispstream.runtime.stream.sources.v4l2_modes import best_mode, usable

_SAME_ASPECT = 0.01
"""Aspects that differ by less look alike: 1366x768 counts as 16:9."""


@dataclass(frozen=True)
class Camera:
    """One device that the kernel knows as a camera."""

    device: str
    """"/dev/video0"."""
    name: str
    modes: tuple[Mode, ...] = ()
    """Those whose pictures can be read here."""
    unread: tuple[str, ...] = ()
    """The pixel formats that cannot be read."""
    trouble: str = ""
    """Why it tells no modes."""


@dataclass(frozen=True)
class Suggestion:
    """What to set a camera to for a wanted output."""

    mode: Mode | None
    """None without any mode."""
    reason: str
    notes: tuple[str, ...] = ()
    """What else there is to know of it."""

    def command(self, device: str, output: Size) -> str:
        """Return the line to type."""
        if self.mode is None:
            return ""
        mode, words = self.mode, ["crispstream run", f"v4l2://{device}", "restored.mp4"]
        words.append(f"--input-size {mode.width}x{mode.height}")
        if mode.frames_per_second:
            words.append(f"--input-fps {float(mode.frames_per_second):g}")
        if (mode.width * SCALE, mode.height * SCALE) != output:
            words.append(f"--output-size {size_text(output)}")
        return " ".join(words)


def find_cameras(
    system: System = SYSTEM, known: Callable[[], Mapping[str, str]] = cameras
) -> list[Camera]:
    """Return the cameras that give pictures, and those that may not be asked."""
    found = [_asked(device, name, system) for device, name in known().items()]
    return [camera for camera in found if camera is not None]


def _asked(device: str, name: str, system: System) -> Camera | None:
    """Return what a camera says; None for the devices beside one that give no pictures."""
    try:
        opened = Device(device, system)
    except OSError as error:
        return Camera(device, name, trouble=explained(device, error))
    try:
        name, captures = opened.name_and_whether_it_captures()
        if not captures:
            return None
        modes = opened.modes()
    except OSError as error:
        return Camera(device, name, trouble=first_line(error))
    finally:
        opened.close()
    fit = usable(modes)
    formats = {mode.pixel_format for mode in modes} - {mode.pixel_format for mode in fit}
    return Camera(device, name, tuple(fit), tuple(sorted(formats)))


def suggest(modes: Sequence[Mode], output: Size) -> Suggestion:
    """Return the smallest mode that, enlarged 4 times, covers the output and has its aspect.

    Where no mode has the aspect the smallest that covers it, where none covers it the largest.
    """
    if not modes:
        return Suggestion(None, "the camera offers no mode that can be read here")
    sizes = sorted(
        {(mode.width, mode.height) for mode in modes}, key=lambda size: size[0] * size[1]
    )
    size, reason = _size_for(sizes, output)
    notes = []
    if any(width >= output[0] and height >= output[1] for width, height in sizes):
        notes.append(
            f"the camera gives {size_text(output)} or more by itself: if those pictures are "
            "sharp, they need no restoring to that size"
        )
    mode = best_mode(modes, size, None)
    if mode is not None and mode.pixel_format in ("MJPG", "JPEG"):
        notes.append("at this size only MJPEG is fluent, whose artefacts are restored as well")
    return Suggestion(mode, reason, tuple(notes))


def _size_for(sizes: Sequence[Size], output: Size) -> tuple[Size, str]:
    """Return one of the sizes, smallest first, and why."""
    covering = [size for size in sizes if _covers(size, output)]
    for size in covering:
        if _same_aspect(size, output):
            enlarged = size_text((size[0] * SCALE, size[1] * SCALE))
            return size, f"the smallest that becomes {size_text(output)} or more: {enlarged}"
    if covering:
        return covering[0], (
            f"no mode of this aspect becomes {size_text(output)}, so there will be bars at two "
            "sides; choose a part of the frame with --roi to fill it"
        )
    return sizes[-1], (
        f"the largest, and still too small: {SCALE} times as large it is "
        f"{sizes[-1][0] * SCALE}x{sizes[-1][1] * SCALE}"
    )


def _covers(size: Size, output: Size) -> bool:
    return size[0] * SCALE >= output[0] and size[1] * SCALE >= output[1]


def _same_aspect(size: Size, other: Size) -> bool:
    return abs(Fraction(size[0] * other[1], size[1] * other[0]) - 1) < _SAME_ASPECT


def as_json(camera: Camera, output: Size) -> dict[str, Any]:
    """Return what machines read of a camera and the mode suggested."""
    suggestion = suggest(camera.modes, output)
    return {
        "device": camera.device,
        "name": camera.name,
        "trouble": camera.trouble,
        "modes": [_mode_json(mode) for mode in camera.modes],
        "suggested": None if suggestion.mode is None else _mode_json(suggestion.mode),
        "reason": suggestion.reason,
        "notes": list(suggestion.notes),
        "command": suggestion.command(camera.device, output),
    }


def _mode_json(mode: Mode) -> dict[str, Any]:
    rate = mode.frames_per_second
    return {
        "size": f"{mode.width}x{mode.height}",
        "frames_per_second": None if rate is None else float(rate),
        "pixel_format": mode.pixel_format,
    }
