"""From a stream's size to an engine that may be run, on a fake GPU with a fake TensorRT.

The fake engine computes the graph it was built from with ONNX Runtime, unless it is told not to.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.errors import EngineError
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt.backend import TensorRTBackend
from crispstream.runtime.engine.building import build as building
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.retry import OutOfMemoryError
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.obtain import EngineSource, Obtained, Wish, obtain
from crispstream.runtime.engine.store.store import EngineStore
from crispstream.runtime.restorer import Restorer
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.rig import Rig
from tests.helpers.pictures import soft_picture

SIZE = (32, 24)
STATIC = BuildOptions.static(SIZE)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu())


@pytest.fixture
def bundle() -> Bundle:
    return find_model("edge-n")


def wish_for(bundle: Bundle, notes: list[str] | None = None, **facts: Any) -> Wish:
    gpu = find_gpu()
    assert isinstance(gpu, Gpu)
    notes = [] if notes is None else notes
    return Wish(bundle, bundle.graph("fp16"), "tensorrt", gpu, on_note=notes.append, **facts)


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[BuildOptions]:
    """Return a list that every build is noted in."""
    builds: list[BuildOptions] = []
    build = building.build_engine

    def noted(onnx_bytes: bytes, options: BuildOptions, **more: Any) -> Any:
        builds.append(options)
        return build(onnx_bytes, options, **more)

    monkeypatch.setattr(building, "build_engine", noted)
    return builds


def break_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every engine give black frames."""
    restored = TensorRTBackend.restored

    def black(backend: TensorRTBackend, slot: int) -> Bytes:
        return np.zeros_like(restored(backend, slot))

    monkeypatch.setattr(TensorRTBackend, "restored", black)


