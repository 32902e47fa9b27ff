"""`crispstream build` from the user's side: an engine, its sidecar, and plain refusals."""

import importlib.util
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crispstream.cli.build import build
from crispstream.core.errors import BundleError, EngineError, MissingExtraError, UsageError
from crispstream.core.files import sha256_of
from crispstream.runtime.engine import available
from crispstream.runtime.engine.building import build as build_module
from crispstream.runtime.engine.building.build import Built
from crispstream.runtime.engine.building.retry import OutOfMemoryError
from crispstream.runtime.engine.device import gpu as gpu_module
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.store.record import read_engine
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.bundles import tiny_graphs, write_tiny_bundle

RTX = ["--backend", "tensorrt-rtx"]
app = typer.Typer()
app.command()(build)
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


def run(*arguments: object) -> str:
    """Run the command; return its standard output, raise what it raises."""
    words = [str(argument) for argument in arguments]
    if "--backend" not in words:  # auto takes TensorRT where there is a GPU: slow
        words += RTX
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny", tiny_graphs(), certified=("fp16",)).path


@needs_rtx
def test_builds_a_file_and_names_the_next_command(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "engines" / "my a.engine"
    stdout = run(bundle, "--precision", "fp32", "--size", "64x48", "-o", output)
    assert "MB, built in" in stdout
    lines = stdout.splitlines()
    assert "for Ampere (8.0) and newer" in lines[0]
    assert f"written to {output} and my a.engine.json" in lines
    assert any(line.startswith("also kept here as tiny.fp32.64x48.tensorrt-rtx-") for line in lines)
    command = "crispstream engines add 'my a.engine'"
    assert lines[-1] == f"on the device: copy both files there, then: {command}"
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
    words = [str(bundle), *RTX, "--size", "64x48", "--precision", "fp16", "-o", str(output)]
    with pytest.raises(UsageError, match="crispstream verify"):
        run(*words)
    assert not output.exists()
    result = CliRunner().invoke(app, [*words, "--allow-uncertified"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "warning: the fp16 graph of tiny is not certified" in result.stderr
    assert output.exists()


@needs_rtx
def test_a_certified_graph_is_built_without_one(bundle: Path, tmp_path: Path) -> None:
    words = [str(bundle), *RTX, "--size", "64x48", "-o", str(tmp_path / "a.engine"), "--json"]
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
        (("--size", "64x48", "--size", "63x48"), "multiples of 4"),
        (("--size", "64x48:32x32:128x96"), "must not shrink"),
        (("--format", "zip"), "no format 'zip'; choose engine or triton"),
        (("--optimisation-level", "6"), "give 0 to 5"),
        (("--builderOptimizationLevel", "6"), "give 0 to 5"),
        (("--workspace", "0"), "give 1 or more"),
        (("--hardware-compatible", "all"), "choose one of none, ampere"),
        (("--fp32",), "precision lives in the graph: use --precision fp32"),
        (("--minShapes", "x:1x2"), "use --size WIDTHxHEIGHT or SMALLEST:BEST:LARGEST"),
        (("--optShapes", "x:1x2"), "use --size WIDTHxHEIGHT or SMALLEST:BEST:LARGEST"),
        (("--maxShapes", "x:1x2"), "use --size WIDTHxHEIGHT or SMALLEST:BEST:LARGEST"),
        (("--memPoolSize", "workspace:64"), "use --workspace MIB"),
        (("--onnx", "net.onnx"), "give a shipped name or a bundle's path"),
        (("--optimization-level", "6"), "give 0 to 5"),
        (("--optimization-level", "2", "--optimisation-level", "1"), "mean the same"),
        (("--saveEngine", "b.engine"), "--output and --saveEngine mean the same"),
        (
            ("--hardware-compatible", "none", "--hardwareCompatibilityLevel", "none"),
            "mean the same; give one",
        ),
        (("--size", "100000x180"), "more than 16384 pixels"),
        (("--backend", "TensorRT-RTX"), "did you mean 'tensorrt-rtx'"),
        (("--backend", "tensorrt_rtx"), "did you mean 'tensorrt-rtx'"),
        (("--backend", "rtx"), "did you mean 'tensorrt-rtx'"),
        (("--backend", "trt"), r"did you mean 'tensorrt'\? choose one of auto, tensorrt, ten"),
        (("--backend", "tens", "--format", "triton"), "tensorrt-rtx, onnxruntime$"),
        (
            ("--backend", "tensorrt", "--compute-capability", "8.6"),
            "cannot aim at 8.6; leave out the compute capability",
        ),
        (("--fp16",), "precision lives in the graph: use --precision fp16"),
        (("--int8",), "precision lives in the graph: use --precision int8"),
        (("--best",), "precision lives in the graph: use --precision auto"),
        (("--bf16",), "precision lives in the graph: use --precision auto"),
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


@needs_rtx
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workspace", "64"), "no workspace limit"),
        (("--version-compatible",), "lean runtime"),
        (("--versionCompatible",), "lean runtime"),
        (("--hardware-compatible", "ampere+"), "give a compute capability"),
        (("--hardwareCompatibilityLevel", "ampere+"), "give a compute capability"),
        (("--hardwareCompatibilityLevel", "sameComputeCapability"), "'same-compute-capability'"),
    ],
)
def test_what_tensorrt_rtx_lacks_is_refused_before_any_work(
    bundle: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    output = tmp_path / "a.engine"
    with pytest.raises(UsageError, match=words):
        run(bundle, "--size", "64x48", *options, "-o", output)
    assert not output.exists()


@needs_rtx
def test_sizes_and_capabilities_may_be_repeated(bundle: Path, tmp_path: Path) -> None:
    sizes = ("--size", "64x48", "--size", "32x32:64x64:128x96")
    aims = ("--compute-capability", "8.6", "--compute-capability", "12.0")
    output = tmp_path / "a.engine"
    stdout = run(bundle, *sizes, *aims, "--optimisation-level", 1, "-o", output)
    assert "64x48, 32x32 to 128x96 (best 64x64)" in stdout
    assert "8.6, 12.0" in stdout
    record = read_engine(output)[1]
    assert record is not None
    assert record.options["profiles"] == ["64x48", "32x32:64x64:128x96"]
    assert record.options["compute_capabilities"] == ["8.6", "12.0"]
    assert record.options["optimisation_level"] == 1


@needs_rtx
def test_trtexec_spellings_mean_the_same(bundle: Path, tmp_path: Path) -> None:
    words = ("--builderOptimizationLevel", 2, "--hardwareCompatibilityLevel", "none")
    run(bundle, "--size", "64x48", *words, "--saveEngine", tmp_path / "a.engine")
    record = read_engine(tmp_path / "a.engine")[1]
    assert record is not None
    assert record.options["optimisation_level"] == 2


@needs_rtx
def test_without_a_file_the_engine_is_kept_and_built_once(bundle: Path) -> None:
    sizes = ("--size", "64x48", "--size", "32x32:64x64:128x96")
    first = run(bundle, *sizes)
    name = "tiny.fp16.64x48+32x32-128x96.tensorrt-rtx-"
    assert f"kept as {name}" in first
    (entry,) = EngineStore().entries()
    assert entry.path.name.startswith(name)
    assert "it was there already; --rebuild builds it again" in run(bundle, *sizes)
    facts = [json.loads(run(bundle, *sizes, *more, "--json")) for more in ([], ["--rebuild"])]
    assert [each["fresh"] for each in facts] == [False, True]
    assert len(EngineStore().entries()) == 1


@needs_rtx
def test_an_engine_that_cannot_be_kept_is_still_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRISPSTREAM_CACHE", "/dev/null/cache")
    output = tmp_path / "a.engine"
    words = [str(bundle), *RTX, "--size", "64x48", "-o", str(output)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert "note: the engine cannot be kept in /dev/null/cache/engines" in result.stderr
    assert read_engine(output)[1] is not None


@needs_rtx
def test_what_was_given_up_for_memory_is_told_on_standard_error(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_build(onnx_bytes: bytes, options: object, **_: object) -> Built:
        if getattr(options, "optimisation_level", None) is None:
            raise OutOfMemoryError("OutOfMemory")
        return Built(b"engine", ())

    monkeypatch.setattr(build_module, "build_engine", fake_build)
    words = [str(bundle), *RTX, "--size", "64x48", "-o", str(tmp_path / "a.engine"), "--json"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.stderr == "note: out of memory; trying again at optimisation level 2\n"
    told = "out of memory: built at optimisation level 2"
    assert json.loads(result.stdout)["retries"] == [told]


GPU = Gpu("NVIDIA L4", (8, 9), "CUDA 12.6", 2**34, False, multiprocessors=58)


@pytest.mark.parametrize(
    ("installed", "gpu", "words"),
    [
        (("tensorrt", "tensorrt_rtx"), GPU, "taken: tensorrt$"),
        (("tensorrt", "tensorrt_rtx"), "no GPU", "taken: tensorrt-rtx$"),
        (("tensorrt_rtx",), GPU, "taken: tensorrt-rtx$"),
    ],
)
def test_auto_takes_the_best_that_can_build_here(
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: tuple[str, ...],
    gpu: Gpu | str,
    words: str,
) -> None:
    def fake_load(flavour: str) -> None:
        raise EngineError(f"taken: {flavour}")

    monkeypatch.setattr(available, "is_installed", lambda module: module in installed)
    monkeypatch.setattr(gpu_module, "find_gpu", lambda: gpu)
    monkeypatch.setattr("crispstream.runtime.engine.native.load_flavour", fake_load)
    with pytest.raises(EngineError, match=words):
        run(bundle, "--backend", "auto")


def test_auto_names_both_extras_when_nothing_can_build(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(available, "is_installed", lambda module: False)
    with pytest.raises(MissingExtraError, match=r"crispstream\[rtx\].*crispstream\[tensorrt\]"):
        run(bundle, "--backend", "auto")


def test_tensorrt_without_a_gpu_says_why(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_module, "find_gpu", lambda: "libcuda.so.1 was not found")
    monkeypatch.setattr("crispstream.runtime.engine.native.load_flavour", lambda flavour: None)
    with pytest.raises(EngineError, match=r"none to use: libcuda\.so\.1.*--backend tensorrt-rtx"):
        run(bundle, "--backend", "tensorrt", "--size", "64x48")
