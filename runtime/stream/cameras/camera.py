"""What is asked of a camera, and of several: the facts, however they were written down."""

from dataclasses import dataclass, field
from pathlib import Path

from crispstream.core.sizes import Size
from crispstream.runtime.stream.sink import DEFAULT_OPTIONS as DEFAULT_SINK_OPTIONS
from crispstream.runtime.stream.sink import SinkOptions
from crispstream.runtime.stream.source import SourceOptions

from .faults import Place
from .lines import KeyPath, Lines

LADDER_OFF = "off"
_DEFAULT_SOURCE_OPTIONS = SourceOptions()


@dataclass(frozen=True)
class Camera:
    """One stream: what is read, what restores it, and where it goes."""

    name: str
    source: str
    """With its password, should it have one: show it `masked`."""
    sinks: tuple[str, ...]
    """At least one; show them `masked`."""
    model: str = "edge-n"
    precision: str = "auto"
    backend: str = "auto"
    allow_uncertified: bool = False
    tile: Size | None = None
    """(width, height) in pixels; larger frames are cut into tiles of this size."""
    policy: str = "auto"
    """What `auto` means, `compose.policy_for` tells."""
    budget_ms: float | None = None
    """From capture to restored."""
    ladder: str = "auto"
    """With a budget: rungs, best first, with commas between them, `auto`, or `off`; see
    `rungs.open_ladder`."""
    roi: str | None = None
    """Of the source's pictures only this region, `X,Y,WIDTH,HEIGHT`."""
    limit: int | None = None
    """Frames to restore at most."""
    overwrite: bool = False
    """Whether output files that are there may be replaced."""
    source_options: SourceOptions = _DEFAULT_SOURCE_OPTIONS
    sink_options: SinkOptions = DEFAULT_SINK_OPTIONS

    @property
    def has_ladder(self) -> bool:
        """Whether several models take turns to keep the budget."""
        return self.budget_ms is not None and self.ladder != LADDER_OFF


@dataclass(frozen=True)
class CamerasConfig:
    """What a file of cameras says."""

    path: Path
    cameras: tuple[Camera, ...]
    """In the file's order; at least one, and their names differ."""
    seconds: float | None = None
    """When to end; None for never."""
    threads: int | None = None
    """CPU threads of each model; None for every usable core."""
    lines: Lines = field(default_factory=lambda: Lines(""), repr=False, compare=False)

    def place(self, camera: str, key: str, index: int | None = None) -> Place:
        """Return where a key stands that holds for a camera.

        The camera's own place, for what nobody wrote; `index` is of a value of a list.
        """
        own: KeyPath = ("camera", camera, key)
        path = (key,) if self.lines.has((key,)) and not self.lines.has(own) else own
        return Place(self.path, self.lines.of(path if index is None else (*path, index)))
