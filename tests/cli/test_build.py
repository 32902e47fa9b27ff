"""`crispstream build` from the user's side: an engine, its sidecar, and plain refusals."""

import importlib.util
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crispstream.cli.build import build
from crispstream.core.errors import BundleError, UsageError
from crispstream.core.files import sha256_of
from crispstream.runtime.engine.store.record import read_engine
from tests.helpers.bundles import tiny_graphs, write_tiny_bundle

app = typer.Typer()
app.command()(build)
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


def run(*arguments: object) -> str:
    """Run the command; return its standard output, raise what it raises."""
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny", tiny_graphs(), certified=("fp16",)).path


@needs_rtx
def test_builds_a_file_and_names_the_next_command(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "my engines" / "a.engine"
    stdout = run(bundle, "--precision", "fp32", "--size", "64x48", "-o", output)
    assert "MB in" in stdout
    assert f"next: crispstream inspect '{output}'" in stdout
    record = read_engine(output)[1]
    assert record is not None
    assert (record.precision, record.sizes) == ("fp32", "64x48")


@needs_rtx
def test_json_is_all_there_is_on_standard_output(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.engine"
    capability = ("--compute-capability", "8.9")
    facts = json.loads(run(bundle, "--size", "64x48", *capability, "-o", output, "--json"))
    assert facts["engine"] == str(output)
    assert facts["engine_sha256"] == sha256_of(output.read_bytes())
    assert facts["precision"] == "fp16"
    assert facts["options"]["compute_capabilities"] == ["8.9"]


@needs_rtx
def test_replaces_a_file_only_when_told(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.engine"
    output.write_bytes(b"precious")
    with pytest.raises(UsageError, match="--overwrite"):
        run(bundle, "--size", "64x48", "-o", output)
    assert output.read_bytes() == b"precious"
    run(bundle, "--size", "64x48", "-o", output, "--overwrite")
    assert read_engine(output)[1] is not None


@needs_rtx
def test_an_uncertified_graph_is_built_with_a_warning(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", tiny_graphs()).path
    output = tmp_path / "a.engine"
    words = [str(bundle), "--size", "64x48", "--precision", "fp16", "-o", str(output)]
    with pytest.raises(UsageError, match="crispstream verify"):
        run(*words)
    assert not output.exists()
    result = CliRunner().invoke(app, [*words, "--allow-uncertified"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "warning: the fp16 graph of tiny is not certified" in result.stderr
    assert output.exists()


@needs_rtx
def test_a_certified_graph_is_built_without_one(bundle: Path, tmp_path: Path) -> None:
    words = [str(bundle), "--size", "64x48", "-o", str(tmp_path / "a.engine"), "--json"]
    result = CliRunner().invoke(app, [*words, "--allow-uncertified"], catch_exceptions=False)
    assert (json.loads(result.stdout)["precision"], result.stderr) == ("fp16", "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", "big"), "WIDTHxHEIGHT"),
        (("--size", "0x180"), "WIDTHxHEIGHT"),
        (("--size", "-4x180"), "WIDTHxHEIGHT"),
        (("--size", "64x48", "--compute-capability", "ada"), r"MAJOR\.MINOR"),
        (("--size", "64x48", "--backend", "onnxruntime"), "tensorrt, tensorrt-rtx"),
        (("--size", "63x48"), "multiples of 4"),
    ],
)
def test_bad_values_are_refused_before_any_work(
    bundle: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        run(bundle, *options, "-o", tmp_path / "a.engine")
    assert not (tmp_path / "a.engine").exists()


@needs_rtx
def test_a_missing_precision_and_a_folder_as_output(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="int8"):
        run(bundle, "--size", "64x48", "--precision", "int8", "-o", tmp_path / "a.engine")
    with pytest.raises(UsageError, match="is a folder"):
        run(bundle, "--size", "64x48", "-o", tmp_path)
