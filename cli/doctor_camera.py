"""`crispstream doctor --output-size`: the cameras, their modes, and the one to take."""

import json as json_text
from typing import TYPE_CHECKING

import typer

from crispstream.core.sizes import Size, parse_size, size_text

if TYPE_CHECKING:
    from crispstream.runtime.doctor.camera_modes import Camera

_NONE = (
    "no camera is known to this machine's kernel; plug one in, or start the container with "
    "--device /dev/video0 (cameras on a Jetson's CSI ports are csi://0, and take every size)"
)


def show_camera_modes(output_size_text: str, json: bool) -> None:
    """Print each camera's modes, and the mode to take for an output of this size.

    Raises:
        UsageError: if the size is none.
    """
    from crispstream.runtime.doctor.camera_modes import as_json, find_cameras

    output = parse_size(output_size_text)
    found = find_cameras()
    if json:
        cameras = [as_json(camera, output) for camera in found]
        typer.echo(json_text.dumps({"output_size": size_text(output), "cameras": cameras}))
        return
    for camera in found:
        _print(camera, output)
    if not found:
        typer.echo(_NONE)


def _print(camera: "Camera", output: Size) -> None:
    from crispstream.runtime.doctor.camera_modes import suggest
    from crispstream.runtime.stream.sources.v4l2_modes import modes_text

    typer.echo(f"{camera.device}  {camera.name}")
    if camera.trouble:
        typer.echo(f"  {camera.trouble}")
        return
    for pixel_format in dict.fromkeys(mode.pixel_format for mode in camera.modes):
        modes = [mode for mode in camera.modes if mode.pixel_format == pixel_format]
        typer.echo(f"  {pixel_format:<6}{modes_text(modes)}")
    for pixel_format in camera.unread:
        typer.echo(f"  {pixel_format:<6}cannot be read here")
    suggestion = suggest(camera.modes, output)
    typer.echo(f"  for {size_text(output)}: {suggestion.reason}")
    for note in suggestion.notes:
        typer.echo(f"    {note}")
    if suggestion.mode is not None:
        typer.echo(f"    {suggestion.command(camera.device, output)}")
