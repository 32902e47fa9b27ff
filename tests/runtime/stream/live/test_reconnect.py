"""A source that outlives its connections; on fake feeds and a fake clock."""

import itertools
import logging
import threading
import time

import pytest

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.stream.live.feed import FeedEnded
from crispstream.runtime.stream.live.reconnect import ReconnectingSource
from tests.helpers.feeds import FRAME_NS, FakeBackoff, FakeCamera, picture, pictures

NAME = "rtsp://***@host/stream"
FRAME_TICKS = 3600


def opened(camera, **options):
    options.setdefault("backoff", FakeBackoff())
    return ReconnectingSource(camera, NAME, camera.clock, **options)


def frames_of(source, count):
    """The next frames; the source is closed afterwards."""
    iterator = iter(source)
    try:
        return list(itertools.islice(iterator, count))
    finally:
        iterator.close()


def states(source):
    return [event.state for event in source.health.events]


def test_pictures_of_one_feed_become_frames():
    camera = FakeCamera(pictures(5))
    source = opened(camera)
    assert (source.info.width, source.info.height, source.info.frame_rate) == (16, 8, 25)
    assert source.info.live
    assert source.info.frame_count is None
    frames = frames_of(source, 5)
    assert [frame.serial for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.pts for frame in frames] == [n * FRAME_TICKS for n in range(5)]
    assert [frame.pixels_hwc[0, 0, 0] for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.duration for frame in frames} == {FRAME_TICKS}
    assert not any(frame.fresh for frame in frames)
    assert frames[1].captured_ns - frames[0].captured_ns == FRAME_NS
    assert states(source) == ["live", "ended"]


