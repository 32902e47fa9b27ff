"""What the folder of a built data set says of itself: the journal, then the manifest.

`journal.jsonl` grows by a line for each item that is done and is removed at the end, when
`manifest.json` is written: a folder with a manifest is whole.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import sha256_of, write_atomically, write_json_atomically

SCHEMA = 1
MANIFEST = "manifest.json"
JOURNAL = "journal.jsonl"


class Facts(TypedDict):
    """What the manifest says of a file."""

    sha256: str
    shape: list[int]
    dtype: str
    bytes: int


class Record(TypedDict):
    """A line of the journal: an item that is done."""

    item: str
    sources: str
    files: dict[str, Facts]


def mark_of(sources: Sequence[Path]) -> str:
    """Return what changes when a source is replaced, and stays when all are moved elsewhere.

    Raises:
        TrainError: if a source is not there.
    """
    try:
        text = json.dumps([[path.name, path.stat().st_size] for path in sources])
    except OSError as error:
        raise TrainError(f"cannot read '{error.filename}' ({error.strerror})") from error
    return sha256_of(text.encode())[:16]


def header_of(kind: str, settings: Mapping[str, Any], marks: Mapping[str, str]) -> dict[str, Any]:
    """Return what a set is, as JSON gives it back; `marks` are those of its items by name."""
    sources = sha256_of(json.dumps(sorted(marks.items())).encode())
    about = {"schema": SCHEMA, "kind": kind, "settings": settings, "items": len(marks)}
    return dict(json.loads(json.dumps({**about, "sources": sources})))


def check_folder(out: Path) -> None:
    """Refuse a place that holds something of the user's.

    Raises:
        UsageError: if `out` is a file or a folder of other things.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is a file; name a folder for the data set")
    if not out.exists() or (out / MANIFEST).exists() or (out / JOURNAL).exists():
        return
    foreign = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if foreign:
        raise UsageError(
            f"'{out}' holds '{foreign[0]}' and is no built data set; name an empty or a new folder"
        )


def is_finished(out: Path, header: Mapping[str, Any]) -> bool:
    """Tell whether `out` holds all of this set already.

    Raises:
        UsageError: if it holds another one.
        TrainError: if its manifest cannot be read.
    """
    if not (out / MANIFEST).exists():
        return False
    found = read_manifest(out)
    _check_same(out, found, header)
    if found["sources"] != header["sources"]:
        raise UsageError(
            f"'{out}' was built from other files ({found['items']} items, now there are "
            f"{header['items']}); name another folder, or remove this one"
        )
    return True


def _check_same(out: Path, found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Refuse to mix two sets in one folder; say in what they differ."""
    old, new = found["settings"], header["settings"]
    if found["kind"] != header["kind"]:
        difference = f"a '{found['kind']}' set, not '{header['kind']}'"
    elif old != new:
        name = next(key for key in {**old, **new} if old.get(key) != new.get(key))
        difference = f"a set with {name} {old.get(name)}, not {new.get(name)}"
    else:
        return
    raise UsageError(f"'{out}' holds {difference}; name another folder, or remove this one")


def open_journal(
    out: Path, header: Mapping[str, Any], marks: Mapping[str, str]
) -> dict[str, Record]:
    """Start the journal or go on with it; return the items whose sources are as they were.

    Files of any other item are removed, for nothing would overwrite them.

    Raises:
        UsageError: if the journal is that of another set.
        OSError: if `out` cannot be written.
    """
    lines = _read_journal(out / JOURNAL)
    if lines:
        _check_same(out, lines[0], header)
    found: dict[str, Record] = {line["item"]: line for line in lines[1:]}
    kept = {name: line for name, line in found.items() if marks.get(name) == line["sources"]}
    for name in found.keys() - kept.keys():
        for file in found[name]["files"]:
            (out / file).unlink(missing_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in (header, *kept.values()))
    write_atomically(out / JOURNAL, text.encode())
    return kept


def _read_journal(path: Path) -> list[Any]:
    """Return the lines, but for one that an interrupted write left incomplete."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def close_journal(out: Path, header: Mapping[str, Any], records: Iterable[Record]) -> None:
    """Write each record into the journal as it comes, then the manifest of all.

    Raises:
        ValueError: if two items make the same file.
        OSError: if `out` cannot be written.
    """
    files: dict[str, Facts] = {}
    with (out / JOURNAL).open("a", encoding="utf-8") as journal:
        for record in records:
            journal.write(json.dumps(record) + "\n")
            journal.flush()
            twice = files.keys() & record["files"].keys()
            if twice:
                raise ValueError(f"two items make '{min(twice)}'")
            files.update(record["files"])
    write_json_atomically(out / MANIFEST, {**header, "files": dict(sorted(files.items()))})
    (out / JOURNAL).unlink()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a built set.

    Raises:
        UsageError: if there is none.
        TrainError: if it is damaged or from another version.
    """
    path = folder / MANIFEST
    if not path.exists():
        seen = "its build was interrupted" if (folder / JOURNAL).exists() else f"no {MANIFEST}"
        raise UsageError(
            f"'{folder}' holds no finished data set ({seen}); build it with: "
            f"crispstream data build KIND SRC {folder}"
        )
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        version, *_ = [content[key] for key in ("schema", "kind", "settings", "sources", "files")]
    except (ValueError, TypeError, KeyError) as error:
        raise TrainError(f"'{path}' is damaged; build the data set again") from error
    if version != SCHEMA:
        raise TrainError(
            f"'{path}' has schema {version}, this version reads {SCHEMA}; build the data set "
            "again, or use the version that built it"
        )
    return content
