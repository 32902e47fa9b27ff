"""`crispstream build --format triton` from the user's side."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crispstream.cli.build import build
from crispstream.cli.build_triton import tell_how_to_serve, triton_place
from crispstream.core.bundle import Bundle
from crispstream.core.errors import UsageError
from crispstream.runtime.engine import available
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.store.record import EngineRecord
from tests.helpers.bundles import four_graphs, write_tiny_bundle

app = typer.Typer()
app.command()(build)
ONNX = ("--format", "triton", "--backend", "onnxruntime")


def run(*arguments: object) -> str:
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", four_graphs(), certified=("fp16", "int8-cpu"))


def test_a_graph_is_served_without_building(bundle: Bundle, tmp_path: Path) -> None:
    stdout = run(bundle.path, *ONNX, "--size", "64x48", "-o", tmp_path / "my models")
    assert "tiny fp32 for Triton's ONNX Runtime backend" in stdout
    assert f"next: tritonserver --model-repository='{tmp_path / 'my models'}'" in stdout
    model = tmp_path / "my models/tiny/1/model.onnx"
    assert model.read_bytes() == bundle.graph_bytes(bundle.graph("fp32"))


def test_int8_is_the_one_for_cpus(bundle: Bundle, tmp_path: Path) -> None:
    words = ("--precision", "int8", "--size", "64x48", "-o", tmp_path / "models", "--json")
    facts = json.loads(run(bundle.path, *ONNX, *words))
    assert facts == {
        "model": str(tmp_path / "models/tiny"),
        "bundle": "tiny",
        "precision": "int8-cpu",
        "graph_sha256": bundle.graph("int8-cpu").sha256,
    }


def test_the_repository_has_a_usual_name(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(bundle.path, *ONNX, "--size", "64x48")
    assert Path("model_repository/tiny/config.pbtxt").is_file()
    with pytest.raises(UsageError, match="--overwrite"):
        run(bundle.path, *ONNX, "--size", "64x48")
    run(bundle.path, *ONNX, "--size", "64x48", "--overwrite")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--optimisation-level", "2"), "builds nothing"),
        (("--size", "63x48"), "multiples of 4"),
    ],
)
def test_what_makes_no_sense_for_a_graph_is_refused(
    bundle: Bundle, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        run(bundle.path, *ONNX, *words, "-o", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_an_uncertified_graph_needs_permission(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", four_graphs())
    words = [str(bundle.path), *ONNX, "--size", "64x48", "--precision", "fp16"]
    words += ["-o", str(tmp_path / "models")]
    with pytest.raises(UsageError, match="crispstream verify"):
        run(*words)
    result = CliRunner().invoke(app, [*words, "--allow-uncertified"], catch_exceptions=False)
    assert "warning: the fp16 graph of tiny is not certified" in result.stderr


def test_engines_that_triton_cannot_load_are_not_built(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    words = ("--format", "triton", "--backend", "tensorrt-rtx", "--size", "64x48")
    with pytest.raises(UsageError, match=r"not of tensorrt-rtx; .*--backend onnxruntime"):
        run(bundle.path, *words, "-o", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_an_engine_of_tensorrt_becomes_a_model(bundle: Bundle, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    keep = triton_place(bundle, "tensorrt", repository, overwrite=False)
    record = EngineRecord(
        bundle="tiny",
        graph_sha256="ab" * 32,
        precision="fp16",
        flavour="tensorrt",
        flavour_version="10.3.0",
        options=BuildOptions.static((64, 48)).as_json(),
        gpu={},
        engine_sha256="cd" * 32,
        engine_bytes=4,
        build_seconds=1.0,
        built_at="2026-11-21T18:00:00Z",
        crispstream_version="0.1.0",
        convolutions={},
    )
    assert keep(b"plan", record) == repository / "tiny"
    assert (repository / "tiny/1/model.plan").read_bytes() == b"plan"


def test_a_version_compatible_engine_needs_tritons_permission(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_how_to_serve(Path("models/tiny"), version_compatible=True)
    tell_how_to_serve(Path("models/tiny"))
    assert capsys.readouterr().out.splitlines() == [
        "next: tritonserver --model-repository=models "
        "--backend-config=tensorrt,version-compatible=true",
        "next: tritonserver --model-repository=models",
    ]


def test_what_auto_chose_for_triton_is_told(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(available, "is_installed", lambda module: module == "tensorrt_rtx")
    with pytest.raises(UsageError, match=r"--backend auto takes tensorrt-rtx here, .* onnxruntime"):
        run(bundle.path, "--format", "triton", "--size", "64x48")


@pytest.mark.parametrize("output", ["", "-", "x" * 300])
def test_a_repository_has_a_name(bundle: Bundle, output: str) -> None:
    with pytest.raises(UsageError, match="-o"):
        run(bundle.path, *ONNX, "--size", "64x48", "-o", output)
