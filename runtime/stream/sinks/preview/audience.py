"""The hand-over of one stream to everybody who looks: the newest message for each, never a queue.

A message is a head of three numbers (big-endian, 32 bits), the lengths of what follows: facts
as JSON, the picture before and the picture after as JPEG. Both pictures may be missing.
"""

import json
import struct
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

_HEAD = struct.Struct(">III")


class Message(NamedTuple):
    """What is sent at once: a frame before and after, and the facts at that moment."""

    facts: Mapping[str, Any]
    before: bytes = b""
    after: bytes = b""

    def packed(self) -> bytes:
        """Return it as it goes over the wire."""
        facts = json.dumps(self.facts).encode()
        head = _HEAD.pack(len(facts), len(self.before), len(self.after))
        return b"".join((head, facts, self.before, self.after))


class Audience:
    """Viewers, each with a thread, and what they wait for; one thread shows, none waits for any."""

    def __init__(self) -> None:
        """Start with an empty house."""
        self._changed = threading.Condition()
        self._viewers = 0
        self._number = 0
        self._newest: tuple[Message, bytes] | None = None
        self._ended = False

    @property
    def viewers(self) -> int:
        """How many look right now."""
        with self._changed:
            return self._viewers

    @property
    def ended(self) -> bool:
        """Whether nothing more will be shown."""
        with self._changed:
            return self._ended

    def __enter__(self) -> "Audience":
        """Begin to look."""
        with self._changed:
            self._viewers += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        with self._changed:
            self._viewers -= 1
            if self._viewers == 0:
                self._newest = None  # what the next one sees first shall not be old

    def show(self, message: Message) -> None:
        """Replace what is shown."""
        packed = message.packed()  # once for all viewers
        with self._changed:
            self._number += 1
            self._newest = message, packed
            self._changed.notify_all()

    def end(self) -> None:
        """Wake everybody up to leave."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def next(self, after: int, seconds: float) -> tuple[int, Message, bytes] | None:
        """Wait for a message newer than number `after`; None at the end or if none comes in time.

        Returns:
            Its number, the message, and how it goes over the wire.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._is_newer(after), seconds)
            if self._newest is None or self._ended or not self._is_newer(after):
                return None
            return self._number, *self._newest

    def _is_newer(self, after: int) -> bool:
        return self._newest is not None and self._number > after
