"""What a bench found of fp16 and int8 on TensorRT, kept for whoever asks for precision "auto"."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from crispstream.core.errors import EngineError
from crispstream.core.sizes import Size
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import FLAVOURS, load_flavour
from crispstream.runtime.engine.store.measured import engine_for, keep_speed, speed_of
from crispstream.runtime.engine.store.store import EngineStore

from .record import BenchRecord, Variant
from .statistics import least_pairs, paired_ratio


class Pair(NamedTuple):
    """Two variants of one bundle, by name."""

    fp16: str
    int8: str
    padded: Size
    """(width, height) that the frames had for the engines, px."""


def keep_speeds(
    record: BenchRecord, pairs: Sequence[Pair], store: EngineStore, gpu: Gpu
) -> Iterator[str]:
    """Write the engines' times into the sidecars of those that are kept; give a note for each pair.

    Args:
        record: of the bench.
        pairs: which variants belong together.
        store: where the engines are kept.
        gpu: they ran on.
    """
    variants = {variant.name: variant for variant in record.variants}
    for pair in pairs:
        fp16, int8 = variants[pair.fp16], variants[pair.int8]
        if fp16.backend not in FLAVOURS or fp16.backend != int8.backend:
            continue
        try:
            yield from _kept(record, (fp16, int8), pair.padded, store, gpu)
        except EngineError as error:
            yield str(error)


def _kept(
    record: BenchRecord,
    variants: tuple[Variant, Variant],
    size: Size,
    store: EngineStore,
    gpu: Gpu,
) -> Iterator[str]:
    times = [variant.scopes["engine"] for variant in variants if "engine" in variant.scopes]
    settings = record.settings
    if len(times) < 2 or len(times[0].rounds_ms) < least_pairs(settings.confidence):
        return
    model, flavour = variants[0].model, variants[0].backend
    version = str(load_flavour(flavour).__version__)
    found = (
        engine_for(store, variant.graph_sha256, flavour, version, gpu, size) for variant in variants
    )
    entries = [entry for entry in found if entry is not None]
    if len(entries) < 2:
        yield f"the engines of {model} are not kept, and so neither is how fast they were"
        return
    ratio = paired_ratio(
        times[1].rounds_ms, times[0].rounds_ms, confidence=settings.confidence, seed=settings.seed
    )
    fp16, int8 = (speed_of(size, gpu, record.created, each.spread.median_ms) for each in times)
    keep_speed(store, entries[0], fp16)
    keep_speed(store, entries[1], replace(int8, over_fp16=(ratio.low, ratio.high)))
    taken = "int8, if it is certified" if ratio.verdict == "faster" else "fp16"
    yield (
        f"int8 of {model} takes {ratio.low:.3f} to {ratio.high:.3f} of fp16's time on this GPU; "
        f"that is kept with the engines, and --precision auto takes {taken}"
    )
