"""Models for Triton Inference Server: what is in the folder, read back by Triton's own protobuf."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crispstream.core.bundle import Bundle, StateTensor
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.triton import (
    CONFIG,
    TritonModel,
    engine_model,
    onnx_model,
    write_model,
)
from crispstream.runtime.engine.store.record import EngineRecord
from tests.helpers.bundles import four_graphs, write_tiny_bundle

needs_tritonclient = pytest.mark.skipif(
    importlib.util.find_spec("tritonclient") is None,
    reason="tritonclient, which has Triton's protobuf, is not installed: pip install tritonclient",
)
STATIC = (SizeRange.only((320, 180)),)
RANGE = SizeRange.parse("160x180:320x180:640x180")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", four_graphs())


def record_of(profiles: Sequence[SizeRange], flavour: str = "tensorrt") -> EngineRecord:
    return EngineRecord(
        bundle="edge-s",
        graph_sha256="ab" * 32,
        precision="fp16",
        flavour=flavour,
        flavour_version="10.3.0",
        options=BuildOptions(tuple(profiles)).as_json(),
        gpu={"name": "NVIDIA L4", "compute_capability": "8.9", "driver": "CUDA 12.6"},
        engine_sha256="cd" * 32,
        engine_bytes=4,
        build_seconds=1.0,
        built_at="2026-11-21T18:00:00Z",
        crispstream_version="0.1.0",
        convolutions={},
    )


def parsed(model: TritonModel) -> Any:
    """Return the configuration as Triton reads it; an unknown field or enum is an error."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    return text_format.Parse(model.files[CONFIG].decode(), model_config_pb2.ModelConfig())


@needs_tritonclient
def test_a_static_engine_is_described_as_triton_reads_it() -> None:
    config = parsed(engine_model(b"plan", record_of(STATIC)))
    assert (config.name, config.backend, config.platform) == ("edge-s", "tensorrt", "")
    assert config.max_batch_size == 0
    assert config.default_model_filename == "model.plan"
    assert config.version_policy.latest.num_versions == 1
    (frame,), (restored,) = config.input, config.output
    assert (frame.name, list(frame.dims)) == ("frame", [1, 180, 320, 3])
    assert (restored.name, list(restored.dims)) == ("restored", [1, 720, 1280, 3])
    uint8 = type(config).DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name["TYPE_UINT8"]
    assert frame.data_type == restored.data_type == uint8.number
    (group,) = config.instance_group
    assert (group.count, group.kind, list(group.profile)) == (1, group.KIND_GPU, ["0"])
    assert config.optimization.cuda.graphs
    (warm_up,) = config.model_warmup
    assert warm_up.batch_size == 1
    assert list(warm_up.inputs["frame"].dims) == [1, 180, 320, 3]
    assert warm_up.inputs["frame"].data_type == uint8.number
    assert warm_up.inputs["frame"].zero_data
    facts = {key: value.string_value for key, value in config.parameters.items()}
    assert facts == {
        "bundle": "edge-s",
        "precision": "fp16",
        "graph_sha256": "ab" * 32,
        "engine_sha256": "cd" * 32,
        "tensorrt_version": "10.3.0",
    }


@needs_tritonclient
def test_sides_that_vary_are_free_and_every_profile_is_named_and_warmed() -> None:
    config = parsed(engine_model(b"plan", record_of([RANGE, SizeRange.only((960, 180))])))
    assert list(config.input[0].dims) == [1, 180, -1, 3]
    assert list(config.output[0].dims) == [1, 720, -1, 3]
    assert list(config.instance_group[0].profile) == ["0", "1"]
    warmed = [list(each.inputs["frame"].dims) for each in config.model_warmup]
    assert warmed == [[1, 180, 320, 3], [1, 180, 960, 3]]


@needs_tritonclient
@pytest.mark.parametrize(
    ("precision", "kind"), [("fp32", "KIND_AUTO"), ("fp16", "KIND_AUTO"), ("int8-cpu", "KIND_CPU")]
)
def test_a_graph_is_described_for_onnx_runtime(bundle: Bundle, precision: str, kind: str) -> None:
    graph = bundle.graph(precision)
    model = onnx_model(bundle, graph, STATIC)
    config = parsed(model)
    assert (config.platform, config.backend) == ("onnxruntime_onnx", "onnxruntime")
    assert config.default_model_filename == "model.onnx"
    assert list(config.input[0].dims) == [1, 180, 320, 3]
    (group,) = config.instance_group
    assert group.kind == group.Kind.Value(kind)
    assert list(group.profile) == []
    assert not config.HasField("optimization")
    assert config.parameters["graph_sha256"].string_value == graph.sha256


@needs_tritonclient
def test_odd_characters_are_quoted() -> None:
    record = replace(record_of(STATIC), flavour_version='10 "\\ü')
    assert parsed(engine_model(b"plan", record)).parameters["tensorrt_version"].string_value == (
        '10 "\\ü'
    )


def test_the_folder_is_what_triton_looks_for(tmp_path: Path, bundle: Bundle) -> None:
    repository = tmp_path / "models"
    assert (
        write_model(repository, engine_model(b"plan", record_of(STATIC))) == repository / "edge-s"
    )
    graph = bundle.graph("fp32")
    write_model(repository, onnx_model(bundle, graph, STATIC))
    found = {str(each.relative_to(repository)) for each in repository.rglob("*") if each.is_file()}
    assert found == {
        "edge-s/config.pbtxt",
        "edge-s/1/model.plan",
        "tiny/config.pbtxt",
        "tiny/1/model.onnx",
    }
    assert (repository / "edge-s/1/model.plan").read_bytes() == b"plan"
    assert (repository / "tiny/1/model.onnx").read_bytes() == bundle.graph_bytes(graph)


def test_a_model_is_replaced_only_when_told_and_only_if_it_is_one(tmp_path: Path) -> None:
    model = engine_model(b"plan", record_of(STATIC))
    write_model(tmp_path, model)
    with pytest.raises(UsageError, match="--overwrite"):
        write_model(tmp_path, model)
    write_model(tmp_path, engine_model(b"newer", record_of(STATIC)), overwrite=True)
    assert (tmp_path / "edge-s/1/model.plan").read_bytes() == b"newer"
    (tmp_path / "edge-s" / CONFIG).unlink()
    with pytest.raises(UsageError, match="is no Triton model"):
        write_model(tmp_path, model, overwrite=True)
    assert (tmp_path / "edge-s/1/model.plan").read_bytes() == b"newer"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(EngineError, match="No space left on device; choose another place"):
        write_model(tmp_path / "models", engine_model(b"plan", record_of(STATIC)))
    assert list((tmp_path / "models").iterdir()) == []


def test_what_triton_cannot_serve_is_refused(bundle: Bundle) -> None:
    with pytest.raises(
        UsageError, match=r"engines of TensorRT, not of tensorrt-rtx; .*onnxruntime"
    ):
        engine_model(b"plan", record_of(STATIC, flavour="tensorrt-rtx"))
    recurrent = replace(bundle, states=(StateTensor("seen", 8, 2),))
    with pytest.raises(UsageError, match=r"tiny carries states .*\(seen\).*without states"):
        onnx_model(recurrent, recurrent.graph("fp32"), STATIC)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "é"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a folder of a Triton repository"):
        engine_model(b"plan", replace(record_of(STATIC), bundle=name))
