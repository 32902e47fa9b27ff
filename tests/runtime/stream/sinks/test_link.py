"""The child process behind a push: however it fails, that is told, and in bounded time."""

import errno
import sys

import numpy as np
import pytest

from crispstream.runtime.stream.sink import SinkOptions
from crispstream.runtime.stream.sinks import link
from crispstream.runtime.stream.sinks.encoder import encoding_for
from crispstream.runtime.stream.sinks.link import Link, LinkLostError
from tests.helpers.restored import INFO

ENCODING = encoding_for("out", INFO, 4, SinkOptions(encoder="cpu"), watched=True)


def _linked(script: str) -> Link:
    return Link("udp://nowhere", "mpegts", {}, ENCODING, relay=(sys.executable, "-c", script))


def test_a_child_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "STALL_SECONDS", 0.3)
    connection = _linked("import os, time; os.write(1, b'.'); time.sleep(60)")
    with pytest.raises(LinkLostError, match="took nothing"):
        connection.send(0, 0, np.zeros((1024, 1024, 3), np.uint8))
    connection.kill()
    assert connection.sent > connection.arrived == 0


def test_a_child_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "OPEN_SECONDS", 0.3)
    with pytest.raises(LinkLostError, match="no answer"):
        _linked("import time; time.sleep(60)")


def test_the_last_words_of_a_child_are_the_reason() -> None:
    with pytest.raises(LinkLostError, match=r"^401 Unauthorized$"):
        _linked("import sys; sys.exit('noise\\n401 Unauthorized')")


def test_a_system_that_starts_no_process_is_a_lost_link(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(link.subprocess, "Popen", refused)
    with pytest.raises(LinkLostError, match=r"no process can be started.*Too many open files"):
        _linked("")
