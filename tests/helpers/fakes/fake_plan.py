"""What a fake engine is made of, and what it computes.

Without a graph it repeats every pixel 4x4 times and adds the sum of its states, each of which
counts on: by one and a little more, which depends on the frame. With a graph it computes what the
graph says, on ONNX Runtime.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crispstream.core.bundle import StateTensor
from crispstream.core.pixels import SCALE, Bytes
from crispstream.core.sizes import SizeRange

_MAGIC = b"fake engine\n"
ITEM_TYPES = {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16}
Arrays = Mapping[str, npt.NDArray[Any]]
Shape = list[int]


@dataclass(frozen=True)
class Tensor:
    """An input or output of a fake engine."""

    name: str
    is_input: bool
    kind: str
    """UINT8, FLOAT or HALF."""
    channels: int = 3
    divisor: int = 1


@dataclass(frozen=True)
class FakePlan:
    """The content of a fake engine file."""

    flavour: str
    version: str
    tensors: tuple[Tensor, ...]
    profiles: tuple[Mapping[str, Sequence[Shape]], ...]
    """Name of an input -> its smallest, best and largest shape."""
    graph: str = ""
    """ONNX, as base64."""
    has_host_code: bool = False
    layers: tuple[Any, ...] = ()
    """As the inspector tells of them: dictionaries, or names alone."""

    def to_bytes(self) -> bytes:
        return _MAGIC + json.dumps(asdict(self)).encode()

    @staticmethod
    def from_bytes(content: bytes) -> "FakePlan":
        """Return a plan.

        Raises:
            ValueError: if that is no fake engine, or half of one.
        """
        if not content.startswith(_MAGIC):
            raise ValueError("magic tag does not match")
        told = json.loads(content.removeprefix(_MAGIC))
        told["tensors"] = tuple(Tensor(**tensor) for tensor in told["tensors"])
        told["profiles"] = tuple(told["profiles"])
        told["layers"] = tuple(told["layers"])
        return FakePlan(**told)

    def compute(self, inputs: Arrays) -> Arrays:
        """Return the outputs."""
        if self.graph:
            return _run_graph(base64.b64decode(self.graph), inputs)
        frame = inputs["frame"]
        states = [name for name in inputs if name != "frame"]
        added = sum(int(inputs[name].flat[0]) for name in states)
        large = frame.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
        outputs: dict[str, npt.NDArray[Any]] = {"restored": large + np.uint8(added % 256)}
        for name in states:
            counted = inputs[name] + 1 + int(frame.flat[0]) % 7
            outputs[name.replace("state_in_", "state_out_")] = counted.astype(inputs[name].dtype)
        return outputs


def plan_of(
    *sizes: SizeRange,
    states: Sequence[StateTensor] = (),
    kind: str = "HALF",
    flavour: str = "tensorrt",
    version: str = "10.3.0",
    has_host_code: bool = False,
) -> FakePlan:
    """Return a plan that takes these sizes, one range a profile."""
    tensors = [Tensor("frame", True, "UINT8"), Tensor("restored", False, "UINT8")]
    for state in states:
        for prefix, is_input in (("state_in_", True), ("state_out_", False)):
            name = f"{prefix}{state.name}"
            tensors.append(Tensor(name, is_input, kind, state.channels, state.divisor))
    profiles = tuple({"frame": [[1, h, w, 3] for w, h in each]} for each in sizes)
    return FakePlan(flavour, version, tuple(tensors), profiles, has_host_code=has_host_code)


def expected_of(frames: Sequence[Bytes], states: int = 0) -> list[Bytes]:
    """Return what a fake engine without a graph makes of frames [H,W,3] that follow each other."""
    counted, results = 0, []
    for frame in frames:
        large = frame.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        results.append(large + np.uint8(states * counted % 256))
        counted += 1 + int(frame.flat[0]) % 7
    return results


def _run_graph(graph: bytes, inputs: Arrays) -> Arrays:
    import onnxruntime as ort

    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))
