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
        UsageError: with file and line, if it cannot be read, is no TOML, has a key or a value
            that there is none of, names a model, a source or a sink of no known kind, refers to
            a variable that is not set, or lets two outputs be one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"the file of cameras '{path}' cannot be read ({error.strerror}); check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}' is not UTF-8 text ({error.reason}); save it as such") from error
    return checked(_Reader(path, text, environ).read())


class _Reader:
    """Turns one file into a config; the first fault ends it."""

    def __init__(self, path: Path, text: str, environ: Mapping[str, str]) -> None:
        self._path = path
        self._lines = Lines(text)
        self._environ = environ
        try:
            self._content = parse(text)
        except ParseError as error:
            raise self._syntax_error(str(error)) from error

    def _syntax_error(self, said: str) -> UsageError:
        known = re.search(r"at line (\d+)", said)
        line = int(known[1]) if known else self._lines.last
        fault = re.sub(r" \(at [^)]*\)$", "", said)
        return UsageError(
            f"{self._path}:{line}: this is no TOML: {fault[:1].lower()}{fault[1:]}; write one "
            'key = value a line, and texts in "quotes"'
        )

    def _fault(self, path: KeyPath, sentence: str) -> UsageError:
        return UsageError(f"{self._path}:{self._lines.of(path)}: {sentence}")

    def read(self) -> CamerasConfig:
        self._check_outermost()
        seconds, threads = (self._value((key,), RUN_KEYS[key]) for key in ("seconds", "threads"))
        cameras = tuple(self._camera(name) for name in self._names())
        return CamerasConfig(self._path, cameras, seconds, threads, self._lines)

    def _check_outermost(self) -> None:
        known = (*RUN_KEYS, *(key for key in KEYS if KEYS[key].shared), "camera")
        for key in self._content:
            if key in KEYS and key not in known:
                raise self._fault((key,), f"{key} belongs into a camera's table: {_EXAMPLE}")
            if key not in known:
                advice = "; the table of a camera begins with [camera.NAME]"
                raise self._fault((key,), unknown(key, known) + advice)

    def _names(self) -> list[str]:
        tables = self._content.get("camera", {})
        if not isinstance(tables, dict) or not tables:
            raise self._fault(("camera",), f"there is no camera; add {_EXAMPLE}")
        for name, table in tables.items():
            if not isinstance(table, dict):
                sentence = f"camera.{name} is {shown(table)}; expected a table, {_EXAMPLE}"
                raise self._fault(("camera", name), sentence)
        return list(tables)

    def _camera(self, name: str) -> Camera:
        table = self._content["camera"][name]
        for key in table:
            if key not in KEYS:
                raise self._fault(("camera", name, key), unknown(key, KEYS))
        for key in ("source", "sinks"):
            if key not in table:
                sentence = f"camera {name} has no {key}; give it {KEYS[key].expected}"
                raise self._fault(("camera", name), sentence)
        fields: dict[str, dict[str, Any]] = {CAMERA: {}, SOURCE: {}, SINK: {}}
        for key, about in KEYS.items():
            if key in table or key in self._content:
                path = ("camera", name, key) if key in table else (key,)
                fields[about.part][about.field or key] = self._value(path, about)
        own = fields[CAMERA]
        own["source"] = self._address(("camera", name, "source"), own["source"])
        own["sinks"] = tuple(
            self._address(("camera", name, "sinks", index), sink)
            for index, sink in enumerate(own["sinks"])
        )
        source_options, sink_options = SourceOptions(**fields[SOURCE]), SinkOptions(**fields[SINK])
        return Camera(name, source_options=source_options, sink_options=sink_options, **own)

    def _value(self, path: KeyPath, about: Key) -> Any:  # noqa: ANN401
        """Return what a key's value means; None if it is not there."""
        value: Any = self._content
        for step in path:
            if step not in value:
                return None
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

    def _address(self, path: KeyPath, uri: str) -> str:
        """Return an address with its variables, a path as seen from where the command runs."""
        try:
            return beside(self._path.parent, expanded(uri, self._environ))
        except UsageError as error:
            raise self._fault(path, str(error)) from error
