"""The hand-over between two threads: bounded, counted, and never silent about an end."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from crispstream.core.errors import UsageError
from crispstream.core.registry import did_you_mean

POLICIES = ("all", "latest", "deadline")
Item = TypeVar("Item")

_LOOK_UP_SECONDS = 0.1
"""How often a consumer that waits asks whether it still should."""


@dataclass(frozen=True)
class SlotStatistics:
    """What went through a slot so far."""

    delivered: int
    """Items the consumer took."""
    dropped: int
    """Items replaced by a newer one before the consumer came; 0 under `all`."""
    discarded: int
    """Items that waited when anyone cancelled."""
    peak_depth: int
    """The most items that ever waited."""


def check_policy(policy: str, known: Sequence[str] = POLICIES) -> None:
    """Raise UsageError, with the closest known name, unless `policy` is one of `known`."""
    if policy not in known:
        raise UsageError(
            f"unknown policy '{policy}'; {did_you_mean(policy, known)}choose one of: "
            f"{', '.join(known)}"
        )


class Slot(Generic[Item]):
    """Passes items from one producer thread to one consumer thread.

    Policies:
        all: first in, first out; a full slot makes the producer wait, nothing is lost.
        latest, deadline: one place; a newer item replaces the waiting one, which counts as
            dropped. The producer never waits, so a camera is always drained.
    """

    def __init__(
        self,
        policy: str = "all",
        depth: int = 2,
        on_replace: Callable[[Item, Item], Item] = lambda _, newer: newer,
    ) -> None:
        """`depth` is the number of items that may wait under `all`.

        `on_replace` is told by the producer of an item that gives way, and by which; it returns
        what takes the place.

        Raises:
            UsageError: if the policy is unknown or the depth is not positive.
        """
        check_policy(policy)
        if depth < 1:
            raise UsageError(f"a slot of depth {depth} passes nothing; give 1 or more")
        self._newest_wins = policy != "all"
        self._depth = 1 if self._newest_wins else depth
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._cancelled = False
        self._delivered = self._dropped = self._discarded = self._peak = 0
        self._on_replace = on_replace

    def put(self, item: Item) -> bool:
        """Hand an item over; False when the consumer has gone and no more are wanted."""
        with self._changed:
            if self._newest_wins and self._items:
                self._dropped += 1
                item = self._on_replace(self._items.popleft(), item)
            while len(self._items) >= self._depth and not self._cancelled:
                self._changed.wait()
            if self._cancelled:
                return False
            self._items.append(item)
            self._peak = max(self._peak, len(self._items))
            self._changed.notify_all()
            return True

    def get(self, give_up: Callable[[], bool] = lambda: False) -> Item | None:
        """Wait for the next item; None once the producer has ended or anyone cancelled.

        `give_up` is asked ten times a second while nothing comes; if it says so, None too.
        """
        with self._changed:
            while not self._items and not self._ended and not self._cancelled:
                if not self._changed.wait(_LOOK_UP_SECONDS) and give_up():
                    return None
            if self._cancelled or not self._items:
                return None
            self._delivered += 1
            self._changed.notify_all()
            return self._items.popleft()

    def end(self) -> None:
        """Tell the consumer that no more items come; those waiting are still delivered."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Stop both sides at once; waiting items are discarded and not counted as dropped."""
        with self._changed:
            self._cancelled = True
            self._discarded += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    @property
    def depth(self) -> int:
        """Items that wait now."""
        return len(self._items)

    @property
    def cancelled(self) -> bool:
        """Whether anyone called `cancel`."""
        with self._changed:
            return self._cancelled

    def statistics(self) -> SlotStatistics:
        """Return the counts as of now."""
        with self._changed:
            return SlotStatistics(self._delivered, self._dropped, self._discarded, self._peak)
