"""Frame in, frame out: the centre of the runtime.

Shape letters: H height, W width, 3 channels in BGR order, bytes. Sizes are in pixels.
"""

from collections import deque
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import FrameError, UsageError
from crispstream.core.pixels import SCALE, Bytes, pad_reflect
from crispstream.core.sizes import Size

from .engine.building.monitor import Progress
from .engine.opening import Opened, check_side_by_side, open_model
from .engine.trust.lookout import Lookout
from .frame import check_frame, check_out
from .latency import Latencies

STAGES = ("copy_in", "infer", "copy_out")


class _Pending(NamedTuple):
    """A submitted frame: where it lies, how large it was before padding, when work on it began."""

    slot: int
    height: int
    width: int
    copied_ns: int
    submitted_ns: int


class Restorer:
    """Enlarges frames by 4 with a model; keeps a few in flight. For one thread at a time.

        with Restorer.open("edge-n") as restorer:
            restored_hwc = restorer.restore(frame_hwc)

    Attributes:
        name: the model.
        backend_name: what runs it.
        precision: precision of the graph that runs.
        why: one line: what runs it, and why not something faster.
        recurrent: whether frames depend on those before; then `reset` at a scene cut.
        uncertified: whether that graph runs only because `allow_uncertified` was given.
        graph_sha256: of the ONNX graph; "" for bicubic.
        input_statistics: how the frames looked that the bundle is made for; may be empty.
        scale: 4, output pixels per input pixel on each side.
        latencies: how long the caller was held, by stage: `copy_in` (copy and pad), `infer`
            (submit plus wait), `copy_out` (copy into `out`).
        device_latencies: by stage as the device measured them, None where nothing does.
    """

    scale = SCALE

    def __init__(
        self, opened: Opened, *, frames_in_flight: int = 2, clock: Clock = monotonic_ns
    ) -> None:
        """Take ownership of a model's backend; `open` is the usual way in.

        Raises:
            UsageError: if `frames_in_flight` is not positive.
        """
        if frames_in_flight < 1:
            raise UsageError(f"frames_in_flight is {frames_in_flight}; it must be 1 or more")
        backend = self._backend = opened.backend
        self.name = opened.name
        self.backend_name, self.precision = backend.name, backend.precision
        self.why = opened.why
        self.recurrent = opened.recurrent
        self.graph_sha256 = opened.graph_sha256
        self.uncertified = opened.uncertified
        self.input_statistics = opened.input_statistics
        self.frames_in_flight = frames_in_flight
        self.latencies = Latencies(STAGES)
        self.device_latencies = backend.device_latencies
        self._opened, self._clock = opened, clock
        what = f"{self.name} in {self.precision} on {self.backend_name}"
        self._lookout = Lookout(what) if opened.guarded else None
        self._pending: deque[_Pending] = deque()
        # A frame handed out must outlive `frames_in_flight` more, of which all may be in work.
        # An even number: recurrent state swaps its buffers with the parity of the slot.
        self._slots = 2 * frames_in_flight
        self._next_slot, self._closed = 0, False
        self._size: tuple[int, int] | None = None  # (height, width), as is the other
        self._padded: tuple[int, int] | None = None

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
        cuda_graph: bool = True,
        on_build: Progress | None = None,
        tile: Size | None = None,
        clock: Clock = monotonic_ns,
    ) -> "Restorer":
        """Open a model, ready for frames; use it in a `with` statement.

        Args:
            model: a shipped name ("edge-n"), the path of a bundle, or "bicubic".
            precision: "auto" or one that the bundle has; see `engine.choose.choose_graph`.
            backend: "auto", or one of `engine.available.BACKENDS`.
            size: (width, height) of the frames to come, to allocate now and not at the first.
            threads: CPU threads of the engine; by default every usable core.
            frames_in_flight: how many frames `submit` takes before `collect` must be called.
            side_by_side: how many of them share the threads at once: more frames a second on the
                CPU, each a longer way through.
            allow_uncertified: run an fp16 or int8 graph without a certificate, if it is named.
            cuda_graph: on TensorRT, replay each frame's work as one CUDA graph.
            on_build: told how far a build is, should an engine be needed that is not kept.
            tile: (width, height) of the largest frames that the engine is made for; those that are
                larger are cut. A network for frames of one size has tiles of that size anyway.
            clock: stamps the stages.

        Raises:
            UsageError: if a name or number is not one of those above, the graph is uncertified
                and that is not allowed, or the network cannot be cut into such tiles.
            BundleError: if the bundle is damaged or lacks the precision.
            EngineError: if the backend cannot work here, or refuses the graph.
        """
        check_side_by_side(side_by_side, frames_in_flight)
        opened = open_model(
            model,
            precision,
            backend,
            threads=threads,
            side_by_side=side_by_side,
            allow_uncertified=allow_uncertified,
            cuda_graph=cuda_graph,
            on_build=on_build,
            tile=tile,
        )
        try:
            restorer = cls(opened, frames_in_flight=frames_in_flight, clock=clock)
            if size is not None:
                restorer.reserve(*size)
        except BaseException:
            opened.backend.close()
            raise
        return restorer

    def reserve(self, width: int, height: int) -> None:
        """Make buffers for frames of this size, in pixels; look up or build TensorRT's engine.

        Raises:
            UsageError: if it is not the size of a frame.
            FrameError: if frames of another size are in flight, or the graph takes only others.
            EngineError: if no engine for it can be built, or the engine fails its re-check.
        """
        if min(width, height) < 1:
            raise UsageError(f"the size {width}x{height} is not one of a frame; give (320, 180)")
        self._fit(height, width)

    def twin(self) -> "Restorer":
        """Return a restorer of the same model for another stream, which shares its weights.

        Each has its own buffers and state and is closed by itself.
        """
        opened = self._opened._replace(backend=self._backend.twin())
        return Restorer(opened, frames_in_flight=self.frames_in_flight, clock=self._clock)

    def reset(self) -> None:
        """Let frames submitted from now on forget those before; those in flight are as they were.

        Only recurrent networks remember any. For scene cuts and gaps.
        """
        self._backend.reset()

    @property
    def rung(self) -> str:
        """Model and precision as reports name them: "edge-s int8-cpu"; "bicubic" has no second."""
        return self.name if self.name == self.backend_name else f"{self.name} {self.precision}"

    @property
    def padded_size(self) -> Size | None:
        """(width, height) that frames are mirrored to, in px; None before the first."""
        return None if self._padded is None else (self._padded[1], self._padded[0])

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

        Frames may change in size while none is in flight; state then starts at zero.

        Raises:
            UsageError: if `frames_in_flight` frames are already in work.
            FrameError: if the frame is not uint8 [H,W,3], or of a new size amid others.
            EngineError: if the backend refused.
        """
        if self._closed:
            raise UsageError("the restorer is closed; open another one")
        if self.in_flight == self.frames_in_flight:
            raise UsageError(f"{self.in_flight} frames are in flight already; collect() one first")
        check_frame(frame_hwc)
        height, width, _ = frame_hwc.shape
        self._fit(height, width)
        slot = self._next_slot
        begun_ns = self._clock()
        pad_reflect(frame_hwc, self._backend.frame(slot))
        copied_ns = self._clock()
        self._backend.submit(slot)
        submitted_ns = self._clock()
        self.latencies.span("copy_in", begun_ns, copied_ns)
        self._pending.append(_Pending(slot, height, width, copied_ns, submitted_ns))
        self._next_slot = (slot + 1) % self._slots

    def collect(self, out: Bytes | None = None) -> Bytes:
        """Wait for the oldest frame in flight and return it, [4H,4W,3].

        Without `out` the array is a view, valid for `frames_in_flight` further submits; with
        `out` it is copied there and `out` is returned.

        Raises:
            UsageError: if nothing is in flight.
            FrameError: if `out` has another shape or type.
            EngineError: if the work failed, or what came out is no picture of the frame.
        """
        if not self._pending:
            raise UsageError("no frame is in flight; submit() one first")
        slot, height, width, copied_ns, submitted_ns = self._pending[0]
        if out is not None:
            check_out(out, (SCALE * height, SCALE * width, 3))
        self._pending.popleft()
        begun_ns = self._clock()
        self._backend.wait(slot)
        done_ns = self._clock()
        restored_hwc = self._backend.restored(slot)[: SCALE * height, : SCALE * width]
        if self._lookout is not None:
            self._lookout.look(self._backend.frame(slot)[:height, :width], restored_hwc)
        if out is not None:
            np.copyto(out, restored_hwc)
            restored_hwc = out
        self.latencies.span("infer", copied_ns, submitted_ns, begun_ns, done_ns)
        self.latencies.span("copy_out", done_ns, self._clock())
        return restored_hwc

    def _fit(self, height: int, width: int) -> None:
        """Get ready for frames of this size, and forget those of another."""
        if (height, width) == self._size:
            return
        padded = self._opened.padded(height, width)
        if padded == self._padded:
            self._backend.reset()
        else:
            self._allocate(height, width, padded)
        self._size = (height, width)

    def _allocate(self, height: int, width: int, padded: tuple[int, int]) -> None:
        if self._pending:
            raise FrameError(
                f"a frame of {width}x{height} px came while {self.in_flight} frames of another "
                "size are in flight; collect() them before the size changes"
            )
        self._size = self._padded = None  # should this fail halfway, the next frame starts over
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

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()
