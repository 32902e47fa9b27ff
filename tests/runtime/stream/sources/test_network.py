"""Streams from the network: from files, from a small HTTP server, and over UDP."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.stream.live.feed import LONGEST_READ_SECONDS, Picture
from crispstream.runtime.stream.sources import network
from crispstream.runtime.stream.sources.network import NetworkFeed, network_feed
from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers import media
from tests.helpers.http_camera import free_port, serving


def read_until_it_breaks(feed: NetworkFeed, waits: list[float] | None = None) -> str:
    """What the feed said at last; `waits` takes the seconds that each read took."""
    try:
        while True:
            begun = time.monotonic()
            feed.read()
            if waits is not None:
                waits.append(time.monotonic() - begun)
    except SourceError as error:
        return str(error)


def pictures_until_the_end(feed) -> list[Picture]:
    pictures = []
    with contextlib.suppress(SourceError):
        while True:
            if (picture := feed.read()) is not None:
                pictures.append(picture)
    feed.close()
    feed.close()
    return pictures


def numbers(pictures: list[Picture]) -> list[int | None]:
    return [
        read_counter(p.pixels_hwc, p.pixels_hwc.shape[1], p.pixels_hwc.shape[0]) for p in pictures
    ]


def test_every_picture_of_a_live_http_stream_comes_in_order(tmp_path):
    media.write_video(tmp_path / "a.ts", frames=12, tags={"colorspace": 1, "color_range": 2})
    with serving(camera=(tmp_path / "a.ts").read_bytes()) as address:
        feed = network_feed(f"{address}/camera", "cpu")()
        pictures = pictures_until_the_end(feed)
    assert numbers(pictures) == list(range(12))
    assert {later.pts - one.pts for one, later in itertools.pairwise(pictures)} == {3000}
    assert feed.time_base == Fraction(1, 90_000)
    assert (feed.colour.matrix, feed.colour.full_range) == ("bt709", True)
    assert sum(picture.skipped for picture in pictures) == 0


def test_jpegs_over_http_have_no_times_rather_than_made_up_ones():
    parts = []
    for number in range(6):
        jpeg = cv2.imencode(".jpg", media.numbered_frame(number))[1].tobytes()
        head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        parts.append(head.encode() + jpeg + b"\r\n")
    with serving(camera=b"".join(parts)) as address:
        feed = network_feed(f"{address}/camera", "cpu")()
        pictures = pictures_until_the_end(feed)
    assert numbers(pictures)[:5] == [0, 1, 2, 3, 4]
    assert {picture.pts for picture in pictures} == {None}
    assert feed.frame_rate is None


def test_the_end_of_a_stream_is_told(tmp_path):
    media.write_video(tmp_path / "a.ts")
    feed = NetworkFeed(str(tmp_path / "a.ts"), None)
    assert "a.ts' was ended by its sender" in read_until_it_breaks(feed)
    feed.close()


def test_a_stream_joined_midway_begins_with_its_first_keyframe_and_counts_nothing_lost(tmp_path):
    options = {"g": "10", "preset": "ultrafast", "crf": "10", "x264-params": "repeat-headers=1"}
    media.write_video(tmp_path / "a.ts", frames=30, options=options)
    data = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "rest.ts").write_bytes(data[len(data) // 188 // 5 * 188 :])
    pictures = pictures_until_the_end(NetworkFeed(str(tmp_path / "rest.ts"), None))
    assert numbers(pictures) in (list(range(10, 30)), list(range(20, 30)))
    assert pictures[0].skipped == 0


def test_pictures_that_do_not_decode_are_counted(tmp_path):
    media.write_with_a_hole(tmp_path / "hole.mp4")
    pictures = pictures_until_the_end(NetworkFeed(str(tmp_path / "hole.mp4"), None))
    assert sum(picture.skipped for picture in pictures) > 0
    assert len(pictures) > 20
    assert numbers(pictures)[-1] == 39


def test_a_stream_may_change_its_size(tmp_path):
    for name, width, height in (("a.ts", 64, 48), ("b.ts", 96, 64)):
        options = {"x264-params": "repeat-headers=1", "preset": "ultrafast", "crf": "10"}
        media.write_video(tmp_path / name, frames=8, width=width, height=height, options=options)
    both = (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    (tmp_path / "both.ts").write_bytes(both)
    pictures = pictures_until_the_end(NetworkFeed(str(tmp_path / "both.ts"), None))
    shapes = [picture.pixels_hwc.shape for picture in pictures]
    assert shapes[0] == (48, 64, 3)
    assert shapes[-1] == (64, 96, 3)
    assert numbers(pictures)[-1] == 7


def test_pictures_are_turned_as_they_are_tagged(tmp_path):
    media.write_video(tmp_path / "a.mp4", frames=2)
    media.turn(tmp_path / "a.mp4", 90)
    (picture, *_) = pictures_until_the_end(NetworkFeed(str(tmp_path / "a.mp4"), None))
    assert picture.pixels_hwc.shape == (64, 48, 3)
    assert read_counter(np.rot90(picture.pixels_hwc), 64, 48) == 0


def test_a_gpu_that_cannot_decode_the_stream_leaves_it_to_the_cpu(tmp_path, monkeypatch):
    media.write_video(tmp_path / "a.ts")
    real, asked = NetworkFeed, []

    def fake(uri, accelerator):
        asked.append(accelerator)
        if accelerator is not None:
            raise RuntimeError("no such decoder")
        return real(uri, None)

    monkeypatch.setattr(network, "hardware", lambda decoder: None if decoder == "cpu" else "gpu")
    monkeypatch.setattr(network, "NetworkFeed", fake)
    open_feed = network_feed(str(tmp_path / "a.ts"), "auto")
    open_feed().close()
    open_feed().close()
    assert asked == ["gpu", None, None]
    with pytest.raises(SourceError, match=r"the GPU does not decode .* choose the decoder cpu"):
        network_feed(str(tmp_path / "a.ts"), "nvdec")()


@contextlib.contextmanager
def sending(port: int) -> Iterator[threading.Event]:
    """Send numbered pictures in MPEG-TS over UDP until the event is set."""
    done = threading.Event()

    def send():
        with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as container:
            options = {"tune": "zerolatency", "g": "10", "preset": "ultrafast", "crf": "10"}
            stream = container.add_stream("libx264", rate=50, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(3000):
                frame = av.VideoFrame.from_ndarray(media.numbered_frame(number), format="bgr24")
                frame.pts = number
                container.mux(stream.encode(frame))
                if done.wait(0.02):
                    return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield done
    finally:
        done.set()
        thread.join(20)


@pytest.mark.slow
def test_udp_packets_are_read_and_their_absence_is_told_in_time():
    port = free_port(socket.SOCK_DGRAM)
    with sending(port) as done:
        feed = network_feed(f"udp://127.0.0.1:{port}", "cpu")()
        pictures = []
        while len(pictures) < 20:
            if (picture := feed.read()) is not None:
                pictures.append(picture)
        done.set()
    seen = numbers(pictures)
    assert seen == list(range(seen[0], seen[0] + 20))
    waits: list[float] = []
    assert "sent no video for 2 s" in read_until_it_breaks(feed, waits)
    feed.close()
    assert max(waits) < LONGEST_READ_SECONDS + 5
