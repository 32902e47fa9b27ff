"""What a file of cameras asks for is looked at before anything starts; faults keep their line."""

from dataclasses import replace
from pathlib import Path

from crispstream.core.errors import UsageError
from crispstream.core.uris import masked
from crispstream.runtime.engine.models import find_model, shipped_names
from crispstream.runtime.stream.ladder.rungs import AUTO, BICUBIC
from crispstream.runtime.stream.sink import SinkOptions, check_options
from crispstream.runtime.stream.sinks.kinds import kind_of
from crispstream.runtime.stream.sinks.place import check_folder

from .addresses import refuse_missing_source, refuse_unknown_source, target, waits
from .camera import LADDER_OFF, Camera, CamerasConfig
from .faults import FaultError, Faults, at
from .keys import KEYS, SINK

_WITHIN_A_FOLDER = ("video", "image")
"""Kinds of outputs that make no folder."""


def checked(config: CamerasConfig, faults: Faults) -> CamerasConfig:
    """Return the config with its models found; what cannot be is added to the faults.

    That is: a model, a file to read, a folder to write to that is not there, a kind of source or
    sink that is unknown, two outputs that are one, a budget that is missing or of no use, and an
    option that no sink of a camera can obey.
    """
    owners: dict[str, str] = {}
    for camera in config.cameras:
        for check in (_check_budget, _check_source):
            with faults.kept():
                check(config, camera)
        known_faults = len(faults)
        for index in range(len(camera.sinks)):
            with faults.kept():
                _check_sink(config, camera, index, owners)
        if len(faults) == known_faults:
            _check_sink_options(config, camera, faults)
    return replace(
        config, cameras=tuple(_with_models(config, each, faults) for each in config.cameras)
    )


def _check_budget(config: CamerasConfig, camera: Camera) -> None:
    wants_ladder = config.lines.has(("camera", camera.name, "ladder"))
    if camera.budget_ms is None:
        for key, needs, what in (
            ("policy", camera.policy == "deadline", "the policy deadline"),
            ("ladder", wants_ladder and camera.ladder != LADDER_OFF, "a ladder"),
        ):
            if needs:
                raise FaultError(
                    config.place(camera.name, key),
                    f"{what} needs a budget; give budget_ms, such as 33",
                )
    if camera.tile is not None and camera.has_ladder:
        raise FaultError(
            config.place(camera.name, "tile"),
            f'tile is for one model, and a budget takes several; give ladder = "{LADDER_OFF}"',
        )


def _check_source(config: CamerasConfig, camera: Camera) -> None:
    with at(config.place(camera.name, "source")):
        refuse_unknown_source(camera.source)
        refuse_missing_source(camera.source)
        is_waiting = waits(camera.source)
    if is_waiting and camera.budget_ms is not None and camera.policy == "auto":
        raise FaultError(
            config.place(camera.name, "budget_ms"),
            f"the source of camera {camera.name} is not live, and of what waits until it is read "
            'nothing gets late; leave budget_ms out, or give that camera policy = "deadline"',
        )


def _check_sink(config: CamerasConfig, camera: Camera, index: int, owners: dict[str, str]) -> None:
    """Refuse an output of no known kind, without a folder, or that has an owner.

    `owners` maps the outputs so far to the names of their cameras; this one is added.
    """
    sink = camera.sinks[index]
    with at(config.place(camera.name, "sinks", index)):
        check_options([sink], SinkOptions())
        if kind_of(sink) in _WITHIN_A_FOLDER:
            check_folder(Path(sink).parent)
        where = target(sink)
        if where in owners:
            raise UsageError(
                f"the output '{masked(sink)}' is camera {owners[where]}'s already; give each "
                "its own"
            )
        if where is not None:
            owners[where] = camera.name


def _check_sink_options(config: CamerasConfig, camera: Camera, faults: Faults) -> None:
    """Refuse what none of a camera's sinks can obey, where it is asked for this camera."""
    for key, about in KEYS.items():
        if about.part == SINK and config.lines.has(("camera", camera.name, key)):
            asked = SinkOptions(**{about.field: getattr(camera.sink_options, about.field)})
            with faults.kept(), at(config.place(camera.name, key)):
                check_options(camera.sinks, asked)
    if config.lines.has(("camera", camera.name, "overwrite")):
        segments = SinkOptions(segment_seconds=camera.sink_options.segment_seconds)
        with faults.kept(), at(config.place(camera.name, "overwrite")):
            check_options(camera.sinks, segments, overwrite=camera.overwrite)


def _with_models(config: CamerasConfig, camera: Camera, faults: Faults) -> Camera:
    """Return the camera with the paths of its models as seen from where the command runs."""
    folder = config.path.parent
    ladder = ",".join(_beside(folder, rung.strip()) for rung in camera.ladder.split(","))
    model = _beside(folder, camera.model)
    with faults.kept(), at(config.place(camera.name, "model")):
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
