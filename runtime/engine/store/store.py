"""The engines that this machine keeps, so that each is built once.

An engine is code: what is opened is read once, hashed, and those bytes are handed out. One that
does not fit is never half loaded; the store says why, and it is built again.

On a disk that is read-only or full nothing here fails before `add`: `refusal` tells beforehand,
`find` still reads what is there, `lock` says that it guards nothing, and `add` raises, so that the
caller can go on with the engine it has built and tell that it is not kept.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.core.files import write_atomically, write_json_atomically
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import FLAVOURS

from .adopting import read_foreign
from .entries import (
    Entry,
    engine_files,
    entries_in,
    entry_at,
    kernels_stem,
    mark_used,
    records_in,
    the_one,
)
from .fit import nearest_of, why_none
from .key import SUFFIX, EngineKey, driver_major, safe
from .lock import held, remove_idle
from .opened import Found, discard, open_engine
from .places import DAY_SECONDS, cache_folder, listed, staged, sweep
from .quarantine import Case, find_case, write_case
from .record import EngineRecord, sidecar_of
from .refusals import refusal_of, refusal_reason, remedy_for
from .removing import Removal, above_limit, remove_entries, unused_since

LIMIT_BYTES = 8 * 10**9
"""What the engines may take on the disk before the least recently used go."""


class EngineStore:
    """The engines of one cache folder; several processes may use it at once.

    Attributes:
        folder: the cache folder, see `places`.
        engines: where the engines lie.
        limit_bytes: what they may take on the disk.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        """Name the cache folder, by default the user's; nothing is read or made yet.

        Raises:
            UsageError: if the user has no such folder, see `places.cache_folder`.
        """
        self.folder = cache_folder() if folder is None else folder
        self.engines = self.folder / "engines"
        self.limit_bytes = limit_bytes
        self._locks = self.folder / "locks"
        self._runtime = self.folder / "runtime"
        self._quarantine = self.folder / "quarantine"

    def refusal(self) -> str:
        """Return why no engine can be kept, "" if one can: a clause, "Permission denied".

        Found by writing a small file, which is removed again.
        """
        return refusal_of(self.engines)

    def unreadable(self) -> str:
        """Return why the engines cannot be listed, "" if they can or none was kept yet: a clause.

        `entries` then is empty all the same.
        """
        try:
            next(self.engines.iterdir(), None)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return refusal_reason(error)
        return ""

    def find(self, key: EngineKey) -> Found:
        """Return the engine of a key, read once and hashed, or why there is none.

        A damaged one is removed. Marks the engine as used. Never raises for what lies on the
        disk.
        """
        sweep(self.engines)
        faults = []
        for path in self._of(key):
            engine, record, fault = open_engine(path, key)
            if engine is not None:
                mark_used(path)
                return Found(engine, record, path, "")
            faults += [fault] if fault else []
        case = find_case(self._quarantine, key.short)
        if case:
            folder, day = case
            faults.append(f"an engine of this kind failed its re-check on {day}: see {folder}")
        why_not = "; ".join(faults) or why_none(records_in(self.engines), key)
        return Found(None, None, None, why_not, case[0] if case else None)

    def add(self, key: EngineKey, engine: bytes, record: EngineRecord) -> Path:
        """Keep an engine; return where. The least recently used make room for it.

        It is found by its key again, even if less than `key.options` was built for lack of memory.

        Written beside, synced and renamed, the sidecar first: a reader sees a whole engine or
        none.

        Raises:
            EngineError: if the folder cannot be written or the disk is full.
        """
        path = self.engines / key.file_name(record)
        sidecar = sidecar_of(path)
        asked = {} if key.options == record.options else key.options
        record = replace(record, asked_options=asked)
        try:
            sweep(self.engines)
            with staged(self.engines) as stage:
                write_json_atomically(stage / sidecar.name, asdict(record))
                write_atomically(stage / path.name, engine)
                for other in {*self._of(key), path}:
                    # Gone before its sidecar changes: no reader takes a mixed pair for damage.
                    other.unlink(missing_ok=True)
                    if other != path:
                        sidecar_of(other).unlink(missing_ok=True)
                (stage / sidecar.name).replace(sidecar)
                (stage / path.name).replace(path)
        except OSError as error:
            raise EngineError(
                f"the engine cannot be kept in {self.engines} ({refusal_reason(error)}); "
                f"{remedy_for(error)}"
            ) from error
        surplus = above_limit(self.entries(), self.limit_bytes)
        self.remove_all(entry for entry in surplus if entry.path != path)
        return path

    def adopt(self, path: Path) -> Path:
        """Keep an engine file that was built elsewhere, with its sidecar; return where.

        Raises:
            UsageError: if there is no such file, or it has no sidecar.
            EngineError: if it is not the file its sidecar describes, that is of another kit, or
                it cannot be kept.
        """
        engine, record = read_foreign(path)
        return self.add(EngineKey.of(record), engine, record)

    def entries(self, *, hashed: bool = False) -> list[Entry]:
        """Return the engines, the last used first; `hashed` checks the hash of each."""
        return entries_in(self.engines, self._runtime, hashed=hashed)

    def entry(self, part: str) -> Entry:
        """Return the engine whose path or name is `part` or holds it, its hash checked.

        Raises:
            UsageError: if there is none, or several.
        """
        entry = the_one(self.entries(), part)
        return entry_at(entry.path, self._runtime, hashed=True)

    def remove(self, part: str) -> Entry:
        """Remove the engine whose path or name is `part` or holds it; return what it was.

        Raises:
            UsageError: if there is none, or several.
            EngineError: if the folder cannot be written.
        """
        entry = the_one(self.entries(), part)
        for reason in self.remove_all([entry]).stuck.values():
            raise EngineError(
                f"{entry.path} cannot be removed ({reason}); check who may write to {self.engines}"
            )
        return entry

    def remove_all(self, entries: Iterable[Entry]) -> Removal:
        """Remove engines, each for itself; return which are gone and which are not."""
        return remove_entries(entries, self._runtime)

    def prune(self, limit_bytes: int | None = None, unused_days: float | None = None) -> Removal:
        """Remove engines unused for so many days, then the least recently used above the limit.

        Also what killed processes left, and lock files of builds long ago.

        Args:
            limit_bytes: what may stay; None is the store's own limit.
            unused_days: None removes none for its age.
        """
        sweep(self.engines)
        remove_idle(self._locks)
        entries = self.entries()
        old: list[Entry] = []
        if unused_days is not None:
            then = datetime.now(timezone.utc).timestamp() - unused_days * DAY_SECONDS
            old = unused_since(entries, then)
        others = [entry for entry in entries if entry not in old]
        limit_bytes = self.limit_bytes if limit_bytes is None else limit_bytes
        return self.remove_all(old + above_limit(others, limit_bytes))

    @contextlib.contextmanager
    def lock(
        self,
        key: EngineKey,
        on_wait: Callable[[str], None] | None = None,
        still_wanted: Callable[[], None] | None = None,
    ) -> Iterator[str]:
        """Be the only process that builds the engine of a key; look with `find` again inside.

        Gives "", or a sentence why nothing is locked. `on_wait` is called once if another process
        is building it, with a sentence that says which; `still_wanted` is called every second of
        the wait, and what it raises ends it. A lock goes with its process.

        Raises:
            MissingExtraError: if filelock is not installed.
        """
        path = self._locks / f"{key.digest[:16]}.lock"
        with held(path, FLAVOURS[key.flavour][1], on_wait, still_wanted) as why_not:
            yield why_not

    def timing_cache(self, flavour: str, version: str, gpu: Gpu) -> Path:
        """Return where a builder keeps what it measured on a GPU; it may not exist."""
        major, minor = gpu.compute_capability
        name = f"{flavour}-{version}.{gpu.name}-{major}.{minor}.{driver_major(gpu.driver)}.cache"
        return self.folder / "timing" / safe(name)

    def runtime_cache(self, key: EngineKey) -> Path:
        """Return where TensorRT-RTX keeps the kernels it compiled for an engine.

        One file for each GPU and driver, as `key.gpu` names them. It may not exist, and goes when
        the engine does.
        """
        gpu = f"{key.gpu.get('name', 'gpu')}-{driver_major(key.gpu.get('driver', ''))}"
        return self._runtime / f"{kernels_stem(key)}.{safe(gpu)}.cache"

    def expected_seconds(self, key: EngineKey) -> float | None:
        """Return how long the most similar earlier build took; None if there was none.

        Of the same graph and library; the one with the fewest differences counts.
        """
        nearest = nearest_of(records_in(self.engines), key)
        return None if nearest is None else nearest.build_seconds

    def quarantine(
        self,
        key: EngineKey,
        engine: bytes,
        record: EngineRecord,
        evidence: Mapping[str, Any],
        pictures: Mapping[str, Bytes],
        graph_bytes: bytes,
        states: Sequence[StateTensor] = (),
    ) -> Path:
        """Put an engine that failed its re-check away, with the evidence; return the folder.

        If it is in the store it is removed there. `pictures` are `frame`, `expected` and `got`,
        `states` those of the bundle.

        Raises:
            EngineError: if the folder cannot be written or the disk is full.
        """
        folder = self._quarantine / key.file_name(record).removesuffix(SUFFIX)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            sweep(self._quarantine)
            write_case(folder, Case(engine, record, evidence, pictures, graph_bytes, states), now)
        except OSError as error:
            raise EngineError(
                f"the evidence against an engine cannot be kept in {folder} "
                f"({refusal_reason(error)}); {remedy_for(error)}"
            ) from error
        finally:
            for path in self._of(key):
                discard(path)
        return folder

    def quarantined(self) -> list[Path]:
        """Return the folders of the engines that failed their re-check."""
        return [path for path in listed(self._quarantine) if not path.name.startswith(".")]

    def _of(self, key: EngineKey) -> list[Path]:
        """Return the engine files whose name has the key's digest: one, as a rule."""
        end = f".{key.short}{SUFFIX}"
        return [path for path in engine_files(self.engines) if path.name.endswith(end)]
