"""`crispstream engines`: what it lists, shows, removes, prunes and adds."""

import errno
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from crispstream.cli.engines import engines_app
from crispstream.core.errors import EngineError, MissingExtraError, UsageError
from crispstream.runtime.engine import native
from crispstream.runtime.engine.device import gpu as gpu_module
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.record import sidecar_of, write_engine
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, PASSED, keep, made_for_4070, made_up_record, with_orders

HERE = Gpu("NVIDIA GeForce RTX 4070", (8, 9), "580.95.05", 12 << 30, False, multiprocessors=46)
VERSIONS = {"tensorrt": "10.16.1.11", "tensorrt-rtx": "1.7.1.116"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineStore:
    """Return the user's store on a machine with a GPU and both libraries."""
    monkeypatch.setenv("CRISPSTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gpu_module, "find_gpu", lambda: HERE)
    monkeypatch.setattr(
        native, "load_flavour", lambda flavour: SimpleNamespace(__version__=VERSIONS[flavour])
    )
    return EngineStore()


def run(*words: object):
    arguments = [str(word) for word in words]
    return CliRunner().invoke(engines_app, arguments, catch_exceptions=False)


def said(*words: object) -> str:
    """Return the output of a command that succeeds, its lines joined."""
    result = run(*words)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_an_empty_store_names_the_command_that_builds(store: EngineStore) -> None:
    answer = said("list")
    assert answer.startswith(f"no engines are kept in {store.engines} yet")
    assert "crispstream build edge-s" in answer
    assert json.loads(run("list", "--json").stdout)["engines"] == []


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_list_fits_the_terminal_and_its_names_can_be_used(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    fits = keep(store, replace(made_for_4070(), recheck=PASSED), used_days_ago=3)
    keep(store, made_up_record(bundle="older", flavour_version="1.4"))
    lines = run("list").stdout.splitlines()
    assert max(map(len, lines[:-1])) <= columns  # the last one has the folder's path
    row = next(line for line in lines if "tiny fp16" in line)
    assert store.entry(row.split()[0]).path == fits
    text = " ".join(" ".join(lines).split())
    assert "tiny fp16 320x180; TensorRT 10.16.1.11; for NVIDIA GeForce RTX 4070 (8.9)" in text
    assert "used 3 days ago, re-check passed, fits this machine" in text
    assert "older fp16 320x180; TensorRT-RTX 1.4; for Ampere (8.0) and newer" in text
    assert "re-check not run, does not fit: built by TensorRT-RTX 1.4, and this is 1.7.1" in text
    assert f"2 engines, {counted_bytes(store)} of at most 8.0 GB" in text


def counted_bytes(store: EngineStore) -> str:
    return f"{sum(entry.disk_bytes for entry in store.entries()) / 1e3:.1f} kB"


def test_damaged_engines_are_listed_with_the_reason(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    keep(store, made_up_record()).write_bytes(b"")
    (store.engines / "foreign.engine").write_bytes(b"?")
    answer = said("list")
    assert "damaged: it is empty" in answer
    assert "foreign 0.0 kB, used just now, damaged: it has no sidecar" in answer


def test_an_engine_without_record_is_listed_by_its_files_name(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = keep(store, made_up_record())
    sidecar_of(path).write_text("{")
    name = path.name.removesuffix(".engine")
    assert f"{name[-8:]} {name} " in said("list")


def test_the_same_words_for_damage_in_list_and_show(store: EngineStore) -> None:
    keep(store, made_up_record()).write_bytes(ENGINE[:4])
    damage = "it was cut off after 4 of 14 bytes"
    assert f"damaged: {damage}" in said("list")
    assert f"damage │ {damage}" in said("show", "tiny")


@pytest.mark.parametrize(
    ("schema", "words"),
    [(99, "it is of a newer crispstream"), (1, "it is of an older crispstream")],
)
def test_an_engine_of_another_kit_is_not_called_damaged(
    store: EngineStore, schema: int, words: str
) -> None:
    keep(store, replace(made_up_record(), schema=schema))
    assert f"cannot be used: {words} (its sidecar has schema {schema}" in said("list")
    (entry,) = json.loads(run("list", "--json").stdout)["engines"]
    assert entry["damage"] == ""
    assert entry["misfit"].startswith(words)


def test_a_place_that_cannot_be_read_is_not_called_empty(
    store: EngineStore, tmp_path: Path
) -> None:
    store.folder.write_bytes(b"")
    for words in (["list"], ["show", "a"], ["remove", "--all"], ["prune"], ["list", "--json"]):
        with pytest.raises(EngineError, match=r"cannot be listed \(a file is where"):
            run(*words)


def test_where_no_engine_can_be_kept_the_empty_list_says_so(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EngineStore, "refusal", lambda _: "Read-only file system")
    answer = said("list")
    assert "and none can be (Read-only file system); set CRISPSTREAM_CACHE" in answer
    assert "build one with" not in answer


def test_long_names_without_digits_are_folded_not_cut(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    store.engines.mkdir(parents=True)
    (store.engines / f"{'long' * 30}.engine").write_bytes(b"?")
    assert "…" not in run("list").stdout


def test_without_gpu_or_library_the_list_says_so(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(gpu_module, "find_gpu", lambda: "no NVIDIA driver")
    keep(store, made_up_record())
    assert "does not fit: no GPU here" in said("list")

    def missing(flavour: str) -> None:
        raise MissingExtraError(f"no {flavour}")

    monkeypatch.setattr(native, "load_flavour", missing)
    assert "does not fit: no TensorRT-RTX here" in said("list")


def test_json_has_the_records(store: EngineStore) -> None:
    keep(store, made_up_record(flavour_version="1.4"))
    (entry,) = json.loads(run("list", "--json").stdout)["engines"]
    assert entry["bundle"] == "tiny"
    assert entry["misfit"] == "built by TensorRT-RTX 1.4, and this is 1.7.1.116"
    assert entry["damage"] == ""
    assert json.loads(run("show", "tiny", "--json").stdout) == entry


def test_show_tells_everything_and_checks_the_hash(store: EngineStore) -> None:
    path = keep(store, made_for_4070())
    answer = said("show", "tiny.fp16")
    assert "gpu.driver │ 580.65.06" in answer
    assert "options.profiles │ 320x180" in answer
    path.write_bytes(b"x" * len(ENGINE))
    assert "not the engine its" in said("show", "tiny.fp16")
    with pytest.raises(UsageError, match="crispstream engines list"):
        run("show", "nothing")


def test_show_has_one_word_for_what_is_not_set(store: EngineStore) -> None:
    keep(store, with_orders(made_up_record(ENGINE * 1000), workspace_mib=None))
    answer = said("show", "tiny")
    assert "options.workspace mib │ -" in answer
    assert "options.compute capabilities │ -" in answer
    assert "options.version compatible │ no" in answer
    assert "recheck │ not run" in answer
    assert "engine bytes │ 14,000" in answer
    assert not {"None", "False"} & set(answer.split())


def test_remove_takes_parts_of_names_and_all(store: EngineStore) -> None:
    for name in ("one", "two", "three"):
        keep(store, made_up_record(bundle=name, graph_sha256=f"{len(name)}{name}"))
    assert said("remove", "one", "one.fp16").count("removed one.fp16.320x180") == 1
    with pytest.raises(UsageError, match="no engine in the store has 'four'"):
        run("remove", "two", "four")
    assert len(store.entries()) == 2
    assert len(json.loads(run("remove", "--all", "--json").stdout)["removed"]) == 2
    assert said("remove", "--all") == "nothing to remove"


def test_one_that_cannot_be_removed_does_not_hold_up_the_others(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        keep(store, made_up_record(bundle=name, graph_sha256=name))
    unlink = Path.unlink

    def stuck(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("two."):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", stuck)
    result = CliRunner().invoke(engines_app, ["remove", "--all"])
    assert result.stdout.count("removed ") == 2
    assert re.search(
        r"cannot be removed: two\S+ \(Operation not permitted\); check", str(result.exception)
    )
    assert [entry.name[:4] for entry in store.entries()] == ["two."]
    result = CliRunner().invoke(engines_app, ["prune", "--limit", "0MB", "--json"])
    assert json.loads(result.stdout)["removed"] == []
    assert list(json.loads(result.stdout)["stuck"].values()) == ["Operation not permitted"]
    assert isinstance(result.exception, EngineError)


def test_what_is_no_file_is_no_engine(store: EngineStore) -> None:
    keep(store, made_up_record())
    (store.engines / "folder.engine").mkdir()
    assert len(json.loads(run("remove", "--all", "--json").stdout)["removed"]) == 1
    assert (store.engines / "folder.engine").is_dir()


@pytest.mark.parametrize("words", [[], ["one", "--all"]])
def test_remove_needs_names_or_all(store: EngineStore, words: list[str]) -> None:
    keep(store, made_up_record(bundle="one"))
    with pytest.raises(UsageError, match="or --all; see them with: crispstream engines list"):
        run("remove", *words)
    assert len(store.entries()) == 1


def test_prune_by_days_and_by_size(store: EngineStore) -> None:
    for days, name in ((40, "old"), (9, "mid"), (1, "new")):
        keep(store, made_up_record(bundle=name, graph_sha256=name), used_days_ago=days)
    answer = said("prune", "--unused", 30)
    assert answer.startswith("removed old.fp16.320x180")
    assert f"2 engines, {counted_bytes(store)} kept in {store.engines}" in answer
    assert said("prune").startswith("nothing to remove")
    assert "removed mid" in said("prune", "--limit", "0.001MB")
    assert json.loads(run("prune", "--limit", "0MB", "--json").stdout)["removed"][0][:3] == "new"


@pytest.mark.parametrize("size", ["4", "GB", "-1GB", "4XB", "4 PB", "1e3MB"])
def test_a_size_without_a_unit_is_refused(store: EngineStore, size: str) -> None:
    with pytest.raises(UsageError, match="give for instance 4GB"):
        run("prune", f"--limit={size}")


@pytest.mark.parametrize("size", ["1TB", "1tb", "1 Tib", "9gb", "9000mB", "9000000kb"])
def test_sizes_may_be_large_and_their_letters_small(store: EngineStore, size: str) -> None:
    keep(store, made_up_record())
    assert said("prune", f"--limit={size}").startswith("nothing to remove")


def test_add_keeps_a_file_and_says_whether_it_will_run(store: EngineStore, tmp_path: Path) -> None:
    good, other = tmp_path / "good.engine", tmp_path / "other.engine"
    write_engine(good, ENGINE, made_for_4070())
    assert said("add", good).startswith("kept as tiny.fp16.320x180.NVIDIA-GeForce-RTX-4070-8.9.")
    assert "will not run" not in said("add", good)
    write_engine(other, ENGINE, made_for_4070(flavour_version="10.3.0"))
    answer = said("add", other)
    assert "will not run on this machine: built by TensorRT 10.3.0, and this is 10.16" in answer
    assert json.loads(run("add", other, "--json").stdout)["flavour_version"] == "10.3.0"
    assert len(store.entries()) == 2


def test_add_refuses_what_nothing_vouches_for(store: EngineStore, tmp_path: Path) -> None:
    file = tmp_path / "a.engine"
    file.write_bytes(ENGINE)
    with pytest.raises(UsageError, match="has no sidecar"):
        run("add", file)
    write_engine(file, ENGINE, made_up_record())
    file.write_bytes(ENGINE[:5])
    with pytest.raises(EngineError, match="it was cut off"):
        run("add", file)


def test_engines_that_failed_their_recheck_are_named(store: EngineStore) -> None:
    record = made_up_record()
    folder = store.quarantine(EngineKey.of(record), ENGINE, record, {}, {}, b"")
    assert f"failed its re-check: {folder}" in run("list").stdout.replace("\n", "")
    assert json.loads(run("list", "--json").stdout)["quarantined"] == [str(folder)]
