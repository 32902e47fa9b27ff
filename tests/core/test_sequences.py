"""Sequences made of one frame, and what a graph carries through them."""

from itertools import pairwise

import numpy as np
import onnxruntime
import pytest

from crispstream.core.errors import BundleError
from crispstream.core.sequences import FRAMES, Carried, arriving, moving, results
from tests.helpers.graphs import nearest_x4, with_the_frame_before
from tests.helpers.pictures import soft_picture

FRAME = soft_picture(0, 12, 20)


def session(onnx_bytes):
    return onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])


def test_a_frame_moves_by_about_a_pixel_a_step():
    frames = list(moving(FRAME))
    assert len(frames) == FRAMES
    assert all(frame.shape == FRAME.shape for frame in frames)
    np.testing.assert_array_equal(frames[0], FRAME)
    np.testing.assert_array_equal(frames[1][:, :-1], FRAME[:, 1:])
    np.testing.assert_array_equal(frames[2][:-1, :-2], FRAME[1:, 2:])
    for before, after in pairwise(frames):
        assert not np.array_equal(before, after)


def test_a_sequence_can_arrive_at_the_frame():
    backwards = list(arriving(FRAME, 5))
    np.testing.assert_array_equal(backwards, list(moving(FRAME, 5))[::-1])
    (alone,) = arriving(FRAME, 1)
    np.testing.assert_array_equal(alone, FRAME)


def test_a_picture_smaller_than_its_way_stays_what_it_is():
    tiny = np.full((1, 2, 3), 7, np.uint8)
    assert all((frame == 7).all() and frame.shape == tiny.shape for frame in moving(tiny, 9))


@pytest.mark.parametrize("half", [False, True])
def test_states_go_from_frame_to_frame_and_every_sequence_begins_from_zeros(half):
    graph = session(with_the_frame_before(half=half))
    levels = [np.full((4, 6, 3), level, np.uint8) for level in (1, 10, 100)]
    for _ in range(2):
        made = [int(found[0][0, 0, 0, 0]) for found in results(graph, levels, ["restored"])]
        assert made == [1, 11, 110]


def test_what_is_kept_is_forgotten_when_asked():
    graph = session(with_the_frame_before())
    carried = Carried(graph)
    frame = np.full((4, 6, 3), 9, np.uint8)
    assert carried.outputs == ("state_out_before",)
    carried.keep(graph.run(carried.outputs, carried.feed(frame)))
    assert carried.feed(frame)["state_in_before"].max() == 9
    carried.forget()
    assert carried.feed(frame)["state_in_before"].max() == 0


def test_a_graph_that_remembers_nothing_is_given_the_frame_alone():
    carried = Carried(session(nearest_x4()))
    assert carried.outputs == ()
    assert list(carried.feed(FRAME)) == ["frame"]


def test_a_state_whose_size_cannot_be_told_is_refused():
    class Odd:
        """A fake session of a graph with a state of its own size."""

        @staticmethod
        def get_inputs():
            shapes = {"frame": [1, "h", "w", 3], "state_in_x": [1, 4, "somewhere", "w_div2"]}
            return [
                type("Given", (), {"name": name, "shape": shape, "type": "tensor(float)"})
                for name, shape in shapes.items()
            ]

    with pytest.raises(BundleError, match="no share of its frame's"):
        Carried(Odd()).feed(FRAME)
