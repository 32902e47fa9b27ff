"""Restored frames in a browser, beside what they were restored from, with live figures."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.sink import Sink

from .address import Address
from .audience import Audience, Message
from .server import PreviewServer

_MOST_PX = 1920
"""Pictures are shown at most so wide or high: encoding a larger one takes longer than a frame."""
_BETWEEN_NS = 10**9 // 30
"""At most 30 frames a second are encoded, on the average; single ones may come a bit early."""
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]
_log = logging.getLogger("crispstream.stream")


class PreviewSink(Sink):
    """Serves a page with the newest frame, before and after, and the books of the stream.

    Frames are encoded once for all viewers, and only while somebody looks. A slow viewer misses
    frames and holds up nobody.

    Attributes:
        address: where it is served, with the port the system chose if that was 0.
    """

    may_skip = True

    def __init__(self, uri: str, ledger: Ledger | None = None, clock: Clock = monotonic_ns) -> None:
        """Serve at `preview://HOST:PORT`, by default `preview://127.0.0.1:8080`.

        Args:
            uri: any host but a loopback one makes the page, and so the camera, visible to
                everybody who can reach this machine.
            ledger: the books of the stream; without them the page shows pictures only.
            clock: limits how often frames are encoded.

        Raises:
            UsageError: if the URI is no address of this machine.
            SinkError: if the port is in use.
        """
        self._ledger = ledger
        self._clock = clock
        self._audience = Audience()
        self._shown = 0
        self._due_ns = clock()
        self._closing = threading.Lock()
        self._closed = False
        self._state = "" if ledger is None else ledger.health.state
        self._state_began_ns = clock()
        self._looking = threading.Lock()
        self._server = PreviewServer(Address.of(uri), self._audience, self._facts, self._look)
        self.address = self._server.address
        _log.info("the preview is at %s", self.address.url)
        if not self.address.private:
            _log.warning(
                "the preview at %s has no password: everybody who can reach this machine sees "
                "the stream",
                self.address.url,
            )

    def write(self, frame: Frame, restored_hwc: npt.NDArray[np.uint8]) -> None:
        """Show one frame if anybody looks; see `Sink`."""
        now_ns = self._clock()
        if self._audience.viewers == 0 or now_ns < self._due_ns - _BETWEEN_NS // 2:
            return
        self._due_ns = max(self._due_ns, now_ns - _BETWEEN_NS // 2) + _BETWEEN_NS
        self._shown += 1
        pictures = {
            "serial": frame.serial,
            "input": frame.pixels_hwc.shape[1::-1],
            "output": restored_hwc.shape[1::-1],
        }
        before, after = _jpeg(frame.pixels_hwc), _jpeg(restored_hwc)
        self._audience.show(Message({**self._facts(), **pictures}, before, after))

    def close(self, *, complete: bool = True) -> None:
        """Tell the viewers that the stream has ended, and stop serving."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._server.stop()

    def figures(self) -> Mapping[str, float]:
        """Return how many frames were shown to anybody."""
        return {"shown_frames": float(self._shown)}

    def _facts(self) -> dict[str, Any]:
        if self._ledger is None:
            return {}
        return {
            "source": self._ledger.health.name,
            **asdict(self._ledger.snapshot()),
            "state_seconds": self._look(),
        }

    def _look(self) -> float:
        """Take note of the source's state; return for how long it has been so, in seconds."""
        state = "" if self._ledger is None else self._ledger.health.state
        with self._looking:
            now_ns = self._clock()
            if state != self._state:
                self._state, self._state_began_ns = state, now_ns
            return (now_ns - self._state_began_ns) / 1e9


def _jpeg(image_hwc: Bytes) -> bytes:
    """Return a picture, made smaller if need be, as JPEG."""
    share = min(1.0, _MOST_PX / max(image_hwc.shape))
    if share < 1:
        smaller = cv2.resize(image_hwc, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return _encoded(smaller)
    return _encoded(image_hwc)


def _encoded(image_hwc: cv2.typing.MatLike) -> bytes:
    encoded, data = cv2.imencode(".jpg", image_hwc, _QUALITY)
    return data.tobytes() if encoded else b""
