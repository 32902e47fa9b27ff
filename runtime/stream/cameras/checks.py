"""What a file of cameras asks for is looked at before anything starts; faults keep their line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from crispstream.core.errors import CrispstreamError, UsageError
from crispstream.core.uris import masked
from crispstream.runtime.engine.models import find_model, shipped_names
from crispstream.runtime.stream.ladder.rungs import AUTO, BICUBIC
from crispstream.runtime.stream.sink import SinkOptions, check_options

from .addresses import refuse_unknown_source, target
from .camera import LADDER_OFF, Camera, CamerasConfig
from .keys import KEYS, SINK


def checked(config: CamerasConfig) -> CamerasConfig:
    """Return the config with its models found.

    Raises:
        UsageError: with file and line, if a model or a kind of source or sink is unknown, two
            outputs are one, a budget is missing, or no sink of a camera can obey an option.
    """
    owners: dict[str, str] = {}
    for camera in config.cameras:
        _check_budget(config, camera)
        _check_addresses(config, camera, owners)
        _check_sink_options(config, camera)
    return replace(config, cameras=tuple(_with_models(config, each) for each in config.cameras))


def _check_budget(config: CamerasConfig, camera: Camera) -> None:
    wants_ladder = config.lines.has(("camera", camera.name, "ladder"))
    if camera.budget_ms is None:
        for key, needs, what in (
            ("policy", camera.policy == "deadline", "the policy deadline"),
            ("ladder", wants_ladder and camera.ladder != LADDER_OFF, "a ladder"),
        ):
            if needs:
                raise UsageError(
                    f"{config.place(camera.name, key)}: {what} needs a budget; give budget_ms, "
                    "such as 33"
                )
    if camera.tile is not None and camera.has_ladder:
        raise UsageError(
            f"{config.place(camera.name, 'tile')}: tile is for one model, and a budget takes "
            f'several; give ladder = "{LADDER_OFF}"'
        )


def _check_addresses(config: CamerasConfig, camera: Camera, owners: dict[str, str]) -> None:
    """Refuse kinds of sources and sinks that there are none of, and an output that has an owner.

    `owners` maps the outputs of the cameras before to their names; this camera's are added.
    """
    with at(config.place(camera.name, "source")):
        refuse_unknown_source(camera.source)
    for index, sink in enumerate(camera.sinks):
        with at(config.place(camera.name, "sinks", index)):
            check_options([sink], SinkOptions())
            where = target(sink)
            if where in owners:
                raise UsageError(
                    f"the output '{masked(sink)}' is camera {owners[where]}'s already; give each "
                    "its own"
                )
            if where is not None:
                owners[where] = camera.name


def _check_sink_options(config: CamerasConfig, camera: Camera) -> None:
    """Refuse what none of a camera's sinks can obey, where it is asked for this camera."""
    for key, about in KEYS.items():
        if about.part == SINK and config.lines.has(("camera", camera.name, key)):
            asked = SinkOptions(**{about.field: getattr(camera.sink_options, about.field)})
            with at(config.place(camera.name, key)):
                check_options(camera.sinks, asked)


def _with_models(config: CamerasConfig, camera: Camera) -> Camera:
    """Return the camera with the paths of its models as seen from where the command runs."""
    folder = config.path.parent
    ladder = ",".join(_beside(folder, rung.strip()) for rung in camera.ladder.split(","))
    model = _beside(folder, camera.model)
    with at(config.place(camera.name, "model")):
        if model != BICUBIC:
            find_model(model)
    return replace(camera, model=model, ladder=ladder)


def _beside(folder: Path, model: str) -> str:
    """Return the path of a bundle that lies beside the file; the name of any other as it is.

    What follows a colon, the precision of a rung, is kept.
    """
    name, colon, precision = model.partition(":")
    if name in (AUTO, LADDER_OFF, BICUBIC, *shipped_names()) or not (folder / name).exists():
        return model
    return f"{folder / name}{colon}{precision}"


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put the place in front of what an error says, which becomes a UsageError."""
    try:
        yield
    except CrispstreamError as error:
        raise UsageError(f"{place}: {error}") from error
