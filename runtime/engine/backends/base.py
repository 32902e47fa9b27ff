"""What the Restorer needs from anything that can enlarge a frame.

Shape letters: H height, W width, 3 channels in BGR order. Sizes are in pixels, after padding.
"""

from typing import Protocol

from crispstream.core.pixels import Bytes
from crispstream.runtime.latency import Latencies


class Backend(Protocol):
    """Runs one graph on frames that lie in numbered slots.

    A slot is a pair of buffers, one frame in and one out, allocated once and reused: nothing
    is allocated per frame. Calls come from one thread; slots are used in turn.
    """

    @property
    def name(self) -> str:
        """What runs the graph, as written in reports: "onnxruntime"."""
        ...

    @property
    def precision(self) -> str:
        """Precision of the graph: "fp32", "fp16", "int8", "int8-cpu"."""
        ...

    @property
    def device_latencies(self) -> Latencies | None:
        """Stage times measured on the device itself; None where nothing measures them."""
        ...

    def allocate(self, height: int, width: int, slots: int) -> None:
        """Make `slots` pairs of buffers for frames [H,W,3], in place of any there were.

        Arrays handed out before stay readable; they are no longer written to. Recurrent state
        starts at zero; for its sake `slots` must be even where there is any.

        Raises:
            FrameError: if the graph was made for another size.
        """
        ...

    def frame(self, slot: int) -> Bytes:
        """Return the input buffer [H,W,3] of a slot, to be filled before `submit`."""
        ...

    def restored(self, slot: int) -> Bytes:
        """Return the output buffer [4H,4W,3] of a slot, to be read after `wait`."""
        ...

    def submit(self, slot: int) -> None:
        """Start work on a slot; may return before it is done.

        Raises:
            EngineError: if the library refuses.
        """
        ...

    def wait(self, slot: int) -> None:
        """Return when the slot's output is complete.

        Raises:
            EngineError: if the work failed.
        """
        ...

    def reset(self) -> None:
        """Set recurrent state to zero, for a frame that does not follow the one before."""
        ...

    def twin(self) -> "Backend":
        """Return a backend of the same graph for another stream of frames.

        It has its own buffers and state and the same weights; each of the two is closed by
        itself, in any order, and they may be used from different threads.
        """
        ...

    def close(self) -> None:
        """Let go of buffers and sessions; calling it twice does no harm."""
        ...
