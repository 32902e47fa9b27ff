"""The audio beside restored pictures: the same packets, in step, as long as the pictures."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.stream.sink import SinkOptions
from tests.helpers.media import audio_packets_of, times_of, write_video
from tests.helpers.restored import copied


def test_audio_is_copied_packet_by_packet(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, frames=30, audio_seconds=1.5)
    copied(source, target)
    assert len(audio_packets_of(source)) > 20
    assert audio_packets_of(target) == audio_packets_of(source)


def test_audio_ends_with_the_pictures_of_a_stopped_run(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, frames=30, audio_seconds=1.0)
    copied(source, target, only=15)
    times = [time for time, _ in audio_packets_of(target)]
    assert 0.4 < max(times) < 0.5


def test_audio_the_output_cannot_hold_is_refused_before_any_work(tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    with av.open(str(source), "w") as container:
        video = container.add_stream("mpeg4", rate=30)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        sound = container.add_stream("pcm_mulaw", rate=16_000)
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="bgr24")
        picture.pts = 0
        container.mux(video.encode(picture.reformat(format="yuv420p")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(UsageError, match=r"pcm_mulaw.*\.mov"):
        copied(source, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    copied(source, tmp_path / "out.mov")
    assert audio_packets_of(tmp_path / "out.mov") == audio_packets_of(source)


@pytest.mark.parametrize("rate", [25.0, 29.97, 60.0])
def test_audio_is_the_same_beside_pictures_of_a_constant_rate(tmp_path: Path, rate: float) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, frames=30, audio_seconds=1.5)
    copied(source, target, options=SinkOptions(frame_rate=rate))
    assert audio_packets_of(target) == audio_packets_of(source)
    assert abs(times_of(target)[-1] - Fraction(29, 30)) <= Fraction(1, 25)


def test_audio_goes_on_from_segment_to_segment_in_step(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    write_video(source, frames=75, audio_seconds=2.5)
    copied(source, tmp_path / "rec.mp4", options=SinkOptions(segment_seconds=1))
    packets = [
        (second + time, data)
        for second in range(3)
        for time, data in audio_packets_of(tmp_path / f"rec-{second:05d}.mp4")
    ]
    heard = [packet for packet in audio_packets_of(source) if packet[0] >= 0]  # no encoder delay
    assert len(heard) > 30
    assert packets == heard


def test_audio_before_the_first_picture_of_segments_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    write_video(source, times=[45_000 + 3000 * n for n in range(15)], audio_seconds=1.0)
    copied(source, tmp_path / "rec.mp4", options=SinkOptions(segment_seconds=1))
    packets = audio_packets_of(tmp_path / "rec-00000.mp4")
    begin = next(t for t, data in audio_packets_of(source) if data == packets[0][1])
    assert 0 <= begin - Fraction(1, 2) < Fraction(1, 10)
    assert abs(packets[0][0] - (begin - Fraction(1, 2))) <= Fraction(1, 16_000)
