"""Built data sets: a published data set in the form that many trainings read.

A set is a folder: shards `train/<item>.<field>.npy` of [N,h,w,C], PNG folders such as `test/lr`
and `test/hr`, and a manifest with the hash of each file. A build that was interrupted goes on
where it stopped.

Shape letters: N samples, h height, w width, C channels (BGR where there are three).
"""

import shutil
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import sha256_of, write_atomically

from .journal import (
    JOURNAL,
    MANIFEST,
    Facts,
    Record,
    check_folder,
    close_journal,
    header_of,
    is_finished,
    lost_files,
    mark_of,
    open_journal,
    read_manifest,
    reopen_journal,
)
from .workers import in_processes

__all__ = ["MANIFEST", "Array", "BuiltSet", "Item", "Make", "build_set"]

Array = npt.NDArray[Any]

OPEN_MAPS = 96
"""Shards that stay mapped; each holds a file descriptor, and a process often has 1024."""


@dataclass(frozen=True)
class Item:
    """A part of a set that is made, and made again, as a whole."""

    name: str
    """Unique, with slashes: "train/GOPR0372_07_00/000047"."""
    sources: tuple[Path, ...]
    """The files it is made from."""


Make = Callable[[Item], Mapping[str, Array]]
"""Makes the files of an item: path below the set's folder -> array.

A path in .npy is saved as it is, [N,h,w,C]; one in .png as a picture (uint8 or uint16, BGR).
A function of a module or a `partial` of one, for it travels to other processes.
"""

Job = tuple[Item, str, Record | None]
"""An item, the mark of its sources, and what an earlier build says of it."""


