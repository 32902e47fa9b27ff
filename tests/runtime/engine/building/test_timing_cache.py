"""TensorRT's timing cache: kept from build to build, and replaced where it cannot be used."""

import importlib.util
import sys
from pathlib import Path

import pytest

from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.timing_cache import keep_timing_cache, use_timing_cache
from crispstream.runtime.engine.native import Heard
from tests.helpers.graphs import small_net

STATIC = BuildOptions.static((64, 48))
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


class FakeTimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytearray:
        return bytearray(self.data)


class FakeCachingConfig:
    """A configuration that takes caches beginning with "ok", and says of others what it is told."""

    def __init__(self, heard: Heard, *, says: str = "", makes_none: bool = False) -> None:
        self.used: FakeTimingCache | None = None
        self.mismatch_allowed: list[bool] = []
        self._heard, self._says, self._makes_none = heard, says, makes_none

    def create_timing_cache(self, data: bytes) -> FakeTimingCache | None:
        if data and not data.startswith(b"ok"):
            if self._makes_none:
                return None
            if self._says:  # as TensorRT does: it warns and makes an empty one
                self._heard.warnings.append(self._says)
                self._heard.errors.append("Error Code 4: magic tag does not match")
                return FakeTimingCache(b"")
        return FakeTimingCache(data)

    def set_timing_cache(self, cache: FakeTimingCache, ignore_mismatch: bool) -> bool:
        self.mismatch_allowed.append(ignore_mismatch)
        if cache.data and not cache.data.startswith(b"ok"):
            return False
        self.used = cache
        return True

    def get_timing_cache(self) -> FakeTimingCache | None:
        return self.used


def test_what_one_build_measured_starts_the_next(tmp_path: Path) -> None:
    path, heard = tmp_path / "engines" / "timings", Heard()
    first = FakeCachingConfig(heard)
    assert use_timing_cache(first, path, heard) == ""
    assert first.used is not None
    first.used.data = b"ok: measured"
    assert keep_timing_cache(first, path) == ""
    second = FakeCachingConfig(heard)
    assert use_timing_cache(second, path, heard) == ""
    assert second.used is not None
    assert second.used.data == b"ok: measured"
    assert second.mismatch_allowed == [False]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"says": "Failed to deserialize timing cache."}, "Error Code 4: magic tag"),
        ({"makes_none": True}, "another GPU or by another version"),
        ({}, "another GPU or by another version"),
    ],
)
def test_a_cache_that_cannot_be_used_is_replaced_with_a_warning(
    tmp_path: Path, fault: dict, words: str
) -> None:
    path, heard = tmp_path / "timings", Heard(errors=["of the build"], warnings=["before"])
    path.write_bytes(b"damaged")
    config = FakeCachingConfig(heard, **fault)
    warning = use_timing_cache(config, path, heard)
    assert warning.startswith(f"the timing cache {path} is not used and will be replaced: ")
    assert words in warning
    assert config.used is not None
    assert config.used.data == b""
    config.used.data = b"ok: new"
    assert keep_timing_cache(config, path) == ""
    assert path.read_bytes() == b"ok: new"
    # What was said of the cache is not taken for the first error of the build.
    assert (heard.errors, heard.warnings) == (["of the build"], ["before"])


def test_a_cache_that_cannot_be_read_or_written_does_not_stop_the_build(tmp_path: Path) -> None:
    heard = Heard()
    config = FakeCachingConfig(heard)
    assert "cannot be read" in use_timing_cache(config, tmp_path, heard)
    assert config.used is not None
    assert "could not be written" in keep_timing_cache(config, tmp_path)


def test_without_a_cache_nothing_is_written(tmp_path: Path) -> None:
    assert keep_timing_cache(FakeCachingConfig(Heard()), tmp_path / "timings") == ""
    assert list(tmp_path.iterdir()) == []


@needs_rtx
def test_a_timing_cache_is_kept_and_a_damaged_one_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # TensorRT-RTX stands in for TensorRT: it measures nothing, and says that it is deprecated.
    import tensorrt_rtx

    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_rtx)
    path = tmp_path / "timings"
    with pytest.warns(DeprecationWarning, match="Timing cache"):
        first = build_engine(small_net(), STATIC, flavour="tensorrt", timing_cache=path)
    assert first.warnings == ()
    kept = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.warns(DeprecationWarning, match="Timing cache"):
        second = build_engine(small_net(), STATIC, flavour="tensorrt", timing_cache=path)
    assert len(second.warnings) == 1
    assert "will be replaced" in second.warnings[0]
    assert path.read_bytes() == kept
    assert second.plan == first.plan


@needs_rtx
def test_tensorrt_rtx_uses_no_timing_cache(tmp_path: Path) -> None:
    build_engine(small_net(), STATIC, timing_cache=tmp_path / "timings")
    assert list(tmp_path.iterdir()) == []
