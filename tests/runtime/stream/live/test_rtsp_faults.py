"""A real RTSP server that fails in every way; skipped where GStreamer's is not installed.

Bounds are hang guards; how fast the stream comes back is measured in benchmarks/rtsp_faults.py.
"""

import logging
import time
from pathlib import Path

import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.stream.live.reconnect import ReconnectingSource
from crispstream.runtime.stream.source import open_source
from tests.helpers.rtsp_server import RtspServer

pytestmark = pytest.mark.slow

GUARD_SECONDS = 30.0


@pytest.fixture(scope="module")
def server():
    with RtspServer() as running:
        yield running


@pytest.fixture
def source(server):
    opened = open_source(server.url)
    yield opened
    opened.close()


def frames_until(source: ReconnectingSource, iterator, done) -> list:
    """Frames up to the first of which `done` is true."""
    frames = []
    deadline = time.monotonic() + GUARD_SECONDS
    for frame in iterator:
        frames.append(frame)
        if done(frame):
            return frames
        assert time.monotonic() < deadline, source.health.events
    return frames


def states(source) -> list[str]:
    return [event.state for event in source.health.events]


def test_a_size_and_a_clock_that_change_midway_break_nothing(server, source):
    assert (source.info.width, source.info.height, source.info.frame_rate) == (160, 96, 25)
    iterator = iter(source)
    frames = frames_until(source, iterator, lambda frame: frame.serial == 5)
    server.resize("192x128")
    frames += frames_until(source, iterator, lambda frame: frame.pixels_hwc.shape[0] == 128)
    assert frames[-1].fresh
    for seconds in (3600, -1000):
        server.jump(seconds)
        count = frames[-1].serial + 20
        frames += frames_until(source, iterator, lambda frame, n=count: frame.serial == n)
    server.resize("160x96")
    times = [float(frame.pts * frame.time_base) for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] < GUARD_SECONDS


def test_a_frozen_picture_is_told(server, source):
    iterator = iter(source)
    frames_until(source, iterator, lambda frame: frame.serial == 5)
    server.freeze()
    frames_until(source, iterator, lambda _: source.health.state == "stalled")
    server.thaw()
    frames_until(source, iterator, lambda _: source.health.state == "live")
    assert source.health.events[1].why.startswith("the picture has not changed for 2.")


def test_a_server_that_dies_and_returns_is_found_again(server, source):
    iterator = iter(source)
    frames_until(source, iterator, lambda frame: frame.serial == 5)
    server.kill()
    server.start()
    frames = frames_until(source, iterator, lambda frame: frame.fresh)
    assert states(source) == ["live", "lost", "connecting", "live"]
    assert frames[-1].pixels_hwc.shape == (96, 160, 3)
    source.stop()
    assert list(iterator) == []
    assert source.health.state == "ended"


def held(kind: str) -> int:
    """How many threads ("task") or descriptors ("fd") this process has."""
    return len(list(Path(f"/proc/self/{kind}").iterdir()))


def test_five_deaths_in_a_row_leave_nothing_behind(server, source):
    iterator = iter(source)
    frames_until(source, iterator, lambda frame: frame.serial == 5)
    before = {}
    for _ in range(5):
        server.kill()
        server.start()
        frames_until(source, iterator, lambda frame: frame.fresh)
        before = before or {kind: held(kind) for kind in ("task", "fd")}
    assert source.health.reconnects == 5
    deadline = time.monotonic() + GUARD_SECONDS  # a thread that is done takes a moment to go
    while any(held(kind) > most for kind, most in before.items()):
        assert time.monotonic() < deadline, (before, {kind: held(kind) for kind in before})
        time.sleep(0.05)


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_a_login_is_used_and_never_shown(auth, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with RtspServer(login="joe:top-secret", auth=auth) as server:
        address = server.url.replace("rtsp://", "rtsp://joe:{}@")
        source = open_source(address.format("top-secret"))
        assert next(iter(source)).pixels_hwc.shape == (96, 160, 3)
        source.close()
        with pytest.raises(SourceError, match="refused the user name or password") as caught:
            open_source(address.format("WRONG-secret"))
        with pytest.raises(SourceError, match="asks for a user name and a password"):
            open_source(server.url)
        with pytest.raises(SourceError, match="has no stream"):
            open_source(address.format("top-secret") + "/other")
    assert "'rtsp://***@127.0.0.1:" in str(caught.value)
    shown = caplog.text + "".join(capfd.readouterr()) + str(source.health.events)
    assert "secret" not in shown
