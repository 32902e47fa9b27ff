"""Which kept engines take frames of a size here, however they were ordered."""

from crispstream.core.sizes import Size, SizeRange
from crispstream.runtime.engine.device.gpu import Gpu

from .entries import Entry
from .fit import misfit
from .record import BUILDER_RECIPE, EngineRecord
from .store import EngineStore


def fitting(
    store: EngineStore, graph_sha256: str, flavour: str, version: str, gpu: Gpu | None, size: Size
) -> list[Entry]:
    """Return the engines of a graph for frames of a size in px, those made for just it first.

    An engine for a range of sizes, or one that was brought from elsewhere, is as good. `version` is
    of the library that is here; each entry has a record.
    """
    fit = [
        entry
        for entry in store.entries()
        if entry.record is not None
        and (entry.record.graph_sha256, entry.record.flavour) == (graph_sha256, flavour)
        and entry.record.builder_recipe == BUILDER_RECIPE
        and not misfit(entry.record, version, gpu)
        and _takes(entry.record, size)
    ]
    return sorted(fit, key=lambda entry: entry.record is not None and ":" in entry.record.sizes)


def _takes(record: EngineRecord, size: Size) -> bool:
    return any(SizeRange.parse(each).takes(*size) for each in record.options["profiles"])
