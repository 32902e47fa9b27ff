"""What an engine is wanted for, and what comes of it."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from crispstream.core.bundle import Bundle, Graph

from .backends.tensorrt.backend import Plan
from .building.monitor import Progress
from .building.options import BuildOptions
from .building.retry import Note
from .device.gpu import Gpu
from .native import load_flavour
from .store.key import EngineKey
from .store.record import EngineRecord
from .store.store import EngineStore

_log = logging.getLogger("crispstream.engine")


@dataclass(frozen=True)
class Wish:
    """What an engine is wanted of, and on what.

    Attributes:
        bundle: the model.
        graph: which of its graphs.
        flavour: "tensorrt" or "tensorrt-rtx".
        gpu: the one here, which the engine is re-checked on; None if there is none.
        allow_uncertified: build the graph even if it has no certificate.
        store: where engines are kept.
        on_build: told how far a build is.
        on_note: told what the user should read.
    """

    bundle: Bundle
    graph: Graph
    flavour: str
    gpu: Gpu | None
    allow_uncertified: bool = False
    store: EngineStore = field(default_factory=EngineStore)
    on_build: Progress | None = None
    on_note: Note = _log.info

    def still_wanted(self) -> None:
        """Let who follows the build end the wait for another one, by raising."""
        if self.on_build is not None:
            self.on_build("Waiting for another build", 0, 0)

    @property
    def flavour_version(self) -> str:
        """Version of the library that is installed."""
        return str(load_flavour(self.flavour).__version__)

    def key(self, options: BuildOptions) -> EngineKey:
        """Return what an engine for these orders is kept under."""
        gpu = self.gpu.as_json() if self.gpu else {}
        return EngineKey(
            self.graph.sha256, self.flavour, self.flavour_version, options.as_json(), gpu
        )


@dataclass(frozen=True)
class Obtained:
    """An engine that may be run."""

    engine: bytes
    record: EngineRecord
    path: Path | None
    """Where it is kept; None if the store could not keep it."""
    fresh: bool = False
    """Whether it was built just now."""


def plan_of(wish: Wish, obtained: Obtained) -> Plan:
    """Return an engine as the backend takes it."""
    record = obtained.record
    key = replace(EngineKey.of(record), gpu=wish.gpu.as_json() if wish.gpu else {})
    compatible = bool(record.options["version_compatible"])
    cache = wish.store.runtime_cache(key) if obtained.path else None
    return Plan(obtained.engine, host_code_allowed=compatible, runtime_cache=cache)
