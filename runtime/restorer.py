"""Frame in, frame out: the centre of the runtime.

Shape letters: H height, W width, 3 channels in BGR order, bytes. Sizes are in pixels.
"""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import FrameError, UsageError
from crispstream.core.pixels import SCALE, Bytes, pad_reflect, padded_size

from .engine.backends.base import Backend
from .engine.backends.bicubic import BicubicBackend
from .engine.choose import needs_permission
from .engine.models import find_model
from .engine.opening import open_backend
from .latency import Latencies

STAGES = ("copy_in", "infer", "copy_out")
_ADVICE = {
    1: "; turn grey into BGR with cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)",
    4: "; drop the alpha channel with cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)",
}


class _Pending(NamedTuple):
    """A submitted frame: where it lies, how large it was before padding, its time so far."""

    slot: int
    height: int
    width: int
    infer_ns: int


class Restorer:
    """Enlarges frames by 4 with a model; keeps a few in flight.

    Not for several threads at once: one thread submits and collects.

        with Restorer.open("edge-n") as restorer:
            restored_hwc = restorer.restore(frame_hwc)

    Attributes:
        name: the model.
        backend_name: what runs it.
        precision: precision of the graph that runs.
        uncertified: whether that graph runs only because `allow_uncertified` was given.
        input_statistics: how the frames looked that the bundle is made for; may be empty.
        scale: 4, output pixels per input pixel on each side.
        latencies: milliseconds in which the caller was held, by stage: `copy_in` (copy and
            pad), `infer` (submit plus wait), `copy_out` (copy into `out`).
    """

    scale = SCALE

    def __init__(
        self,
        backend: Backend,
        *,
        name: str,
        size_multiple: int,
        frames_in_flight: int = 2,
        uncertified: bool = False,
        input_statistics: Mapping[str, Any] | None = None,
        clock: Clock = monotonic_ns,
    ) -> None:
        """Take ownership of a backend; `open` is the usual way in.

        Raises:
            UsageError: if `frames_in_flight` is not positive.
        """
        if frames_in_flight < 1:
            raise UsageError(f"frames_in_flight is {frames_in_flight}; it must be 1 or more")
        self.name = name
        self.backend_name = backend.name
        self.precision = backend.precision
        self.uncertified = uncertified
        self.input_statistics = input_statistics or {}
        self.frames_in_flight = frames_in_flight
        self.latencies = Latencies(STAGES)
        self._backend = backend
        self._size_multiple = size_multiple
        self._clock = clock
        self._pending: deque[_Pending] = deque()
        # A frame handed out must outlive `frames_in_flight` more, of which all may be in work.
        self._slots = 2 * frames_in_flight
        self._next_slot = 0
        self._padded: tuple[int, int] | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        model: str | Path,
        precision: str = "auto",
        backend: str = "auto",
        size: tuple[int, int] | None = None,
        threads: int | None = None,
        frames_in_flight: int = 2,
        side_by_side: int = 1,
        allow_uncertified: bool = False,
        clock: Clock = monotonic_ns,
    ) -> "Restorer":
        """Open a model, ready for frames; use it in a `with` statement.

        Args:
            model: a shipped name ("edge-n"), the path of a bundle, or "bicubic".
            precision: "auto" or one that the bundle has; see `engine.choose.choose_graph`.
            backend: "auto", "onnxruntime" (CPU) or "onnxruntime-cuda".
            size: (width, height) of the frames to come, to allocate now and not at the first.
            threads: CPU threads of the engine; by default every usable core.
            frames_in_flight: how many frames `submit` takes before `collect` must be called.
            side_by_side: how many of them are worked on at once, sharing the threads: more
                frames a second on the CPU, each a longer way through.
            allow_uncertified: run an fp16 or int8 graph without a certificate, if it is named.
            clock: stamps the stages.

        Raises:
            UsageError: if a name or number is not one of those above, or the graph is uncertified
                and that is not allowed.
            BundleError: if the bundle is damaged or lacks the precision.
            EngineError: if the backend refuses the graph.
        """
        if not 1 <= side_by_side <= max(1, frames_in_flight):
            raise UsageError(
                f"side_by_side is {side_by_side}; it must be from 1 to frames_in_flight, "
                f"which is {frames_in_flight}"
            )
        statistics: Mapping[str, Any] | None
        if str(model) == "bicubic":
            _refuse_for_bicubic(precision, backend)
            runner: Backend = BicubicBackend()
            name, size_multiple = "bicubic", 1
            uncertified, statistics = False, None
        else:
            bundle = find_model(model)
            runner = open_backend(
                bundle, precision, backend, threads, side_by_side, allow_uncertified
            )
            name, size_multiple = bundle.name, bundle.size_multiple
            uncertified = needs_permission(bundle, bundle.graph(runner.precision))
            statistics = bundle.input_statistics
        restorer = cls(
            runner,
            name=name,
            size_multiple=size_multiple,
            frames_in_flight=frames_in_flight,
            uncertified=uncertified,
            input_statistics=statistics,
            clock=clock,
        )
        if size is not None:
            restorer._reserve(*size)
        return restorer

    def _reserve(self, width: int, height: int) -> None:
        if min(width, height) < 1:
            raise UsageError(f"the size {width}x{height} is not one of a frame; give (320, 180)")
        self._fit(height, width)

    @property
    def in_flight(self) -> int:
        """How many frames are submitted and not yet collected."""
        return len(self._pending)

    def restore(self, frame_hwc: Bytes, out: Bytes | None = None) -> Bytes:
        """Return the frame [H,W,3] enlarged to [4H,4W,3]; `submit` and `collect` in one.

        Raises:
            UsageError: if other frames are in flight.
            FrameError: if the frame or `out` has a wrong shape or type.
            EngineError: if the backend failed.
        """
        if self._pending:
            raise UsageError(
                f"{self.in_flight} frames are in flight, and restore() would return the oldest; "
                "collect() them first"
            )
        self.submit(frame_hwc)
        return self.collect(out)

    def submit(self, frame_hwc: Bytes) -> None:
        """Copy a frame [H,W,3] in and start work on it; the frame is free again on return.

        Frames may change in size while none is in flight.

        Raises:
            UsageError: if `frames_in_flight` frames are already in work.
            FrameError: if the frame is not uint8 [H,W,3], or of a new size amid others.
            EngineError: if the backend refused.
        """
        if self._closed:
            raise UsageError("the restorer is closed; open another one")
        if self.in_flight == self.frames_in_flight:
            raise UsageError(f"{self.in_flight} frames are in flight already; collect() one first")
        _check(frame_hwc)
        height, width, _ = frame_hwc.shape
        self._fit(height, width)
        slot = self._next_slot
        begun_ns = self._clock()
        pad_reflect(frame_hwc, self._backend.frame(slot))
        copied_ns = self._clock()
        self._backend.submit(slot)
        submitted_ns = self._clock()
        self.latencies.record("copy_in", copied_ns - begun_ns)
        self._pending.append(_Pending(slot, height, width, submitted_ns - copied_ns))
        self._next_slot = (slot + 1) % self._slots

    def collect(self, out: Bytes | None = None) -> Bytes:
        """Wait for the oldest frame in flight and return it, [4H,4W,3].

        Without `out` the array is a view, valid for `frames_in_flight` further submits; with
        `out` it is copied there and `out` is returned.

        Raises:
            UsageError: if nothing is in flight.
            FrameError: if `out` has another shape or type.
            EngineError: if the work failed.
        """
        if not self._pending:
            raise UsageError("no frame is in flight; submit() one first")
        slot, height, width, infer_ns = self._pending[0]
        if out is not None:
            _check_out(out, (SCALE * height, SCALE * width, 3))
        self._pending.popleft()
        begun_ns = self._clock()
        self._backend.wait(slot)
        done_ns = self._clock()
        restored_hwc = self._backend.restored(slot)[: SCALE * height, : SCALE * width]
        if out is not None:
            np.copyto(out, restored_hwc)
            restored_hwc = out
        self.latencies.record("infer", infer_ns + done_ns - begun_ns)
        self.latencies.record("copy_out", self._clock() - done_ns)
        return restored_hwc

    def _fit(self, height: int, width: int) -> None:
        """Allocate for this size, unless the buffers have it already."""
        padded = padded_size(height, width, self._size_multiple)
        if padded == self._padded:
            return
        if self._pending:
            raise FrameError(
                f"a frame of {width}x{height} px came while {self.in_flight} frames of another "
                "size are in flight; collect() them before the size changes"
            )
        self._padded = None  # should allocating fail halfway, the next frame starts over
        self._backend.allocate(*padded, self._slots)
        self._padded = padded

    def close(self) -> None:
        """Drop what is in flight and let go of the backend; calling it twice does no harm."""
        self._closed = True
        self._pending.clear()
        self._backend.close()

    def __enter__(self) -> "Restorer":
        """Return the restorer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def _check(frame_hwc: Bytes) -> None:
    seen = f"{getattr(frame_hwc, 'dtype', type(frame_hwc).__name__)}"
    shape: tuple[int, ...] = getattr(frame_hwc, "shape", ())
    if seen == "uint8" and len(shape) == 3 and shape[2] == 3 and min(shape) > 0:
        return
    advice = _ADVICE.get(shape[2] if len(shape) == 3 else 1 if len(shape) == 2 else 0, "")
    if seen.startswith("float"):
        advice = "; scale floats to 0..255 and convert them with .astype(numpy.uint8)"
    raise FrameError(f"a frame is {seen} {list(shape)}, expected uint8 [H, W, 3] in BGR{advice}")


def _check_out(out: Bytes, shape: tuple[int, int, int]) -> None:
    if out.shape != shape or out.dtype != np.uint8:
        raise FrameError(
            f"out is {out.dtype} {list(out.shape)}, expected uint8 {list(shape)}; "
            f"make it with numpy.empty({shape}, numpy.uint8)"
        )


def _refuse_for_bicubic(precision: str, backend: str) -> None:
    if (precision, backend) != ("auto", "auto"):
        raise UsageError(
            f"bicubic has no graph to run as {precision} on {backend}; "
            "leave precision and backend at auto, or choose a model"
        )
