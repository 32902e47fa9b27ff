"""The engine for a frame size: from the store, or built, re-checked and kept.

An engine that nothing has vouched for on this GPU is re-checked against fp32 before it is used.
One that fails is put aside with the evidence, and nothing runs it.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import EngineError
from crispstream.core.sizes import Size, SizeRange

from .backends.tensorrt.backend import Plan, TensorRTBackend
from .building.build import build_from_bundle
from .building.monitor import Progress
from .building.options import BuildOptions
from .device.gpu import Gpu
from .native import load_flavour
from .store.fit import NOTHING_KEPT, misfit
from .store.key import EngineKey
from .store.record import EngineRecord
from .store.store import EngineStore
from .trust.recheck import Recheck, recheck

_log = logging.getLogger("crispstream.engine")

Note = Callable[[str], None]
"""Called with a sentence that the user should read."""


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


class EngineSource:
    """Gives the engine for any frame size; what `TensorRTBackend` asks."""

    def __init__(self, wish: Wish) -> None:
        """Remember what is wanted; nothing is looked up yet."""
        self._wish = wish

    def __call__(self, height: int, width: int) -> Plan:
        """Return the engine for frames of [H,W], in pixels.

        Raises:
            EngineError: if it cannot be built, or fails its re-check.
        """
        obtained = _kept(self._wish, (width, height))
        if obtained is None:
            self._wish.on_note(
                f"building the engine of {self._wish.bundle.name} for {width}x{height}: it is "
                "kept, so this happens once"
            )
            obtained = obtain(self._wish, self._options(width, height))
        return plan_of(self._wish, obtained)

    def _options(self, width: int, height: int) -> BuildOptions:
        """TensorRT-RTX is told of the GPU here: it then compiles nothing at the first frame."""
        rtx, gpu = self._wish.flavour == "tensorrt-rtx", self._wish.gpu
        aims = (gpu.compute_capability,) if rtx and gpu else ()
        return BuildOptions((SizeRange.only((width, height)),), aims)


def plan_of(wish: Wish, obtained: Obtained) -> Plan:
    """Return an engine as the backend takes it."""
    record = obtained.record
    key = replace(EngineKey.of(record), gpu=wish.gpu.as_json() if wish.gpu else {})
    compatible = bool(record.options["version_compatible"])
    cache = wish.store.runtime_cache(key) if obtained.path else None
    return Plan(obtained.engine, host_code_allowed=compatible, runtime_cache=cache)


def obtain(wish: Wish, options: BuildOptions, *, rebuild: bool = False) -> Obtained:
    """Return the engine for these orders: the kept one, or a new one, which is then kept.

    Two processes never build the same at once: the second waits and takes what the first built.

    Args:
        wish: of what.
        options: the builder's orders.
        rebuild: build even if there is one, or if one has failed before.

    Raises:
        UsageError: for orders that the flavour cannot carry out, or sizes the graph cannot have.
        EngineError: if the library refuses, or the engine fails its re-check, now or before.
    """
    key, store = wish.key(options), wish.store
    with store.lock(key, wish.on_note) as unlocked:
        if unlocked:
            wish.on_note(unlocked)
        found = store.find(key)
        if rebuild:
            return _trusted(wish, key, _built(wish, options))
        if found.engine is not None and found.record is not None:
            return _trusted(wish, key, Obtained(found.engine, found.record, found.path))
        if found.quarantined:
            raise EngineError(
                f"{found.why_not}; choose another --precision, or build it once more: "
                "crispstream build --rebuild"
            )
        if found.why_not != NOTHING_KEPT:
            wish.on_note(found.why_not)
        return _trusted(wish, key, _built(wish, options))


def _built(wish: Wish, options: BuildOptions) -> Obtained:
    cache = None
    if wish.flavour == "tensorrt" and wish.gpu:
        cache = wish.store.timing_cache(wish.flavour, wish.flavour_version, wish.gpu)
    engine, record = build_from_bundle(
        wish.bundle,
        options,
        flavour=wish.flavour,
        precision=wish.graph.precision,
        gpu=wish.gpu,
        allow_uncertified=wish.allow_uncertified,
        timing_cache=cache,
        on_progress=wish.on_build,
        on_note=wish.on_note,
    )
    return Obtained(engine, record, None, fresh=True)


def _kept(wish: Wish, size: Size) -> Obtained | None:
    """Return a kept engine that takes frames of a size, however it was ordered; static ones first.

    So an engine for a range of sizes, or one that was brought from elsewhere, is used.
    """
    fit = [
        entry.record
        for entry in wish.store.entries()
        if entry.record is not None
        and (entry.record.graph_sha256, entry.record.flavour) == (wish.graph.sha256, wish.flavour)
        and not misfit(entry.record, wish.flavour_version, wish.gpu)
        and any(SizeRange.parse(each).takes(*size) for each in entry.record.options["profiles"])
    ]
    for record in sorted(fit, key=lambda record: ":" in record.sizes):
        key = EngineKey.of(record)
        found = wish.store.find(key)
        if found.engine is not None and found.record is not None:
            return _trusted(wish, key, Obtained(found.engine, found.record, found.path))
    return None


def _trusted(wish: Wish, key: EngineKey, obtained: Obtained) -> Obtained:
    """Return an engine once it has been re-checked on this GPU and is kept."""
    record, gpu = obtained.record, wish.gpu
    here = gpu is not None and not misfit(record, wish.flavour_version, gpu)
    if gpu is not None and here and record.recheck.get("gpu") != gpu.as_json():
        obtained = replace(obtained, record=_rechecked(wish, key, obtained, gpu))
    elif obtained.path is not None:
        return obtained
    try:
        path = wish.store.add(key, obtained.engine, obtained.record)
    except EngineError as error:
        wish.on_note(str(error))
        return replace(obtained, path=None)
    return replace(obtained, path=path)


def _rechecked(wish: Wish, key: EngineKey, obtained: Obtained, gpu: Gpu) -> EngineRecord:
    """Return the record with the worst verdict of its profiles, which is good enough."""
    plan = plan_of(wish, replace(obtained, path=None))
    backend = TensorRTBackend(
        lambda _height, _width: plan,
        flavour=wish.flavour,
        precision=obtained.record.precision,
        states=wish.bundle.states,
    )
    worst, lowest_db = obtained.record, math.inf
    try:
        for profile in obtained.record.options["profiles"]:
            verdict = recheck(wish.bundle, wish.graph, backend, SizeRange.parse(profile))
            record = replace(obtained.record, recheck={**verdict.as_json(), "gpu": gpu.as_json()})
            if not verdict.passed:
                raise _failed(wish, key, replace(obtained, record=record), verdict)
            decibels = verdict.figures["psnr_to_fp32_db"]  # None: equal
            if worst is obtained.record or (decibels or math.inf) < lowest_db:
                worst, lowest_db = record, decibels or math.inf
    finally:
        backend.close()
    return worst


def _failed(wish: Wish, key: EngineKey, obtained: Obtained, verdict: Recheck) -> EngineError:
    """Put an engine aside, and return the error to raise."""
    record = obtained.record
    try:
        folder = wish.store.quarantine(
            key,
            obtained.engine,
            record,
            verdict.as_json(),
            verdict.worst,
            wish.bundle.graph_bytes(wish.graph),
        )
        evidence = f"the evidence is in {folder}"
    except EngineError as error:
        evidence = str(error)
    return EngineError(
        f"the engine of {record.bundle} {record.precision} for {record.sizes} computes something "
        f"else than its graph: {verdict.reason}; {evidence}. Choose another --precision, or "
        "--backend onnxruntime"
    )
