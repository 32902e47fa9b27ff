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
            f"'{out}' was built from other files ({_change(found['items'], header['items'])}); "
            "name another folder, or remove this one"
        )
    return True


def _change(before: int, now: int) -> str:
    if before != now:
        return f"{before} items, now there are {now}"
    return "names or sizes of the source files have changed"


def lost_files(out: Path) -> list[str]:
    """Return the files of a finished set that are missing or have another size.

    Hashing a whole set would take minutes; what is lost or cut shows in the sizes.
    """
    return [
        name
        for name, facts in read_manifest(out)["files"].items()
        if not (out / name).is_file() or (out / name).stat().st_size != facts["bytes"]
    ]


def reopen_journal(out: Path, header: Mapping[str, Any], marks: Mapping[str, str]) -> None:
    """Turn the manifest of this very set back into the journal that it was made of.

    Raises:
        OSError: if `out` cannot be written.
    """
    manifest = read_manifest(out)
    files, made = manifest["files"], manifest["made"]
    records = [
        {"item": item, "sources": marks[item], "files": {name: files[name] for name in made[item]}}
        for item in made
    ]
    _write_journal(out, [header, *records])
    (out / MANIFEST).unlink()


def _write_journal(out: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_atomically(out / JOURNAL, text.encode())


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
        TrainError: if it is damaged.
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
    _write_journal(out, [header, *kept.values()])
    return kept


def _read_journal(path: Path) -> list[Any]:
    """Return the lines, but for one that an interrupted write left incomplete."""
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        for line in lines[:1]:
            _check_keys(line, ("kind", "settings"))
        for line in lines[1:]:
            _check_keys(line, ("item", "sources"))
            _check_files(line["files"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TrainError(
            f"'{path}' is damaged; remove the folder '{path.parent}' and run the same data build "
            "again"
        ) from error
    return lines


def _check_keys(content: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Raise KeyError or TypeError, for the caller to put in words, where something lacks."""
    for key in keys:
        content[key]


def _check_files(files: Mapping[str, Any]) -> None:
    for facts in files.values():
        _check_keys(facts, Facts.__annotations__)


def close_journal(out: Path, header: Mapping[str, Any], records: Iterable[Record]) -> None:
    """Write each record into the journal as it comes, then the manifest of all.

    Raises:
        ValueError: if two items make the same file.
        OSError: if `out` cannot be written.
    """
    files: dict[str, Facts] = {}
    made: dict[str, list[str]] = {}
    with (out / JOURNAL).open("a", encoding="utf-8") as journal:
        for record in records:
            journal.write(json.dumps(record) + "\n")
            journal.flush()
            twice = files.keys() & record["files"].keys()
            if twice:
                raise ValueError(f"two items make '{min(twice)}'")
            files.update(record["files"])
            made[record["item"]] = sorted(record["files"])
    by_name = {"made": dict(sorted(made.items())), "files": dict(sorted(files.items()))}
    write_json_atomically(out / MANIFEST, {**header, **by_name})
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
        _check_keys(content, ("schema", "kind", "settings", "items", "sources", "made"))
        _check_files(content["files"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TrainError(
            f"'{path}' is damaged; remove the folder '{folder}' and run the same data build again"
        ) from error
    if content["schema"] != SCHEMA:
        raise TrainError(
            f"'{path}' has schema {content['schema']}, this version reads {SCHEMA}; remove the "
            f"folder '{folder}' and build the data set again, or use the version that built it"
        )
    return content
