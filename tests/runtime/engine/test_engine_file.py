"""Engine files as models that run: what they need to be, on a fake GPU with a fake TensorRT."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crispstream.core.errors import EngineError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu
from crispstream.runtime.engine.engine_file import (
    is_engine_file,
    open_engine_file,
    read_engine_file,
)
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.store.record import EngineRecord, write_engine
from crispstream.runtime.restorer import Restorer
from tests.helpers.engines import made_up_record, with_orders
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_plan import plan_of
from tests.helpers.fakes.rig import STATES, VERSION, Rig
from tests.helpers.pictures import soft_picture

SIZE = (32, 24)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


def written(path: Path, engine: bytes, **facts: Any) -> EngineRecord:
    """Write an engine for the GPU that is there, and its sidecar."""
    gpu = find_gpu()
    assert isinstance(gpu, Gpu)
    usual: dict[str, Any] = {
        "engine_sha256": sha256_of(engine),
        "engine_bytes": len(engine),
        "flavour": "tensorrt",
        "flavour_version": VERSION,
        "gpu": gpu.as_json(),
    }
    record = replace(with_orders(made_up_record(), profiles=["32x24"]), **{**usual, **facts})
    write_engine(path, engine, record)
    return record


def test_it_restores_frames_of_its_size(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    record = written(path, plan_of(SizeRange.only(SIZE)).to_bytes())
    file = read_engine_file(path)
    assert file.best_size == SIZE
    with Restorer(open_engine_file(file)) as restorer:
        frame = soft_picture(1, 24, 32)
        assert (restorer.restore(frame) == frame.repeat(4, axis=0).repeat(4, axis=1)).all()
        assert restorer.rung == "tiny fp16"
        assert restorer.graph_sha256 == record.graph_sha256
        assert restorer.why.endswith("from x.engine, not re-checked here")
    rig.gpu.check_clean()


def test_a_re_check_that_was_passed_on_this_gpu_is_not_missed(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    gpu = find_gpu()
    assert isinstance(gpu, Gpu)
    passed = {
        "passed": True,
        "gpu": gpu.as_json(),
        "psnr_to_fp32_db": None,
        "largest_levels": 0,
    }
    written(path, plan_of(SizeRange.only(SIZE)).to_bytes(), recheck=passed)
    opened = open_engine_file(read_engine_file(path))
    opened.backend.close()
    assert opened.why.endswith("from x.engine")
    assert opened.guarded


def test_size_multiple_and_statistics_are_those_of_the_shipped_bundle(
    rig: Rig, tmp_path: Path
) -> None:
    path, bundle = tmp_path / "x.engine", find_model("edge-n")
    graph = bundle.graph("fp16").sha256
    written(path, plan_of(SizeRange.only(SIZE)).to_bytes(), bundle="edge-n", graph_sha256=graph)
    opened = open_engine_file(read_engine_file(path))
    opened.backend.close()
    assert opened.size_multiple == bundle.size_multiple
    assert opened.input_statistics == bundle.input_statistics


def test_a_frame_of_another_size_is_refused(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    written(path, plan_of(SizeRange.only(SIZE)).to_bytes())
    restorer = Restorer(open_engine_file(read_engine_file(path)))
    with restorer, pytest.raises(EngineError, match="32x24"):
        restorer.reserve(64, 48)


def test_states_that_nothing_describes_are_refused(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    written(path, plan_of(SizeRange.only(SIZE), states=STATES).to_bytes())
    restorer = Restorer(open_engine_file(read_engine_file(path)))
    with restorer, pytest.raises(EngineError, match="the engine's tensors are"):
        restorer.reserve(*SIZE)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"flavour_version": "10.1.0"}, "built by TensorRT 10.1.0, and this is 10.3.0"),
        ({"gpu": {"name": "NVIDIA L4", "compute_capability": "8.9"}}, "built for NVIDIA L4"),
    ],
)
def test_an_engine_for_another_machine_says_so(
    rig: Rig, tmp_path: Path, facts: dict[str, object], words: str
) -> None:
    path = tmp_path / "x.engine"
    written(path, plan_of(SizeRange.only(SIZE)).to_bytes(), **facts)
    with pytest.raises(
        EngineError, match=r"does not fit this machine.*crispstream build"
    ) as caught:
        open_engine_file(read_engine_file(path))
    assert words in str(caught.value)


def test_what_is_no_engine_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    with pytest.raises(UsageError, match="there is no engine file"):
        read_engine_file(path)
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"has no sidecar x\.engine\.json"):
        read_engine_file(path)


def test_engine_files_are_known_by_their_ending(tmp_path: Path) -> None:
    assert is_engine_file("a/x.engine")
    assert is_engine_file("model.plan")
    assert not is_engine_file("edge-n")
    (tmp_path / "bundle.engine").mkdir()
    assert not is_engine_file(str(tmp_path / "bundle.engine"))
