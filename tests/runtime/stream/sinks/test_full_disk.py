"""A disk that fills up: one sentence says so, and what was written plays."""

import subprocess
import sys
from pathlib import Path

import av
import pytest

from crispstream.runtime.stream.sinks.guarded import GuardedFile
from tests.helpers.restored import numbers_in

_WRITE_UNTIL_FULL = """
import resource, signal, sys
import numpy
generator = numpy.random.default_rng(0)
sys.path[:0] = sys.argv.pop().split(":")
from tests.helpers.restored import INFO, enlarged, frame_at
from crispstream.core.errors import SinkError
from crispstream.runtime.stream.sink import open_sink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
sink = open_sink(sys.argv[1], INFO, 4)
try:
    for serial in range(500):
        large = enlarged(frame_at(serial, 0))
        large[100:] = generator.integers(0, 256, large[100:].shape)
        sink.write(frame_at(serial, 3000 * serial), large)
except SinkError as error:
    print(error)
finally:
    try:
        sink.close(complete=False)
    except SinkError:
        pass
"""


def _write_until_full(path: Path, limit_bytes: int) -> str:
    """Write to a disk that takes `limit_bytes` a file; return what the error said."""
    ran = subprocess.run(
        [sys.executable, "-c", _WRITE_UNTIL_FULL, str(path), str(limit_bytes), ":".join(sys.path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    return ran.stdout


@pytest.mark.parametrize("limit_bytes", [2_000_000, 2_500_000])
def test_full_disk_is_one_sentence_and_what_was_written_plays(
    tmp_path: Path, limit_bytes: int
) -> None:
    path = tmp_path / "out.mp4"
    said = _write_until_full(path, limit_bytes)
    assert "the disk is full" in said
    assert said.count("\n") == 1
    assert path.stat().st_size <= limit_bytes
    numbers = numbers_in(path)
    assert len(numbers) >= 29
    assert numbers == list(range(len(numbers)))
    with av.open(str(path)) as container:  # nothing torn is left at the end
        assert len(list(container.decode(video=0))) == len(numbers)


def test_full_disk_before_the_first_fragment_leaves_no_stub(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    assert "the disk is full" in _write_until_full(path, 100_000)
    assert not path.exists()


def test_full_disk_leaves_matroska_up_to_its_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    assert "the disk is full" in _write_until_full(path, 2_000_000)
    numbers = numbers_in(path)
    assert len(numbers) > 10
    assert numbers == list(range(len(numbers)))


def test_full_disk_leaves_no_half_image(tmp_path: Path) -> None:
    said = _write_until_full(tmp_path / "images", 500)
    assert "the disk is full" in said
    assert list((tmp_path / "images").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_guarded_file_reports_a_failure_once_and_goes_on_pretending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlinked: list[Path] = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: unlinked.append(path))
    file = GuardedFile(Path("/dev/full"), fragmented=True)
    assert file.write(b"12345678") == 8
    assert file.error is not None
    assert file.write(b"more") == 4
    file.error = None  # a device cannot be cut
    file.close()
    assert unlinked == []  # nor may it be removed, which root could do