def test_a_broken_feed_is_closed_and_a_new_one_goes_on():
    camera = FakeCamera(pictures(3), SourceError("refused"), pictures(3, first=100))
    source = opened(camera)
    frames = frames_of(source, 6)
    assert [frame.serial for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert [frame.fresh for frame in frames] == [False, False, False, True, False, False]
    steps = [later.pts - frame.pts for frame, later in itertools.pairwise(frames)]
    assert steps == [FRAME_TICKS, FRAME_TICKS, 2 * FRAME_TICKS, FRAME_TICKS, FRAME_TICKS]
    assert states(source) == ["live", "lost", "connecting", "live", "ended"]
    assert source.health.reconnects == 1
    assert [feed.closed for feed in camera.feeds] == [True, True]


def test_it_is_tried_for_ever_and_told_once(caplog):
    caplog.set_level(logging.DEBUG, "crispstream")
    refused = SourceError("refused")
    camera = FakeCamera(pictures(2), *[refused] * 50, SourceError("wrong path"), pictures(2, 9))
    source = opened(camera)
    assert len(frames_of(source, 4)) == 4
    assert states(source) == ["live", "lost", "connecting", "live", "ended"]
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [
        f"{NAME} is lost: the fake feed's script is over",
        f"{NAME} is still lost: refused",
        f"{NAME} is still lost: wrong path",
    ]


def test_waits_begin_anew_only_after_a_steady_while():
    camera = FakeCamera(pictures(3), pictures(3, 10), pictures(300, 20), pictures(3, 400))
    backoff = FakeBackoff()
    frames_of(opened(camera, backoff=backoff), 307)
    assert backoff.asked == 3
    assert backoff.resets == 1


def test_the_first_error_is_the_callers():
    with pytest.raises(SourceError, match="refused"):
        opened(FakeCamera(SourceError("refused")))


def test_a_feed_that_breaks_before_its_first_picture_is_an_error_too():
    camera = FakeCamera([SourceError("no video")])
    with pytest.raises(SourceError, match="no video"):
        opened(camera)
    assert camera.feeds[0].closed


def test_misuse_is_raised_at_first_and_outlived_later():
    with pytest.raises(UsageError, match="no such option"):
        opened(FakeCamera(UsageError("no such option")))
    camera = FakeCamera(pictures(2), UsageError("no such option"), pictures(2))
    assert len(frames_of(opened(camera), 4)) == 4


def test_an_error_that_is_none_of_ours_is_not_hidden():
    source = opened(FakeCamera(pictures(2), ZeroDivisionError("a mistake in the feed")))
    with pytest.raises(ZeroDivisionError):
        frames_of(source, 4)
    assert source.health.state == "ended"


def test_waiting_for_a_keyframe_is_fine_for_ten_seconds_but_not_for_ever():
    camera = FakeCamera(pictures(2), [None] * 250 + pictures(2, 9))
    assert len(frames_of(opened(camera), 4)) == 4
    with pytest.raises(SourceError, match="no whole picture in 12 s"):
        opened(FakeCamera([None] * 400))


def test_a_new_size_is_fresh_and_told(caplog):
    camera = FakeCamera(pictures(2) + pictures(2, 2, size=(32, 16)))
    source = opened(camera)
    frames = frames_of(source, 4)
    assert [event.state for event in source.health.events] == ["live", "live", "ended"]
    assert source.health.events[1].why == "32x16 px now, was 16x8; outputs keep their size"
    assert [record.message for record in caplog.records] == [
        f"{NAME}: 32x16 px now, was 16x8; outputs keep their size"
    ]
    assert [frame.fresh for frame in frames] == [False, False, True, False]
    assert frames[2].pixels_hwc.shape == (16, 32, 3)
    assert frames[2].pts == 2 * FRAME_TICKS


def test_a_feed_that_comes_to_its_end_ends_the_source():
    camera = FakeCamera([*pictures(3), FeedEnded()], pictures(3, 100))
    source = opened(camera)
    assert len(list(source)) == 3
    assert states(source) == ["live", "ended"]
    assert camera.opened == 1


def test_a_feed_that_ends_before_it_is_read_gives_its_newest_picture():
    camera = FakeCamera([*pictures(5), *[FeedEnded()] * 9])
    source = opened(camera)
    camera.clock.advance(1_000_000_000)
    deadline = time.monotonic() + 20
    while source._drain._thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert [frame.pixels_hwc[0, 0, 0] for frame in source] == [4]


def test_pictures_that_the_feed_lost_are_counted():
    source = opened(FakeCamera([picture(0), picture(3, skipped=2), picture(5, skipped=1)]))
    frames_of(source, 3)
    assert source.damaged == source.health.lost_frames == 3


def test_a_frozen_picture_goes_on_is_told_and_opened_again():
    still = [picture(7, pts=40 * n) for n in range(1000)]
    camera = FakeCamera(pictures(10) + still, still[:10] + pictures(5, 20))
    source = opened(camera)
    frames = frames_of(source, 10 + 125 + 15)
    assert len({frame.pts for frame in frames}) == len(frames)
    assert states(source) == ["live", "stalled", "lost", "connecting", "stalled", "live", "ended"]
    whys = [event.why for event in source.health.events]
    assert whys[1] == "the picture has not changed for 2.0 s"
    assert whys[2] == "the picture has not changed for 5.0 s, so it is opened again"
    assert source.health.reconnects == 1


def test_a_scene_that_is_truly_still_is_not_torn_down_every_five_seconds():
    camera = FakeCamera([picture(7, pts=40 * n) for n in range(100_000)])
    frames_of(opened(camera), 25 * 600)
    assert camera.opened == 1 + 6  # after 5, 10, 20, 40, 80, 160 s


def test_repeating_timestamps_are_replaced_and_a_new_feed_is_opened():
    stuck = [picture(n, pts=360) for n in range(10, 1000)]
    camera = FakeCamera(pictures(10) + stuck, pictures(50, 300))
    source = opened(camera)
    frames = frames_of(source, 180)
    steps = {later.pts - frame.pts for frame, later in itertools.pairwise(frames)}
    assert steps == {FRAME_TICKS}
    assert "stalled" in states(source)
    assert camera.opened == 2


def test_stop_ends_the_iteration_from_another_thread():
    camera = FakeCamera(pictures(2), SourceError("refused"))
    source = ReconnectingSource(camera, NAME, camera.clock)
    ended = threading.Event()

    def read():
        list(source)
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    while source.health.state == "live" or not source.health.events:
        time.sleep(0.005)
    source.stop()
    assert ended.wait(20)
    thread.join(20)
    assert source.health.state == "ended"
    assert camera.feeds[0].closed


@pytest.mark.parametrize("hangs", [True, False])
def test_an_event_of_the_caller_ends_the_opening_and_is_not_set_by_it(hangs):
    stop, release = threading.Event(), threading.Event()
    camera = FakeCamera(itertools.repeat(None))

    def open_feed():
        threading.Timer(0.05, stop.set).start()
        assert not hangs or release.wait(20)
        return camera()

    with pytest.raises(SourceError, match="told to stop before it gave a picture"):
        ReconnectingSource(open_feed, NAME, stop=stop)
    release.set()
    other = threading.Event()
    source = opened(FakeCamera(pictures(3)), stop=other)
    source.close()
    with pytest.raises(SourceError, match="refused"):
        opened(FakeCamera(SourceError("refused")), stop=other)
    assert not other.is_set()


def test_stop_does_not_wait_for_an_opening_that_hangs():
    camera = FakeCamera(pictures(2))
    release, closed, hanging = threading.Event(), threading.Event(), threading.Event()

    class LateFeed:
        def close(self):
            closed.set()

    def hang():
        hanging.set()
        assert release.wait(20)
        return LateFeed()

    source = ReconnectingSource(
        lambda: hang() if camera.opened else camera(), NAME, camera.clock, backoff=FakeBackoff()
    )
    iterator = iter(source)
    assert [next(iterator).serial, next(iterator).serial] == [0, 1]
    stopper = threading.Thread(target=lambda: hanging.wait(20) and source.stop())
    stopper.start()
    assert list(iterator) == []
    stopper.join(20)
    assert not release.is_set()
    release.set()  # what comes too late is closed by who opened it
    assert closed.wait(20)


def test_a_feed_that_nobody_reads_yet_is_drained_and_gives_its_newest_picture():
    camera = FakeCamera(pictures(100), pictures(100, 200))
    source = opened(camera)
    camera.clock.advance(1_000_000_000)
    deadline = time.monotonic() + 20
    while camera.clock() < 3_000_000_000 and time.monotonic() < deadline:
        time.sleep(0.005)  # the drain reads, which moves the fake clock on
    first, second = frames_of(source, 2)
    assert first.pixels_hwc[0, 0, 0] > 40
    assert first.captured_ns > 2_500_000_000
    assert (first.serial, first.pts, second.serial) == (0, 0, 1)
    assert source.health.state == "ended"


def test_closing_a_source_that_was_never_read_ends_its_threads():
    before = set(threading.enumerate())
    camera = FakeCamera(pictures(5))
    source = opened(camera)
    source.close()
    source.close()
    assert camera.feeds[0].closed
    assert [thread for thread in set(threading.enumerate()) - before if thread.is_alive()] == []
