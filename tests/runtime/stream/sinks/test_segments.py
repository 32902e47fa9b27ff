"""Recordings in segments: each plays alone, none is replaced, and a full disk ends nothing."""

import contextlib
import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.core.errors import SinkError
from crispstream.runtime.stream.sink import Sink, SinkOptions, open_sink
from crispstream.runtime.stream.sinks import segments
from crispstream.runtime.stream.sinks.guarded import GuardedFile
from crispstream.runtime.stream.sinks.segments import RETRY_SECONDS, SegmentSink
from tests.helpers.media import times_of
from tests.helpers.restored import INFO, STEP, enlarged, frame_at, numbers_in

EACH_SECOND = SinkOptions(segment_seconds=1)


def _record(sink: Sink, serials: range, *, then: Callable[[int], None] | None = None) -> None:
    for serial in serials:
        frame = frame_at(serial, STEP * serial)
        sink.write(frame, enlarged(frame))
        if then is not None:
            then(serial)


def test_each_segment_begins_with_a_key_frame_at_time_zero(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "rec.mp4"), INFO, 4, options=EACH_SECOND)
    _record(sink, range(70))
    sink.close()
    names = [f"rec-{number:05d}.mp4" for number in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [numbers_in(tmp_path / name) for name in names] == [
        list(range(30)),
        list(range(30, 60)),
        list(range(60, 70)),
    ]
    for name in names:
        assert times_of(tmp_path / name)[0] == 0
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].frames in (30, 10)  # an index: it is finished
            assert next(container.decode(video=0)).key_frame
    assert (sink.figures(), sink.lost) == ({"segments": 3}, 0)


def test_segments_keep_to_the_clock_whatever_the_gaps(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "rec.mkv"), INFO, 4, options=EACH_SECOND)
    for serial, seconds in enumerate((100.0, 100.9, 101.4, 104.7, 105.0)):
        sink.write(frame := frame_at(serial, round(90_000 * seconds)), enlarged(frame))
    sink.close()
    assert [numbers_in(path) for path in sorted(tmp_path.iterdir())] == [[0, 1], [2], [3], [4]]


