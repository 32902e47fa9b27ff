"""The child process that runs a pipeline: how it ends, and that it does."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.stream.source import open_source
from tests.helpers.pipelines import SMALL, opened, real, until_error


@real
def test_a_pipeline_that_comes_to_its_end_is_not_started_again() -> None:
    source = open_source(f"gst:videotestsrc num-buffers=5 ! {SMALL}")
    frames = list(source)
    assert frames
    assert source.health.state == "ended"
    assert "lost" not in [event.state for event in source.health.events]


@real
def test_a_stream_that_ends_is_lost_though_gstreamer_takes_it_for_its_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(bytes(5 * 64 * 48 * 3))

        thread = threading.Thread(target=send)
        thread.start()
        place = f"host=127.0.0.1 port={server.getsockname()[1]}"
        feed = opened(f"tcpclientsrc {place} ! rawvideoparse format=bgr width=64 height=48")
        pictures, error = until_error(feed)
        thread.join(20)
    assert len(pictures) == 5
    assert "ended; run it with" in error


@real
@pytest.mark.slow
def test_a_frozen_pipeline_is_ended_and_leaves_nothing_behind() -> None:
    feed = opened(f"videotestsrc is-live=true ! {SMALL}")
    process = feed._process
    os.kill(process.pid, signal.SIGSTOP)  # hears no SIGINT any more
    feed.close()
    feed.close()
    assert process.returncode == -signal.SIGKILL


_OPEN_AND_WAIT = """
import sys, time
from crispstream.runtime.stream.sources.gstreamer import pipeline_feed
feed = pipeline_feed(sys.argv[1])()
print(feed._process.pid, feed._guard.pid, flush=True)
time.sleep(60)
"""


def _runs(process: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@real
@pytest.mark.slow
def test_a_silent_pipeline_does_not_outlive_a_run_that_was_killed() -> None:
    slow = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=1/60"
    run = subprocess.Popen(
        [sys.executable, "-c", _OPEN_AND_WAIT, slow], stdout=subprocess.PIPE, text=True
    )
    with run:
        children = [int(word) for word in run.stdout.readline().split()]
        assert [_runs(child) for child in children] == [True, True]
        run.kill()
    deadline = time.monotonic() + 20
    while any(map(_runs, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [_runs(child) for child in children] == [False, False]


@real
def test_a_pipeline_that_waits_for_its_reader_ends_in_order() -> None:
    feed = opened("videotestsrc ! video/x-raw,width=1280,height=720,format=BGR")
    process = feed._process
    feed.close()
    assert process.returncode is not None
    assert process.returncode != -signal.SIGKILL
    assert feed._guard.returncode == -signal.SIGKILL


@real
def test_no_descriptor_stays_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        opened(f"videotestsrc num-buffers=1 ! {SMALL}").close()
        with pytest.raises(UsageError):
            opened("nosuchelement")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