def test_an_engine_is_built_re_checked_and_kept_once(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = count_builds(monkeypatch)
    first = obtain(wish_for(bundle), STATIC)
    again = obtain(wish_for(bundle), STATIC)
    assert (len(builds), first.fresh, again.fresh) == (1, True, False)
    assert first.engine == again.engine
    assert first.record == again.record
    assert first.record.recheck["passed"] is True
    assert first.record.recheck["gpu"]["name"] == first.record.gpu["name"]
    assert first.path is not None
    assert first.path == again.path
    rig.gpu.check_clean()
    assert obtain(wish_for(bundle), STATIC, rebuild=True).fresh


def test_a_restorer_finds_builds_and_runs_engines(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = count_builds(monkeypatch)
    frame_hwc = soft_picture(3, 22, 30)
    with Restorer.open("edge-n", precision="fp16", backend="onnxruntime", threads=1) as restorer:
        expected_hwc = restorer.restore(frame_hwc).copy()
    for _ in range(2):
        with Restorer.open("edge-n", backend="tensorrt", size=(30, 22)) as restorer:
            assert restorer.why.startswith("fp16 in tensorrt 10.3.0 on ")
            got_hwc = restorer.restore(frame_hwc)
            np.testing.assert_array_equal(got_hwc, expected_hwc)
            with restorer.twin() as twin:
                np.testing.assert_array_equal(twin.restore(frame_hwc), expected_hwc)
    assert [str(options.profiles[0]) for options in builds] == ["32x24"]
    rig.gpu.check_clean()


def test_a_stream_takes_any_kept_engine_of_its_size_static_ones_first(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = BuildOptions((SizeRange.parse("16x16:32x24:64x48"),))
    kept = obtain(wish_for(bundle), wide)
    builds = count_builds(monkeypatch)
    source = EngineSource(wish_for(bundle))
    assert source(24, 32).engine == kept.engine
    assert builds == []
    static = obtain(wish_for(bundle), STATIC)
    assert source(24, 32).engine == static.engine
    assert source(48, 64).engine == kept.engine
    source(64, 64)
    assert [str(options.profiles[0]) for options in builds] == ["32x24", "64x64"]


def test_what_was_built_with_less_is_found_again(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = building.build_engine

    def short_of_memory(onnx_bytes: bytes, options: BuildOptions, **more: Any) -> Any:
        if options.optimisation_level is None:
            raise OutOfMemoryError("OutOfMemory")
        return build(onnx_bytes, options, **more)

    monkeypatch.setattr(building, "build_engine", short_of_memory)
    notes: list[str] = []
    first = obtain(wish_for(bundle, notes), STATIC)
    assert first.record.retries == ("out of memory: built at optimisation level 2",)
    assert notes == list(first.record.retries)
    assert not obtain(wish_for(bundle), STATIC).fresh


def test_an_engine_that_fails_is_put_aside_and_not_built_again_unasked(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_engines(broken)
        with pytest.raises(EngineError, match=r"something else than its graph: .*one colour"):
            obtain(wish_for(bundle), STATIC)
    rig.gpu.check_clean()
    store = EngineStore()
    assert store.entries() == []
    (folder,) = store.quarantined()
    evidence = json.loads((folder / "evidence.json").read_text())
    assert "one colour" in json.dumps(evidence)
    assert {"got.png", "expected.png", "frame.png"} <= {path.name for path in folder.iterdir()}
    with pytest.raises(EngineError, match=r"failed its re-check on .*--rebuild"):
        obtain(wish_for(bundle), STATIC)
    assert obtain(wish_for(bundle), STATIC, rebuild=True).record.recheck["passed"] is True
    assert not obtain(wish_for(bundle), STATIC).fresh


def test_a_failed_re_check_is_told_even_where_nothing_can_be_written(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRISPSTREAM_CACHE", "/dev/null/cache")
    break_engines(monkeypatch)
    with pytest.raises(EngineError, match=r"something else than its graph: .*one colour"):
        obtain(wish_for(bundle), STATIC)


def test_where_nothing_can_be_written_the_engine_is_used_and_a_note_says_so(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRISPSTREAM_CACHE", "/dev/null/cache")
    notes: list[str] = []
    made = obtain(wish_for(bundle, notes), STATIC)
    assert (made.path, made.fresh) == (None, True)
    assert any("cannot be kept in /dev/null/cache" in note for note in notes)
    with Restorer.open("edge-n", backend="tensorrt", size=SIZE) as restorer:
        restorer.restore(soft_picture(1, 24, 32))


def test_an_engine_of_another_version_is_explained_and_built_again(
    rig: Rig, bundle: Bundle
) -> None:
    store = EngineStore()
    old = obtain(wish_for(bundle), STATIC)
    wish = wish_for(bundle)
    store.remove(str(old.path.name if old.path else ""))
    key = replace(wish.key(STATIC), flavour_version="10.0.1")
    store.add(key, old.engine, replace(old.record, flavour_version="10.0.1"))
    notes: list[str] = []
    assert obtain(wish_for(bundle, notes), STATIC).fresh
    assert notes == [
        "the engine kept for edge-n fp16 32x24 was built by TensorRT 10.0.1, and this is 10.3.0"
    ]


def test_an_engine_built_where_no_gpu_was_is_re_checked_where_one_is(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    rig = Rig(monkeypatch, FakeGpu(), flavour="tensorrt-rtx")
    there = Wish(bundle, bundle.graph("fp16"), "tensorrt-rtx", None)
    brought = obtain(there, STATIC)
    assert brought.record.recheck == {}
    here = replace(wish_for(bundle), flavour="tensorrt-rtx")
    plan = EngineSource(here)(24, 32)
    assert plan.engine == brought.engine
    (entry,) = EngineStore().entries()
    assert entry.record is not None
    assert entry.record.recheck["passed"] is True
    rig.gpu.check_clean()


def test_every_profile_is_re_checked_and_the_worst_is_kept(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = BuildOptions((SizeRange.only((32, 24)), SizeRange.only((64, 48))))
    checked: list[tuple[int, int]] = []
    allocate = TensorRTBackend.allocate

    def noted(backend: TensorRTBackend, height: int, width: int, slots: int) -> None:
        checked.append((width, height))
        allocate(backend, height, width, slots)

    monkeypatch.setattr(TensorRTBackend, "allocate", noted)
    made: Obtained = obtain(wish_for(bundle), both)
    assert checked == [(32, 24), (64, 48)]
    assert made.record.recheck["size"] in ("32x24", "64x48")
