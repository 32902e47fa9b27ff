"""Checks of the folders, on machines that are played."""

from crispstream.core.errors import UsageError
from crispstream.runtime.doctor import places
from crispstream.runtime.doctor.finding import Finding
from tests.runtime.doctor.fake_machine import FakeMachine

CACHE = "/home/ann/.cache/crispstream"
LITTLE = 2**29


def test_the_cache_tells_what_is_kept() -> None:
    kept = {f"{CACHE}/engines/a.engine": "x" * 3_000_000, f"{CACHE}/engines/a.engine.json": "{}"}
    (found,) = places.cache(FakeMachine(files=kept))
    assert found == Finding("cache", "fine", f"{CACHE}: 1 engine, 3.0 MB, 50.0 GB free")
    (found,) = places.cache(FakeMachine(files=kept | {f"{CACHE}/engines/b.engine": "x"}))
    assert "2 engines, 3.0 MB" in found.seen
    (found,) = places.cache(FakeMachine())
    assert found.seen.startswith(f"{CACHE}: no engine yet")


def test_a_cache_that_cannot_be_written_is_a_problem() -> None:
    (found,) = places.cache(FakeMachine(writable=False))
    assert found.state == "problem"
    assert "export CRISPSTREAM_CACHE=" in found.fix
    assert found.seen == f"{CACHE} cannot be written, so no engine can be kept"
    (found,) = places.cache(FakeMachine(cache=UsageError("no home; set CRISPSTREAM_CACHE")))
    assert (found.state, found.seen) == ("problem", "no home")


def test_little_space_is_a_note() -> None:
    (found,) = places.cache(FakeMachine(free=LITTLE, files={f"{CACHE}/engines/a.engine": "x"}))
    assert (found.state, found.fix) == ("note", "crispstream engines prune")
    (found,) = places.cache(FakeMachine(free=LITTLE))
    assert "CRISPSTREAM_CACHE" in found.fix  # there is nothing to prune
    (found,) = places.temporary(FakeMachine(free=LITTLE))
    assert (found.state, found.fix) == ("note", "export TMPDIR=/var/tmp")


def test_engines_that_failed_their_recheck_are_told() -> None:
    _, found = places.cache(FakeMachine(files={f"{CACHE}/quarantine/edge-n": ""}))
    expected = f"1 engine failed the re-check: see {CACHE}/quarantine"
    assert found == Finding("cache", "note", expected)


def test_damaged_engines_are_told_with_the_line_that_removes_them() -> None:
    _, found = places.cache(FakeMachine(damaged={"edge-n.fp16": "it is empty"}))
    assert found == Finding(
        "cache",
        "note",
        "1 engine damaged, to be built again: edge-n.fp16 (it is empty)",
        "crispstream engines remove edge-n.fp16",
    )
    _, found = places.cache(FakeMachine(damaged={"a": "it is empty", "b": "it has no sidecar"}))
    assert found.seen == "2 engines damaged, to be built again: a (it is empty), and 1 more"
    assert found.fix == "crispstream engines remove a b"


def test_no_temporary_folder_is_a_problem() -> None:
    (found,) = places.temporary(FakeMachine(temporary_files=FileNotFoundError("none")))
    assert (found.state, found.fix) == ("problem", "export TMPDIR=/var/tmp")
    (found,) = places.temporary(FakeMachine())
    assert found == Finding("temporary", "fine", "/tmp, 50.0 GB free")
