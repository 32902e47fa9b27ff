"""A TOML file that describes cameras: read, checked, and every fault told with its line.

    model = "edge-n"                # keys up here hold for every camera that has not its own

    [camera.door]
    source = "rtsp://admin:${DOOR_PASSWORD}@10.0.0.7/stream"
    sinks = ["rec/door.mp4", "preview://127.0.0.1:8081"]

docs/cameras.md lists the keys. Paths are relative to the file's own folder, so that it means the
same wherever the command is started: a service starts in the root folder.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crispstream.core.errors import UsageError
from crispstream.runtime.stream.sink import SinkOptions
from crispstream.runtime.stream.source import SourceOptions

from .addresses import beside, expanded
from .camera import Camera as Camera
from .camera import CamerasConfig as CamerasConfig
from .checks import checked
from .faults import FaultError, Faults, Place, at
from .keys import CAMERA, KEYS, RUN_KEYS, SINK, SOURCE, Key, UnfitError, shown, unknown
from .lines import KeyPath, Lines, ParseError, parse

_OPTIONS: Mapping[str, type[SourceOptions | SinkOptions]] = {
    SOURCE: SourceOptions,
    SINK: SinkOptions,
}
_EXAMPLE = '[camera.door] with source = "rtsp://..." and sinks = ["door.mp4"]'


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> CamerasConfig:
    """Read a file of cameras.

    Args:
        path: of the file.
        environ: the variables that `${NAME}` in `source` and `sinks` stands for.

    Raises:
        UsageError: if it cannot be read or is no TOML. With a line for each fault, its place in
            front: a key or a value that there is none of, a model, a file, or a kind of source
            or sink that is not there, a variable that is not set, two outputs that are one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"the file of cameras '{path}' cannot be read ({error.strerror}); check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}' is not UTF-8 text ({error.reason}); save it as such") from error
    faults = Faults()
    config = checked(_Reader(path, text, environ, faults).read(), faults)
    faults.raise_all()
    return config


class _Reader:
    """Turns one file into a config; a camera with faults is left out of it."""

    def __init__(self, path: Path, text: str, environ: Mapping[str, str], faults: Faults) -> None:
        self._path = path
        self._lines = Lines(text)
        self._environ = environ
        self._faults = faults
        try:
            self._content = parse(text)
        except ParseError as error:
            raise self._syntax_error(str(error)) from error

    def _syntax_error(self, said: str) -> UsageError:
        known = re.search(r"at line (\d+)", said)
        line = int(known[1]) if known else self._lines.last
        fault = re.sub(r" \(at [^)]*\)$", "", said)
        return FaultError(
            Place(self._path, line),
            f"this is no TOML: {fault[:1].lower()}{fault[1:]}; write one key = value a line, and "
            'texts in "quotes"',
        )

    def _fault(self, path: KeyPath, sentence: str) -> FaultError:
        return FaultError(Place(self._path, self._lines.of(path)), sentence)

    def read(self) -> CamerasConfig:
        self._check_outermost()
        run: dict[str, Any] = {}
        for key in RUN_KEYS.keys() & self._content.keys():
            with self._faults.kept():
                run[key] = self._value((key,), RUN_KEYS[key])
        cameras = (self._camera(name) for name in self._names())
        sound = tuple(camera for camera in cameras if camera is not None)
        return CamerasConfig(self._path, sound, lines=self._lines, **run)

    def _check_outermost(self) -> None:
        known = (*RUN_KEYS, *(key for key in KEYS if KEYS[key].shared), "camera")
        for key in self._content:
            with self._faults.kept():
                if key in KEYS and key not in known:
                    raise self._fault((key,), f"{key} belongs into a camera's table: {_EXAMPLE}")
                if key not in known:
                    advice = "; the table of a camera begins with [camera.NAME]"
                    raise self._fault((key,), unknown(key, known) + advice)

    def _names(self) -> list[str]:
        tables = self._content.get("camera", {})
        names: list[str] = []
        if not tables and len(self._faults):  # perhaps it is only misspelt
            return names
        with self._faults.kept():
            if not isinstance(tables, dict) or not tables:
                raise self._fault(("camera",), f"there is no camera; add {_EXAMPLE}")
            for name, table in tables.items():
                if not isinstance(table, dict):
                    sentence = f"camera.{name} is {shown(table)}; expected a table, {_EXAMPLE}"
                    raise self._fault(("camera", name), sentence)
                names.append(name)
        return names

    def _camera(self, name: str) -> Camera | None:
        """Return a camera; None if anything is wrong with it."""
        known_faults = len(self._faults)
        self._check_keys(name)
        fields = self._fields(name)
        own = fields[CAMERA]
        for key, uris in (("source", own.get("source")), ("sinks", own.get("sinks"))):
            if uris is not None:
                own[key] = self._addresses(("camera", name, key), uris)
        if len(self._faults) > known_faults:
            return None
        source_options, sink_options = SourceOptions(**fields[SOURCE]), SinkOptions(**fields[SINK])
        return Camera(name, source_options=source_options, sink_options=sink_options, **own)

    def _check_keys(self, name: str) -> None:
        table = self._content["camera"][name]
        for key in table:
            with self._faults.kept():
                if key not in KEYS:
                    raise self._fault(("camera", name, key), unknown(key, KEYS))
        for key in ("source", "sinks"):
            with self._faults.kept():
                if key not in table:
                    sentence = f"camera {name} has no {key}; give it {KEYS[key].expected}"
                    raise self._fault(("camera", name), sentence)

    def _fields(self, name: str) -> dict[str, dict[str, Any]]:
        """Return what a camera's keys, and those of all, mean; by part and field."""
        table = self._content["camera"][name]
        fields: dict[str, dict[str, Any]] = {CAMERA: {}, SOURCE: {}, SINK: {}}
        for key, about in KEYS.items():
            if key in table or (about.shared and key in self._content):
                path = ("camera", name, key) if key in table else (key,)
                with self._faults.kept():
                    fields[about.part][about.field or key] = self._value(path, about)
        return fields

    def _value(self, path: KeyPath, about: Key) -> Any:  # noqa: ANN401
        """Return what a key's value means."""
        value: Any = self._content
        for step in path:
            value = value[step]
        try:
            fit = about.read(value)
            if about.part in _OPTIONS:
                _OPTIONS[about.part](**{about.field: fit})  # refuses what cannot be
            return fit
        except UsageError as error:
            raise self._fault(path, str(error)) from error
        except UnfitError as unfit:
            sentence = f"{path[-1]} is {shown(value)}; {unfit}expected {about.expected}"
            raise self._fault(path, sentence) from unfit

    def _addresses(self, path: KeyPath, uris: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(uris, str):
            return self._address(path, uris)
        return tuple(self._address((*path, index), uri) for index, uri in enumerate(uris))

    def _address(self, path: KeyPath, uri: str) -> str:
        """Return an address with its variables, a path as seen from where the command runs."""
        filled = uri
        with self._faults.kept(), at(Place(self._path, self._lines.of(path))):
            filled = expanded(uri, self._environ)
        return beside(self._path.parent, filled)
