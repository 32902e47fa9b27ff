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
    assert found == Finding("cache", "fine", f"{CACHE}: 1 engines, 3.0 MB, 50.0 GiB free")
    (found,) = places.cache(FakeMachine())
    assert found.seen.startswith(f"{CACHE}: no engine yet")


def test_a_cache_that_cannot_be_written_is_a_problem() -> None:
    (found,) = places.cache(FakeMachine(writable=False))
    assert found.state == "problem"
    assert "export CRISPSTREAM_CACHE=" in found.fix
    (found,) = places.cache(FakeMachine(cache=UsageError("no home; set CRISPSTREAM_CACHE")))
    assert (found.state, found.seen) == ("problem", "no home")


def test_little_space_is_a_note() -> None:
    (found,) = places.cache(FakeMachine(free=LITTLE))
    assert (found.state, found.fix) == ("note", "crispstream engines prune")
    (found,) = places.temporary(FakeMachine(free=LITTLE))
    assert (found.state, found.fix) == ("note", "export TMPDIR=/var/tmp")


def test_engines_that_failed_their_recheck_are_told() -> None:
    _, found = places.cache(FakeMachine(files={f"{CACHE}/quarantine/edge-n": ""}))
    expected = f"1 engines failed their re-check: see {CACHE}/quarantine"
    assert found == Finding("cache", "note", expected)


def test_no_temporary_folder_is_a_problem() -> None:
    (found,) = places.temporary(FakeMachine(temporary_files=FileNotFoundError("none")))
    assert (found.state, found.fix) == ("problem", "export TMPDIR=/var/tmp")
    (found,) = places.temporary(FakeMachine())
    assert found == Finding("temporary", "fine", "/tmp, 50.0 GiB free")
