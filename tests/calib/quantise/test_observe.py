"""Looking at tensors inside a graph."""

import numpy as np
import onnx
import onnxruntime
import pytest

from crispstream.calib.quantise import observe
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.observe import Observer, session_of, with_outputs
from crispstream.core.errors import EngineError
from tests.helpers.graphs import asymmetric_qdq, edge_like
from tests.helpers.pictures import soft_picture

NAMES = ["levels", "wide", "b", "sum", "subpixels"]
FRAME = soft_picture(0, 16, 24)


def reference(onnx_bytes, names):
    """The same tensors by ONNX's own tools."""
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(onnx_bytes))
    infos = {info.name: info for info in model.graph.value_info}
    del model.graph.output[:]
    model.graph.output.extend(infos[name] for name in names)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, {"frame": FRAME[None]}), strict=True))


@pytest.mark.parametrize("half", [False, True])
def test_tensors_are_those_of_the_graph(half):
    found = dict(Observer(GraphView(edge_like(half=half)), NAMES).tensors(FRAME))
    expected = reference(edge_like(half=half), NAMES)
    assert list(found) == NAMES
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        assert np.allclose(found[name], values, atol=1e-3 if half else 1e-4)


@pytest.fixture
def sessions(monkeypatch):
    """The outputs of each session that is started."""
    started = []

    def start(onnx_bytes, **options):
        session = session_of(onnx_bytes, **options)
        started.append([output.name for output in session.get_outputs()])
        return session

    monkeypatch.setattr(observe, "session_of", start)
    return started


def test_tensors_that_fit_together_come_from_one_run(sessions):
    observer = Observer(GraphView(edge_like()), NAMES)
    for _ in range(3):
        list(observer.tensors(FRAME))
    assert sessions == [NAMES]


def test_tensors_that_do_not_fit_come_from_several_runs(sessions, monkeypatch):
    together = dict(Observer(GraphView(edge_like()), NAMES).tensors(FRAME))
    sessions.clear()
    # levels has 3 channels, wide, b and sum have 16, subpixels 48.
    monkeypatch.setattr(observe, "TOGETHER_BYTES", 4 * 16 * 24 * 35)
    apart = dict(Observer(GraphView(edge_like()), NAMES).tensors(FRAME))
    assert sessions == [["levels", "wide", "b"], ["sum"], ["subpixels"]]
    assert list(apart) == NAMES
    for name in NAMES:
        assert np.allclose(apart[name], together[name], atol=1e-4)


def test_a_copy_has_these_outputs_and_the_original_keeps_its_own():
    view = GraphView(edge_like())
    copy = onnx.load_model_from_string(with_outputs(view, ["sum", "wide"]))
    assert [output.name for output in copy.graph.output] == ["sum", "wide"]
    assert [output.name for output in view.model.graph.output] == ["restored"]


def test_a_pair_of_q_and_dq_is_computed_as_it_stands():
    # Bytes above 127 + 128 steps saturate; frames go through unchanged.
    session = session_of(asymmetric_qdq(), literally=True)
    assert np.array_equal(
        session.run(None, {"frame": FRAME[None]})[0][0], FRAME.repeat(4, 0).repeat(4, 1)
    )


def test_a_graph_that_is_refused_gives_the_librarys_words():
    with pytest.raises(EngineError, match="ONNX Runtime refused the graph; it said: ") as caught:
        session_of(b"not a graph")
    assert caught.value.native_log
