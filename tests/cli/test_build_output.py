"""Where `crispstream build` puts an engine: what it refuses before it builds, and what it tells."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crispstream.cli.build import build
from crispstream.cli.build_output import file_place, tell
from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine.store.record import read_engine, sidecar_of
from crispstream.runtime.engine.store.store import EngineStore
from crispstream.runtime.engine.wish import Obtained
from tests.helpers.bundles import four_graphs, tiny_graphs, write_tiny_bundle
from tests.helpers.engines import ENGINE, made_up_record, with_orders

RTX = ["--backend", "tensorrt-rtx", "--size", "64x48"]
app = typer.Typer()
app.command()(build)
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(write_tiny_bundle(tmp_path / "tiny", tiny_graphs(), certified=("fp16",)).path)


def refused(output: object, words: str, *, overwrite: bool = True) -> None:
    with pytest.raises(UsageError, match=words):
        file_place(str(output), overwrite=overwrite)


def test_a_sidecar_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    sidecar_of(path).write_text("precious")
    refused(path, r"a\.engine\.json exists; .*--overwrite", overwrite=False)
    file_place(str(path), overwrite=True)(ENGINE, made_up_record())
    assert read_engine(path)[0] == ENGINE


def test_an_engine_is_never_written_over_a_sidecar(tmp_path: Path) -> None:
    refused(tmp_path / "a.engine.json", r"named as the JSON file .* such as .*/a\.engine")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "given an empty name"),
        ("-", "given standard output, but what is written is more than one file"),
        ("nofolder/", r"nofolder/ is a folder; give the name of a file, nofolder/x\.engine"),
        ("/", "is a folder"),
        (".", "is a folder"),
        ("/dev/null", "no plain file, so it is not replaced"),
        ("x" * 300, "a name of 300 bytes; give one of at most 200"),
        ("x" * 300 + "/a.engine", "a name of 300 bytes"),
        ("/proc/nothing/a.engine", r"/a\.engine cannot be written \(.*choose another place with"),
    ],
)
def test_what_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(output, words)
    assert list(tmp_path.iterdir()) == []


def test_links_and_what_lies_behind_a_file_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    refused(tmp_path / "there" / "a.engine", "cannot be written")
    (tmp_path / "a.engine").symlink_to(tmp_path / "there")
    refused(tmp_path / "a.engine", r"is a link to .*/there; give that path")
    (tmp_path / "b.engine.json").symlink_to(tmp_path / "nothing")
    refused(tmp_path / "b.engine", "is a link to .*/nothing")


def test_a_place_that_will_do_is_left_as_it_was(tmp_path: Path) -> None:
    file_place(str(tmp_path / "new" / "a.engine"), overwrite=False)
    assert list(tmp_path.iterdir()) == []


@needs_rtx
def test_nothing_is_built_that_nothing_could_keep(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CRISPSTREAM_CACHE", str(tmp_path / "file"))
    words = r"no engine can be kept in .*/file/engines \(.*so none is built; give -o FILE, or set"
    with pytest.raises(EngineError, match=words):
        CliRunner().invoke(app, [bundle, *RTX], catch_exceptions=False)


@needs_rtx
def test_an_engine_that_lies_in_a_read_only_store_is_found(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    CliRunner().invoke(app, [bundle, *RTX], catch_exceptions=False)
    monkeypatch.setattr(EngineStore, "refusal", lambda self: "Read-only file system")
    result = CliRunner().invoke(app, [bundle, *RTX], catch_exceptions=False)
    assert "it was there already" in result.stdout
    with pytest.raises(EngineError, match=r"\(Read-only file system\), so none is built"):
        CliRunner().invoke(app, [bundle, *RTX, "--rebuild"], catch_exceptions=False)


@needs_rtx
def test_an_engine_that_was_built_and_could_not_be_kept_is_a_failure(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_add(self: EngineStore, *_: object) -> Path:
        raise EngineError("the disk is full")

    monkeypatch.setattr(EngineStore, "add", fake_add)
    with pytest.raises(EngineError, match="was built but could not be kept; give -o FILE"):
        CliRunner().invoke(app, [bundle, *RTX], catch_exceptions=False)


@needs_rtx
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--size", "63x48"), "multiples of 4"),
        (("--compute-capability", "9.99"), r"9\.99; it knows 7\.5, 8\.0"),
    ],
)
def test_sizes_and_capabilities_are_judged_before_the_store_is_asked(
    bundle: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    def never(self: EngineStore, *_: object) -> None:
        raise AssertionError

    for name in ("find", "lock", "refusal", "expected_seconds"):
        monkeypatch.setattr(EngineStore, name, never)
    with pytest.raises(UsageError, match=told):
        CliRunner().invoke(app, [bundle, *RTX, *words], catch_exceptions=False)


@needs_rtx
def test_int8_on_turing_is_told_before_the_build(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "tiny", four_graphs(), certified=("int8",)).path
    words = [str(path), *RTX, "--precision", "int8", "--compute-capability", "7.5"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "note: tensorrt-rtx computes int8 graphs in half for compute" in result.stderr


def test_onnx_of_trtexec_is_answered_even_without_a_bundle() -> None:
    with pytest.raises(UsageError, match="there is no --onnx: engines are built from bundles"):
        CliRunner().invoke(app, ["--onnx=net.onnx", "--saveEngine=a"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ({}, "they read: 3 half, 1 float"),
        ({"compute_capabilities": ["8.6"]}, "they read: 3 half"),
        ({"compute_capabilities": ["7.5", "8.6"]}, "they read (on 7.5): 3 half"),
        ({"profiles": ["64x48", "128x96"]}, "they read (for 64x48): 3 half"),
    ],
)
def test_what_the_count_of_convolutions_is_about(
    capsys: pytest.CaptureFixture[str], orders: dict[str, object], words: str
) -> None:
    record = with_orders(made_up_record(), **orders)
    tell(Obtained(ENGINE, replace(record, recheck={}), None, fresh=True))
    assert words in capsys.readouterr().out
