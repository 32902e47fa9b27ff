"""Frames that follow each other, made of a single one, and what a graph carries through them.

A recurrent network is judged and calibrated with what it remembers in place: what rounding does
to its memory shows in later frames only. Calibration sets, pairs and check frames are single
pictures, so a frame becomes a short pan over itself.

Shape letters: H height, W width, 3 channels in BGR order, bytes. Sizes are in pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BundleError
from .pixels import Bytes, mirrored
from .tensors import FRAME, STATE_IN, STATE_OUT, free_side

Array = npt.NDArray[Any]

FRAMES = 8
"""Length of such a sequence."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def moving(frame_hwc: Bytes, frames: int = FRAMES) -> Iterator[Bytes]:
    """Yield the frame, then the same seen by a camera that moves right and down.

    About one pixel a frame; the far border is mirrored, so that the size [H,W,3] stays.

    >>> row = np.array([10, 20, 30, 40, 50], np.uint8).repeat(3).reshape(1, 5, 3).repeat(2, 0)
    >>> [frame[0, :, 0].tolist() for frame in moving(row, 2)]
    [[10, 20, 30, 40, 50], [20, 30, 40, 50, 40]]
    """
    height, width, _ = frame_hwc.shape
    for step in range(frames):
        right, down = min(step - step // 4, width - 1), min(step // 2, height - 1)
        yield mirrored(frame_hwc[down:, right:], height, width)


def arriving(frame_hwc: Bytes, frames: int = FRAMES) -> Iterator[Bytes]:
    """Yield the frames of `moving` backwards: the last one is the frame itself."""
    return iter(list(moving(frame_hwc, frames))[::-1])


class Carried:
    """The states of a graph that runs in an ONNX Runtime session, between its frames.

    A graph that remembers nothing has none: everything here then is the frame alone.

    Attributes:
        outputs: names of the outputs that `keep` wants, in order.
    """

    def __init__(self, session: Any) -> None:  # noqa: ANN401  (core imports no ONNX Runtime)
        """Look up what the graph of a session carries; it starts from zeros."""
        inputs = {given.name: given for given in session.get_inputs()}
        self._frame_sides: Sequence[Any] = inputs[FRAME].shape[1:3]
        self._states = {
            name.removeprefix(STATE_IN): (given.shape, _TYPES[given.type])
            for name, given in inputs.items()
            if name.startswith(STATE_IN)
        }
        self.outputs = tuple(f"{STATE_OUT}{name}" for name in self._states)
        self._held: list[Array] | None = None

    def feed(self, frame_hwc: Bytes) -> dict[str, Array]:
        """Return the inputs of the graph for the next frame [H,W,3].

        Raises:
            BundleError: if the size of a state cannot be told from that of the frame.
        """
        if self._held is None:
            self._held = [self._zeros(*state, frame_hwc) for state in self._states.values()]
        states = zip(self._states, self._held, strict=True)
        fed: dict[str, Array] = {f"{STATE_IN}{name}": held for name, held in states}
        return {FRAME: frame_hwc[None], **fed}

    def _zeros(self, shape: Sequence[Any], kind: type, frame_hwc: Bytes) -> Array:
        sides = dict(zip(self._frame_sides, frame_hwc.shape[:2], strict=True))
        known = [one if isinstance(one, int) else free_side(str(one), sides) for one in shape]
        if None in known:
            raise BundleError(
                f"the graph carries a state of shape {list(shape)} whose sides are no share of its "
                f"frame's, {list(self._frame_sides)}; export it again with: crispstream export"
            )
        return np.zeros(known, kind)  # type: ignore[arg-type]

    def keep(self, values: Sequence[Array]) -> None:
        """Take what the graph gave for `outputs`, for the next frame."""
        self._held = list(values)

    def forget(self) -> None:
        """Start from zeros, as after a cut."""
        self._held = None


def results(
    session: Any,  # noqa: ANN401  (core imports no ONNX Runtime)
    frames: Iterable[Bytes],
    names: Sequence[str],
) -> Iterator[list[Array]]:
    """Yield the outputs `names` of a graph for each of some frames that follow each other.

    The first starts from zeros. A graph that remembers nothing gives the same for each alone.
    """
    carried = Carried(session)
    for frame_hwc in frames:
        found = session.run([*names, *carried.outputs], carried.feed(frame_hwc))
        carried.keep(found[len(names) :])
        yield found[: len(names)]
