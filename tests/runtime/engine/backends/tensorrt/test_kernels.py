"""What TensorRT-RTX compiled is kept for the next start, and loaded only with its hash."""

from pathlib import Path

import pytest

from crispstream.core.files import sha256_of
from crispstream.runtime.engine.backends.tensorrt.kernels import hash_file_of
from tests.helpers.fakes.fake_gpu import FakeGpu
from tests.helpers.fakes.fake_runtime import IRuntimeConfig
from tests.helpers.fakes.rig import HEIGHT, WIDTH, Rig


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, FakeGpu(), flavour="tensorrt-rtx")


def test_what_tensorrt_rtx_compiled_is_kept_for_the_next_start(rtx: Rig, tmp_path: Path) -> None:
    cache = tmp_path / "kernels" / "edge.cache"
    rtx.plan_options = {"runtime_cache": cache}
    for _ in range(2):
        backend = rtx.backend()
        twin = backend.twin()
        backend.allocate(HEIGHT, WIDTH, 2)
        twin.allocate(HEIGHT, WIDTH, 2)
        backend.close()
        twin.close()
    assert cache.read_bytes().startswith(b"fake kernels")
    assert hash_file_of(cache).read_text() == sha256_of(cache.read_bytes())
    assert rtx.gpu.created["compilation"] == 1
    rtx.gpu.check_clean()


def test_a_kernel_cache_that_the_library_refuses_is_made_anew(rtx: Rig, tmp_path: Path) -> None:
    cache = tmp_path / "edge.cache"
    cache.write_bytes(b"of another version")
    hash_file_of(cache).write_text(sha256_of(b"of another version"))
    rtx.plan_options = {"runtime_cache": cache}
    backend = rtx.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    assert cache.read_bytes().startswith(b"fake kernels")


def test_a_kernel_cache_that_cannot_be_read_or_written_is_a_warning(
    rtx: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    rtx.plan_options = {"runtime_cache": tmp_path / "file" / "edge.cache"}
    backend = rtx.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    told = [record.message for record in caplog.records]
    assert ["cannot be read" in told[0], "cannot be written" in told[1]] == [True, True]
    rtx.gpu.check_clean()


def test_a_kernel_cache_that_the_library_does_not_take_is_a_warning(
    rtx: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(IRuntimeConfig, "set_runtime_cache", lambda self, cache: False)
    rtx.plan_options = {"runtime_cache": tmp_path / "edge.cache"}
    backend = rtx.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    backend.close()
    assert "takes no kernel cache" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hashed", [None, "", "0" * 64])
def test_a_kernel_cache_without_its_hash_is_not_loaded(
    rtx: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, hashed: str | None
) -> None:
    """It is code: whoever may write the folder, or a disk that fails, could have changed it."""
    cache = tmp_path / "edge.cache"
    cache.write_bytes(b"fake kernels of somebody else")
    if hashed is not None:
        hash_file_of(cache).write_text(hashed)
    rtx.plan_options = {"runtime_cache": cache}
    backend = rtx.backend()
    backend.allocate(HEIGHT, WIDTH, 2)
    assert rtx.gpu.created["compilation"] == 1
    assert "edge.cache' is not what was written there, by its SHA-256" in caplog.text
    backend.close()
    assert cache.read_bytes() == b"fake kernels"
    assert hash_file_of(cache).read_text() == sha256_of(b"fake kernels")
    rtx.gpu.check_clean()
