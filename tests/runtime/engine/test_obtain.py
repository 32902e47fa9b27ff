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
from crispstream.core.files import sha256_of
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.tensorrt.backend import TensorRTBackend
from crispstream.runtime.engine.building import build as building
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.retry import OutOfMemoryError
from crispstream.runtime.engine.device.gpu import Gpu, find_gpu
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.obtain import EngineSource, obtain
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.store import EngineStore
from crispstream.runtime.engine.wish import Obtained, Wish
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
            assert restorer.why.startswith("fp16 with tensorrt 10.3.0 on ")
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
    assert notes == ["out of memory; trying again at optimisation level 2"]
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


def test_an_engine_the_library_does_not_take_is_removed_and_built_again(
    rig: Rig, bundle: Bundle
) -> None:
    store = EngineStore()
    good = obtain(wish_for(bundle), STATIC)
    junk = b"not an engine of this library"
    record = replace(good.record, engine_sha256=sha256_of(junk), engine_bytes=len(junk))
    store.add(wish_for(bundle).key(STATIC), junk, replace(record, recheck={}))
    notes: list[str] = []
    again = obtain(wish_for(bundle, notes), STATIC)
    assert (again.fresh, again.engine) == (True, good.engine)
    assert any("is of no use here and was removed" in note for note in notes)


def test_a_stream_builds_again_what_the_library_no_longer_takes(rig: Rig, bundle: Bundle) -> None:
    store = EngineStore()
    good = obtain(wish_for(bundle), STATIC)
    junk = b"not an engine of this library"
    record = replace(good.record, engine_sha256=sha256_of(junk), engine_bytes=len(junk))
    store.add(wish_for(bundle).key(STATIC), junk, record)  # its verdict was passed here
    with Restorer.open("edge-n", backend="tensorrt", size=SIZE) as restorer:
        restorer.restore(soft_picture(1, 24, 32))
    assert obtain(wish_for(bundle), STATIC).engine == good.engine
    rig.gpu.check_clean()


def test_a_verdict_that_was_not_passed_or_is_of_another_gpu_does_not_count(
    rig: Rig, bundle: Bundle
) -> None:
    store = EngineStore()
    good = obtain(wish_for(bundle), STATIC)
    verdicts = ({"passed": False}, {"gpu": {**good.record.recheck["gpu"], "multiprocessors": "8"}})
    for other in verdicts:
        record = replace(good.record, recheck={**good.record.recheck, **other})
        store.add(wish_for(bundle).key(STATIC), good.engine, record)
        assert obtain(wish_for(bundle), STATIC).record.recheck == good.record.recheck


def test_engines_of_other_settings_of_the_kit_are_not_used(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = obtain(wish_for(bundle), STATIC)
    store = EngineStore()
    store.remove(old.path.name if old.path else "")
    record = replace(old.record, builder_recipe=0)
    store.add(EngineKey.of(record), old.engine, record)
    builds = count_builds(monkeypatch)
    EngineSource(wish_for(bundle))(24, 32)
    assert len(builds) == 1


def test_a_range_is_judged_at_its_ends_too(
    rig: Rig, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored = TensorRTBackend.restored

    def black_when_large(backend: TensorRTBackend, slot: int) -> Bytes:
        frame = restored(backend, slot)
        return np.zeros_like(frame) if frame.shape[0] > 4 * 48 else frame

    monkeypatch.setattr(TensorRTBackend, "restored", black_when_large)
    wide = BuildOptions((SizeRange.parse("16x16:64x48:96x64"),))
    with pytest.raises(EngineError, match=r"something else than its graph: .*one colour"):
        obtain(wish_for(bundle), wide)


def test_auto_takes_the_cpu_where_the_gpu_does_not_start(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise EngineError("the GPU is busy")

    monkeypatch.setattr(TensorRTBackend, "__init__", busy)
    with Restorer.open("edge-n", threads=1) as restorer:
        assert restorer.backend_name == "onnxruntime-cpu"
        assert "onnxruntime on the CPU (the GPU is busy)" in restorer.why
    with pytest.raises(EngineError, match="the GPU is busy"):
        Restorer.open("edge-n", backend="tensorrt")
