"""The engine for a frame size: from the store, or built; judged and kept before it is used."""

from functools import partial
from pathlib import Path

from crispstream.core.errors import EngineError
from crispstream.core.sizes import Size, SizeRange

from .backends.tensorrt.backend import Plan
from .backends.tensorrt.engine import RefusedEngineError
from .building.build import build_from_bundle
from .building.options import BuildOptions
from .native import RTX, TENSORRT
from .store.fit import NOTHING_KEPT
from .store.fitting import fitting
from .store.key import EngineKey
from .store.opened import discard
from .vouch import vouched
from .wish import Obtained, Wish, plan_of


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
            options = self._options(width, height)
            self._wish.on_note(
                f"building the engine of {self._wish.bundle.name} for {width}x{height}"
                f"{_last_time(self._wish, options)}: it is kept, so this happens once"
            )
            obtained = obtain(self._wish, options)
        refused = partial(_give_up, self._wish, obtained.path)
        return plan_of(self._wish, obtained)._replace(on_refused=refused)

    def _options(self, width: int, height: int) -> BuildOptions:
        """TensorRT-RTX is told of the GPU here: it then compiles nothing at the first frame."""
        rtx, gpu = self._wish.flavour == RTX, self._wish.gpu
        aims = (gpu.compute_capability,) if rtx and gpu else ()
        return BuildOptions((SizeRange.only((width, height)),), aims)


def _last_time(wish: Wish, options: BuildOptions) -> str:
    seconds = wish.store.expected_seconds(wish.key(options))
    return "" if seconds is None else f" (the last such build took {seconds:.0f} s)"


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
    with store.lock(key, wish.on_note, wish.still_wanted) as unlocked:
        if unlocked:
            wish.on_note(unlocked)
        if not rebuild and (kept := _found(wish, key)):
            return kept
        return vouched(wish, key, _built(wish, options))


def _found(wish: Wish, key: EngineKey) -> Obtained | None:
    """Return the kept engine of a key; None, with a note why, if it has to be built."""
    found = wish.store.find(key)
    if found.engine is None or found.record is None:
        if found.quarantined:
            raise EngineError(
                f"{found.why_not}; choose another --precision, or build it once more: "
                "crispstream build --rebuild"
            )
        if found.why_not != NOTHING_KEPT:
            wish.on_note(found.why_not)
        return None
    try:
        return vouched(wish, key, Obtained(found.engine, found.record, found.path))
    except RefusedEngineError as error:
        _give_up(wish, found.path, error)
        return None


def _give_up(wish: Wish, path: Path | None, error: RefusedEngineError) -> None:
    """Remove a kept engine that the library does not take, whatever its record says."""
    if path is not None:
        discard(path)
    wish.on_note(f"the kept engine is of no use here and was removed: {error.native_log or error}")


def _built(wish: Wish, options: BuildOptions) -> Obtained:
    cache = None
    if wish.flavour == TENSORRT and wish.gpu:
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
    graph, flavour = wish.graph.sha256, wish.flavour
    for entry in fitting(wish.store, graph, flavour, wish.flavour_version, wish.gpu, size):
        if entry.record is None:
            continue
        key = EngineKey.of(entry.record)
        with wish.store.lock(key, wish.on_note, wish.still_wanted):
            if kept := _found(wish, key):
                return kept
    return None