def build_set(
    kind: str,
    items: Sequence[Item],
    make: Make,
    settings: Mapping[str, Any],
    out: Path,
    *,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Make the files of all items in `out`, and return it.

    Items that an earlier, interrupted build of the same set left there are taken over where
    their files still have the recorded hash; a finished set is returned as it is if its files
    have the recorded sizes, else it is taken for an interrupted one. `settings` holds everything
    beside the sources that the files depend on. `workers` processes work at once; `progress` is
    told in words how many items are done.

    Raises:
        UsageError: if `out` holds something else: a file, another set, foreign files.
        TrainError: if a source is broken, `out` cannot be written, or a process was ended.
    """
    marks = {item.name: mark_of(item.sources) for item in items}
    header = header_of(kind, settings, marks)
    check_folder(out)
    tell = progress or _say_nothing
    work = partial(_record, make=make, out=out)
    try:
        if is_finished(out, header):
            lost = lost_files(out)
            if not lost:
                (out / JOURNAL).unlink(missing_ok=True)  # of a build that was killed at its end
                return out
            tell(f"files lost or damaged: {len(lost)}, such as '{lost[0]}'; making them again")
            reopen_journal(out, header, marks)
        known = open_journal(out, header, marks)
        jobs = [(item, marks[item.name], known.get(item.name)) for item in items]
        with closing(in_processes(work, jobs, workers, tell)) as done:
            close_journal(out, header, _told(done, kind, jobs, out, tell))
    except OSError as error:
        raise TrainError(
            f"cannot write the data set to '{out}' ({error.strerror or error}); make room, or "
            "choose another folder, and run the same command again"
        ) from error
    return out


def _record(job: Job, make: Make, out: Path) -> Record:
    """Make an item and write its files, unless they are there."""
    cv2.setNumThreads(1)  # one process a core is the parallelism here
    item, mark, known = job
    if known and all(_is_intact(out / name, facts) for name, facts in known["files"].items()):
        return known
    try:
        arrays = make(item)
    except OSError as error:
        seen = f"'{error.filename or item.name}' ({error.strerror or error})"
        raise TrainError(f"cannot read {seen}; get the file again") from error
    files = {name: _write(out / name, array) for name, array in arrays.items()}
    return {"item": item.name, "sources": mark, "files": files}


def _is_intact(path: Path, facts: Facts) -> bool:
    return path.is_file() and sha256_of(path.read_bytes()) == facts["sha256"]


def _write(path: Path, array: Array) -> Facts:
    """Write an array as its file name says."""
    if path.suffix == ".png":
        data = cv2.imencode(".png", array)[1].tobytes()
    else:
        buffer = BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        data = buffer.getvalue()
    write_atomically(path, data)
    shape, dtype = list(array.shape), str(array.dtype)
    return {"sha256": sha256_of(data), "shape": shape, "dtype": dtype, "bytes": len(data)}


def _told(
    done: Iterator[Record], kind: str, jobs: Sequence[Job], out: Path, tell: Callable[[str], None]
) -> Iterator[Record]:
    """Pass `done` on and tell about a hundred times how far it is."""
    total = len(jobs)
    tell(f"building {kind}: 0 of {total} items")
    for count, record in enumerate(done, 1):
        yield record
        if count == 1:
            _warn_of_full_disk(record, jobs, out, tell)
        if count == total or count % max(1, total // 100) == 0:
            tell(f"building {kind}: {count} of {total} items")


def _warn_of_full_disk(
    first: Record, jobs: Sequence[Job], out: Path, tell: Callable[[str], None]
) -> None:
    """Judge by one item what the others of its split that are not there yet will take."""
    split = first["item"].split("/")[0]
    to_make = sum(known is None and item.name.split("/")[0] == split for item, _, known in jobs)
    needed = to_make * sum(facts["bytes"] for facts in first["files"].values())
    free = shutil.disk_usage(out).free
    if needed > free:
        tell(
            f"the disk may fill up: '{split}' needs about {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free"
        )


def _say_nothing(_: str) -> None:
    """Stand in for `progress`."""


class BuiltSet:
    """The training samples of a built set, memory-mapped.

    It can be pickled, so each data-loader worker opens its own maps of the same files.
    """

    @staticmethod
    def open(folder: Path, split: str = "train") -> "BuiltSet":
        """Open the shards below `folder`/`split`.

        Raises:
            UsageError: if `folder` holds no finished set, or none of its samples is in `split`.
            TrainError: if a shard is missing, was cut, or does not fit its neighbours.
        """
        return BuiltSet(folder, split, read_manifest(folder))

    def __init__(self, folder: Path, split: str, manifest: Mapping[str, Any]) -> None:
        """Check the shards of `split` that `manifest` lists; see `open`."""
        self.folder = folder
        self.kind: str = manifest["kind"]
        self.settings: Mapping[str, Any] = manifest["settings"]
        self._shards = _shards(manifest["files"], split)
        if not self._shards:
            splits = {name.split("/")[0] for name in manifest["files"]} or {"nothing"}
            raise UsageError(
                f"'{folder}' has no samples in '{split}' (it holds: {', '.join(sorted(splits))}); "
                "build a set that has training samples, from pictures that are large enough"
            )
        self.names = tuple(self._shards)
        self.fields = tuple(sorted(self._shards[self.names[0]]))
        self._ends = list(accumulate(self._count(name) for name in self.names))
        self._maps: OrderedDict[str, Array] = OrderedDict()

    def _count(self, name: str) -> int:
        """Return the number of samples of an item, whose files must agree in it."""
        shard = self._shards[name]
        counts = {facts["shape"][0] for _, facts in shard.values()}
        if len(counts) != 1 or tuple(sorted(shard)) != self.fields:
            raise TrainError(
                f"the fields of '{name}' in '{self.folder}' do not belong together; build the "
                "data set again in an empty folder"
            )
        for file, facts in shard.values():
            path = self.folder / file
            if not path.is_file() or path.stat().st_size != facts["bytes"]:
                raise _unfit(path)
        return int(counts.pop())

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._ends[-1]

    def sample(self, index: int) -> dict[str, Array]:
        """Return sample `index` (0 to len - 1): field -> read-only view [h,w,C].

        Raises:
            IndexError: if there is no such sample.
            TrainError: if a shard is no longer what the manifest says.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        place = bisect_right(self._ends, index)
        row = index - (self._ends[place - 1] if place else 0)
        shard = self._shards[self.names[place]]
        return {field: self._map(*about)[row] for field, about in shard.items()}

    def _map(self, file: str, facts: Facts) -> Array:
        """Return a mapped shard; the one that was not used for longest gives way."""
        if file not in self._maps:
            path = self.folder / file
            try:
                mapped = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError) as error:
                raise _unfit(path) from error
            if list(mapped.shape) != facts["shape"] or str(mapped.dtype) != facts["dtype"]:
                raise _unfit(path)
            self._maps[file] = mapped
            if len(self._maps) > OPEN_MAPS:
                self._maps.popitem(last=False)
        self._maps.move_to_end(file)
        return self._maps[file]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the maps behind: another process opens its own."""
        return {**self.__dict__, "_maps": OrderedDict()}


def _shards(files: Mapping[str, Facts], split: str) -> dict[str, dict[str, tuple[str, Facts]]]:
    """Return item -> field -> file and its facts, in the order of the names."""
    shards: dict[str, dict[str, tuple[str, Facts]]] = {}
    for file in sorted(files):
        if file.startswith(f"{split}/") and file.endswith(".npy"):
            name, field, _ = file.rsplit(".", 2)
            shards.setdefault(name, {})[field] = (file, files[file])
    return shards


def _unfit(path: Path) -> TrainError:
    return TrainError(
        f"'{path}' is missing or is not as the manifest says; remove it if it is there, and run "
        "the same data build again, which makes it anew"
    )
