"""A source that outlives its connections."""

import contextlib
import logging
import threading
from collections.abc import Iterator

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import CrispstreamError, SourceError
from crispstream.core.sizes import size_text
from crispstream.runtime.frame import Frame, StreamInfo
from crispstream.runtime.stream.health import Health

from .backoff import Backoff
from .drain import Drain
from .feed import Feed, FeedEnded, OpenFeed, Picture
from .opening import Opening, stopped
from .timeline import TIME_BASE, Timeline
from .watchdog import Watchdog

LONGEST_WITHOUT_PICTURE_SECONDS = 12.0
"""A connection that lives but gives no picture is given up after this: keyframes, which
decoding begins with, are up to 10 s apart."""

_STEADY_NS = 10_000_000_000
"""A stream that was live for so long is tried again at once when it breaks."""

_log = logging.getLogger("crispstream.stream")


class ReconnectingSource:
    """Gives the pictures of one feed after another as frames of one stream.

    Whoever iterates reads the feed and waits for a new one when it breaks or is stalled. The
    frames of a stalled feed are given too: what looks frozen may be a still scene. Errors after
    the first picture end nothing; they are in `health` and the log. Only a feed that comes to an
    end of its own (`FeedEnded`) ends the source too.
    """

    def __init__(
        self,
        open_feed: OpenFeed,
        name: str,
        clock: Clock = monotonic_ns,
        *,
        backoff: Backoff | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Open the first feed and wait for its first picture, which tells the size.

        Args:
            open_feed: opens a new feed each time it is called.
            name: of the source in log and errors, without credentials.
            clock: stamps frames and events, and tells how long nothing happened.
            backoff: the waits between two tries.
            stop: set it to end the wait in here; later `stop()` is what ends the source.

        Raises:
            SourceError: if the first feed fails, or `stop` was set.
            UsageError: if opening is misused; what worked once is tried again whatever it says.
        """
        self.health = Health(name, clock)
        self._open_feed = open_feed
        self._name = name
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._stop = threading.Event()
        self._timeline = Timeline(name)
        self._watchdog = Watchdog()
        self._feed: Feed | None = None
        self._drain: Drain | None = None
        self._opened_ns = self._picture_ns = 0
        self._told_why = ""
        self._fresh = False
        try:
            self._info = self._begin(stop or self._stop)
        except BaseException:
            self.close()
            raise
        self._size = self._info.width, self._info.height

    @property
    def info(self) -> StreamInfo:
        """Size, rate and colours of the first feed; a later one may differ in size."""
        return self._info

    @property
    def damaged(self) -> int:
        """Pictures that could not be decoded, of all feeds."""
        return self.health.lost_frames

    def __iter__(self) -> Iterator[Frame]:
        """Give frames until `stop`, or the end of a feed that has one; no error ends them."""
        serial = 0
        try:
            while not self._stop.is_set():
                if (taken := self._next()) is not None:
                    yield self._frame(serial, *taken)
                    serial += 1
        finally:
            self.close()

    def stop(self) -> None:
        """End the iteration within 2 s, from any thread."""
        self._stop.set()

    def close(self) -> None:
        """Let go of the feed."""
        self._stop.set()
        drain, self._drain = self._drain, None
        if drain is not None:
            with contextlib.suppress(SourceError):
                drain.take()
        self._close_feed()
        self.health.enter("ended")

    def _begin(self, stop: threading.Event) -> StreamInfo:
        """Open until there is a picture, and return its facts."""
        while not stop.is_set():
            taken = self._read(stop)
            if taken is not None and self._feed is not None:
                self._drain = Drain(self._feed, *taken, self._clock)
                return _facts(self._feed, taken[0])
        raise stopped(self._name)

    def _next(self) -> tuple[Picture, int] | None:
        """Return the next picture and when it came; None where there is none yet."""
        try:
            if self._watchdog.hopeless:
                raise SourceError(self._watchdog.give_up())
            drain, self._drain = self._drain, None
            return self._read(self._stop) if drain is None else drain.take()
        except CrispstreamError as error:
            self._lose(str(error))
        except FeedEnded:
            self._stop.set()
        return None

    def _read(self, stop: threading.Event) -> tuple[Picture, int] | None:
        """Read the feed, after opening one if there is none; `stop` ends the opening."""
        if self._feed is None:
            self._open(stop)
        if self._feed is None:
            return None
        picture = self._feed.read()
        now_ns = self._clock()
        if picture is not None:
            self._picture_ns = now_ns
            return picture, now_ns
        if now_ns - self._picture_ns > LONGEST_WITHOUT_PICTURE_SECONDS * 1e9:
            raise SourceError(
                f"'{self._name}' sends something, but no whole picture in "
                f"{LONGEST_WITHOUT_PICTURE_SECONDS:.0f} s; give it a keyframe every few seconds"
            )
        return None

    def _open(self, stop: threading.Event) -> None:
        self._feed = Opening(self._open_feed).wait(stop)
        if self._feed is not None:
            self._opened_ns = self._picture_ns = self._clock()
            self._timeline.restart(self._feed.time_base)
            self._watchdog.opened(self._opened_ns)

    def _frame(self, serial: int, picture: Picture, captured_ns: int) -> Frame:
        why = self._watchdog.look(picture, captured_ns)
        self.health.enter("stalled" if why else "live", why)
        self.health.lose(picture.skipped)
        fresh = self._note_size(picture) or (serial > 0 and self._fresh)
        self._fresh, self._told_why = False, ""
        return Frame(
            picture.pixels_hwc,
            serial,
            self._timeline.place(picture.pts, captured_ns),
            TIME_BASE,
            captured_ns,
            self._timeline.ticks(picture.duration),
            fresh,
        )

    def _note_size(self, picture: Picture) -> bool:
        """Return whether a picture's size is another than the one before's, and tell it."""
        height, width, _ = picture.pixels_hwc.shape
        before, self._size = self._size, (width, height)
        if self._size == before:
            return False
        self.health.note(
            f"{size_text(self._size)} px now, was {size_text(before)}; outputs keep their size"
        )
        return True

    def _lose(self, why: str) -> None:
        """Close the feed, tell why unless that is known, and wait until the next try is due."""
        if self._feed is not None and self._clock() - self._opened_ns >= _STEADY_NS:
            self._backoff.reset()
        self._close_feed()
        self._fresh = True
        if not self._told_why:
            self.health.enter("lost", why)
        else:
            level = logging.DEBUG if why == self._told_why else logging.WARNING
            _log.log(level, "%s is still lost: %s", self._name, why)
        self._told_why = why
        self._stop.wait(self._backoff.next_seconds())
        self.health.enter("connecting")

    def _close_feed(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()


def _facts(feed: Feed, first: Picture) -> StreamInfo:
    height, width, _ = first.pixels_hwc.shape
    return StreamInfo(
        width=width,
        height=height,
        frame_rate=feed.frame_rate,
        time_base=TIME_BASE,
        colour=feed.colour,
        frame_count=None,
        audio_from=None,
        live=True,
    )
