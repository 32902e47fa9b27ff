"""Real GStreamer pipelines for tests; skipped where GStreamer is not installed."""

import shutil
import subprocess

import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.stream.live.feed import Feed, FeedEnded, Picture
from crispstream.runtime.stream.sources.gst_child import PROGRAM, ChildFeed
from crispstream.runtime.stream.sources.gstreamer import pipeline_feed

SMALL = "video/x-raw,width=64,height=48,framerate=25/1"


def _reason_to_skip() -> str:
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed"
    asked = subprocess.run(["gst-inspect-1.0", "gdppay"], capture_output=True, check=False)
    return "" if asked.returncode == 0 else "GStreamer's element gdppay is not installed"


_REASON = _reason_to_skip()
real = pytest.mark.skipif(bool(_REASON), reason=_REASON)


def opened(pipeline: str) -> ChildFeed:
    """A pipeline that runs in a child process."""
    feed = pipeline_feed(pipeline)()
    assert isinstance(feed, ChildFeed)
    return feed


def until_error(feed: Feed) -> tuple[list[Picture | None], str]:
    """The pictures of a feed to its end, and what it said then."""
    pictures = []
    try:
        while True:
            pictures.append(feed.read())
    except (SourceError, FeedEnded) as error:
        return pictures, str(error)
    finally:
        feed.close()
