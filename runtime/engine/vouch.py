"""No engine runs unjudged: it is re-checked on its GPU, then kept, or put aside with the evidence.

The verdict of another GPU does not count, nor one that was not passed.
"""

import math
from dataclasses import replace

from crispstream.core.errors import EngineError
from crispstream.core.sizes import Size, SizeRange

from .backends.tensorrt.backend import TensorRTBackend
from .device.gpu import Gpu
from .store.fit import misfit
from .store.key import EngineKey
from .store.record import EngineRecord
from .trust.recheck import Recheck, recheck
from .wish import Obtained, Wish, plan_of


def vouched(wish: Wish, key: EngineKey, obtained: Obtained) -> Obtained:
    """Return an engine once it has been re-checked on this GPU and is kept."""
    record, gpu = obtained.record, wish.gpu
    here = gpu is not None and not misfit(record, wish.flavour_version, gpu)
    if gpu is not None and here and not _was_passed_on(record, gpu):
        obtained = replace(obtained, record=_rechecked(wish, key, obtained, gpu))
    elif obtained.path is not None:
        return obtained
    try:
        path = wish.store.add(key, obtained.engine, obtained.record)
    except EngineError as error:
        wish.on_note(str(error))
        return replace(obtained, path=None)
    return replace(obtained, path=path)


def _was_passed_on(record: EngineRecord, gpu: Gpu) -> bool:
    verdict = record.recheck
    return verdict.get("passed") is True and verdict.get("gpu") == gpu.as_json()


def _checked_sizes(record: EngineRecord) -> list[Size]:
    """Return the sizes to judge at: the best of each profile, and the ends of a range.

    Ends below 64x48 are left out: the limits were not derived from so little of a picture.
    """
    found: dict[Size, None] = {}
    for profile in map(SizeRange.parse, record.options["profiles"]):
        ends = (profile.smallest, profile.largest)
        found.update(dict.fromkeys((profile.best, *(e for e in ends if e[0] >= 64 and e[1] >= 48))))
    return list(found)


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
        for size in _checked_sizes(obtained.record):
            verdict = recheck(wish.bundle, wish.graph, backend, size)
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
            wish.bundle.states,
        )
        evidence = f"the evidence is in {folder}"
    except EngineError as error:
        evidence = str(error)
    return EngineError(
        f"the engine of {record.bundle} {record.precision} for {record.sizes} computes something "
        f"else than its graph: {verdict.reason}; {evidence}. Choose another --precision, or "
        "--backend onnxruntime"
    )