def test_the_last_picture_of_a_segment_lasts_to_the_next_one(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "rec.mp4"), INFO, 4, options=EACH_SECOND)
    for serial, pts in enumerate((0, 45_000, 99_000)):
        sink.write(frame := frame_at(serial, pts, duration=0), enlarged(frame))
    sink.close()
    with av.open(str(tmp_path / "rec-00000.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base * 90_000 == 99_000


def test_constant_rate_goes_on_over_the_border(tmp_path: Path) -> None:
    options = SinkOptions(segment_seconds=1, frame_rate=10)
    sink = open_sink(str(tmp_path / "rec.mp4"), INFO, 4, options=options)
    for serial, pts in enumerate((0, 45_000, 108_000)):
        sink.write(frame := frame_at(serial, pts, 9000), enlarged(frame))
    sink.close()
    numbers = [numbers_in(path) for path in sorted(tmp_path.iterdir())]
    assert numbers == [[0] * 5 + [1] * 7, [2]]
    assert sink.figures()["repeated_frames"] == 10


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_restarted_recorder_numbers_on(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "rec-00041.mp4").write_bytes(b"precious")
    (tmp_path / "rec-99.mp4").write_bytes(b"another's")
    options = EACH_SECOND
    sink = open_sink(str(tmp_path / "rec.mp4"), INFO, 4, overwrite=overwrite, options=options)
    (tmp_path / "rec-00042.mp4").write_bytes(b"came in between")
    _record(sink, range(2))
    sink.close()
    assert (tmp_path / "rec-00041.mp4").read_bytes() == b"precious"
    assert (tmp_path / "rec-00042.mp4").read_bytes() == b"came in between"
    assert numbers_in(tmp_path / "rec-00043.mp4") == [0, 1]


class _FakeDisk:
    """A disk that is full, or not, when told so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self._write = GuardedFile.write
        monkeypatch.setattr(GuardedFile, "write", lambda file, data: self._written(file, data))
        monkeypatch.setattr(segments, "check_room", lambda folder: self._check())

    def _check(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _written(self, file: GuardedFile, data: bytes) -> int:
        if self.full and file.error is None:
            self._write(file, bytes(data)[: len(data) // 2])
            file.error = OSError(errno.ENOSPC, "No space left on device")
        return self._write(file, data)


def test_full_disk_keeps_what_is_there_and_records_on_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, disk = FakeClock(), _FakeDisk(monkeypatch)
    monkeypatch.setattr("crispstream.runtime.stream.sinks.writer._MUXED_IN_BLOCKS_OF", 1 << 10)
    path = tmp_path / "rec.mp4"
    sink = SegmentSink(path, INFO, 4, segment_seconds=4, options=SinkOptions(), clock=clock)

    def live(serial: int) -> None:
        clock.advance(33_333_333)
        disk.full = 200 <= serial < 400

    with caplog.at_level(logging.WARNING):
        _record(sink, range(600), then=live)
        sink.close()
    numbers = [numbers_in(path) for path in sorted(tmp_path.iterdir())]
    assert numbers[0] == list(range(120))
    assert numbers[1] == list(range(120, 120 + len(numbers[1])))
    assert 30 <= len(numbers[1]) <= 81  # cut behind a whole fragment
    first = numbers[2][0]
    assert first is not None
    assert 400 <= first <= 400 + 30 * RETRY_SECONDS + 1
    assert [number for each in numbers[2:] for number in each] == list(range(first, 600))
    assert sink.lost == 600 - sum(len(each) for each in numbers)
    assert sink.figures()["segments"] == len(numbers)
    said = [record.message for record in caplog.records]
    assert len(said) == 2  # once for each change
    assert "the disk is full" in said[0]
    assert f"{sink.lost} frames are lost" in said[1]


def test_frames_are_lost_and_not_their_repetitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _FakeDisk(monkeypatch)
    monkeypatch.setattr("crispstream.runtime.stream.sinks.writer._MUXED_IN_BLOCKS_OF", 1 << 10)
    path, options = tmp_path / "rec.mp4", SinkOptions(frame_rate=90)
    sink = SegmentSink(path, INFO, 4, segment_seconds=9, options=options, clock=FakeClock())
    for serial in range(80):
        disk.full = serial >= 70
        _record(sink, range(serial, serial + 1))
    sink.close()
    (recorded,) = tmp_path.iterdir()
    assert 30 <= len(set(numbers_in(recorded))) < 70
    assert sink.lost == 80 - len(set(numbers_in(recorded)))
    assert sink.figures()["repeated_frames"] > 100


def test_a_disk_full_from_the_start_to_the_end_leaves_nothing_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _FakeDisk(monkeypatch)
    disk.full = True
    clock = FakeClock()
    sink = SegmentSink(
        tmp_path / "rec.mkv", INFO, 4, segment_seconds=1, options=SinkOptions(), clock=clock
    )
    _record(sink, range(40))
    sink.close()
    assert (sink.figures(), sink.lost) == ({}, 40)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_refuses_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crispstream.runtime.stream.sinks.encoder._MOST_PX", 1 << 20)
    options = SinkOptions(size=(16_388, 16), segment_seconds=1)
    sink = open_sink(str(tmp_path / "rec.mp4"), INFO, 4, options=options)
    with pytest.raises(SinkError, match="after 0 frames"):
        sink.write(frame_at(0, 0), np.zeros((16, 16_388, 3), np.uint8))
    with contextlib.suppress(SinkError):
        sink.close(complete=False)
    assert list(tmp_path.iterdir()) == []


_RECORD_FOR_EVER = """
import sys
sys.path[:0] = sys.argv.pop().split(":")
from crispstream.runtime.stream.sink import SinkOptions, open_sink
from tests.helpers.restored import INFO, STEP, enlarged, frame_at
sink = open_sink(sys.argv[1], INFO, 4, options=SinkOptions(segment_seconds=2))
for serial in range(1_000_000):
    frame = frame_at(serial % 200, STEP * serial)
    sink.write(frame, enlarged(frame))
    if serial == 160:
        print("enough", flush=True)
        sys.stdin.readline()
"""


def test_segments_survive_sigkill(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _RECORD_FOR_EVER, str(tmp_path / "rec.mp4"), ":".join(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    ) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == b"enough\n"
        os.kill(recorder.pid, signal.SIGKILL)
    first, second, third = (numbers_in(path) for path in sorted(tmp_path.iterdir()))
    assert (first, second) == (list(range(60)), list(range(60, 120)))
    assert third == list(range(120, 120 + len(third)))
