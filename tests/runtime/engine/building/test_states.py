"""Recurrent graphs: the shapes of their states follow those of the frame."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.building.build import build_engine, build_from_bundle
from crispstream.runtime.engine.building.options import BuildOptions
from tests.helpers.bundles import write_tiny_bundle

SIZE = (64, 48)
STATIC = BuildOptions.static(SIZE)
SEEN = StateTensor("seen", channels=4, divisor=2)
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)


def recurrent(height: int | str = "h", width: int | str = "w") -> bytes:
    """A graph that carries 4 channels at half size; its state is mixed with the halved frame."""
    half = [each // 2 if isinstance(each, int) else f"{each}_half" for each in (height, width)]
    large = [each * 4 if isinstance(each, int) else f"{each}_x4" for each in (height, width)]
    random = np.random.default_rng(0)
    weights = {
        "mix_w": random.normal(0, 0.2, (4, 7, 3, 3)).astype(np.float32),
        "tail_w": random.normal(0, 0.2, (48, 7, 3, 3)).astype(np.float32),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(255.5, np.float32),
    }
    padded = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Cast", ["frame"], ["x_bhwc"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["x_bhwc"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["x"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Concat", ["small", "state_in_seen"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "mix_w"], ["mixed"], **padded),
        helper.make_node("Relu", ["mixed"], ["state_out_seen"]),
        helper.make_node("Resize", ["state_out_seen", "", "twice"], ["wide"], mode="nearest"),
        helper.make_node("Concat", ["x", "wide"], ["all"], axis=1),
        helper.make_node("Conv", ["all", "tail_w"], ["tail"], **padded),
        helper.make_node("Clip", ["tail", "low", "high"], ["clipped"]),
        helper.make_node("DepthToSpace", ["clipped"], ["y"], blocksize=4, mode="CRD"),
        helper.make_node("Transpose", ["y"], ["y_bhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["y_bhwc"], ["restored"], to=TensorProto.UINT8),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [
            value("frame", TensorProto.UINT8, [1, height, width, 3]),
            value("state_in_seen", TensorProto.FLOAT, [1, 4, *half]),
        ],
        [
            value("restored", TensorProto.UINT8, [1, *large, 3]),
            value("state_out_seen", TensorProto.FLOAT, [1, 4, *half]),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@needs_rtx
@pytest.mark.parametrize(
    ("graph", "options"),
    [
        (recurrent(), STATIC),
        (recurrent(), BuildOptions((SizeRange.only(SIZE), SizeRange.parse("32x32:64x64:128x96")))),
        (recurrent(48, 64), STATIC),
    ],
    ids=["free", "two profiles", "fixed"],
)
def test_states_follow_the_size_of_the_frame(graph: bytes, options: BuildOptions) -> None:
    assert build_engine(graph, options, states=(SEEN,)).plan[:4] == b"vtrt"


@needs_rtx
def test_states_that_the_bundle_does_not_name_or_names_otherwise_are_refused() -> None:
    with pytest.raises(EngineError, match=r"\['frame', 'state_in_seen'\], expected \['frame'\]"):
        build_engine(recurrent(), STATIC)
    with pytest.raises(UsageError, match=r"state_in_seen of shape \[1, 4, -1, -1\].*\[1, 8, 24"):
        build_engine(recurrent(), STATIC, states=(replace(SEEN, channels=8),))


@needs_rtx
def test_the_states_of_a_bundle_are_built(tmp_path: Path) -> None:
    bundle = replace(write_tiny_bundle(tmp_path / "b", {"fp32": recurrent()}), states=(SEEN,))
    engine, record = build_from_bundle(bundle, STATIC)
    assert engine[:4] == b"vtrt"
    assert record.sizes == "64x48"
