"""Shapes of a graph's inputs, and graphs that do not fit them."""

from types import SimpleNamespace

import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.building.inputs import check_inputs, input_shapes

RANGE = SizeRange.parse("64x32:128x64:256x96")
SEEN = StateTensor("seen", 8, 4)
FREE = SimpleNamespace(name="frame", shape=(1, -1, -1, 3))


def test_the_frame_and_every_state_have_a_shape_at_each_size() -> None:
    assert input_shapes(RANGE, [SEEN, StateTensor("deep", 16, 8)]) == {
        "frame": ((1, 32, 64, 3), (1, 64, 128, 3), (1, 96, 256, 3)),
        "state_in_seen": ((1, 8, 8, 16), (1, 8, 16, 32), (1, 8, 24, 64)),
        "state_in_deep": ((1, 16, 4, 8), (1, 16, 8, 16), (1, 16, 12, 32)),
    }


def test_a_size_that_no_state_can_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'seen' has 1/4 .*66x48 px.*multiples of 4"):
        input_shapes(SizeRange.only((66, 48)), [SEEN])


def test_free_and_fitting_inputs_pass_in_any_order() -> None:
    state = SimpleNamespace(name="state_in_seen", shape=(1, 8, -1, -1))
    check_inputs([state, FREE], input_shapes(RANGE, [SEEN]))
    fixed = SimpleNamespace(name="frame", shape=(1, 48, 64, 3))
    check_inputs([fixed], input_shapes(SizeRange.only((64, 48)), ()))


@pytest.mark.parametrize(
    ("inputs", "states", "words"),
    [
        ([FREE, SimpleNamespace(name="x", shape=())], [], r"\['frame', 'x'\], .*\['frame'\] only"),
        ([FREE], [SEEN], r"\['frame'\], expected \['frame', 'state_in_seen'\]; export it"),
        ([], [], r"inputs are \[\], expected \['frame'\] only"),
    ],
)
def test_other_inputs_are_refused(inputs: list, states: list, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_inputs(inputs, input_shapes(RANGE, states))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 48, 64, 3), r"frames of shape \[1, 48, 64, 3\], so no engine of 64x32:128x64:256x96"),
        ((1, -1, -1), r"frames of shape \[1, -1, -1\]"),
        ((1, 3, -1, -1), r"expected \[1, 32, 64, 3\]"),
    ],
)
def test_a_frame_of_another_shape_is_refused(shape: tuple, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_inputs([SimpleNamespace(name="frame", shape=shape)], input_shapes(RANGE, ()))


def test_a_state_of_another_shape_is_named() -> None:
    state = SimpleNamespace(name="state_in_seen", shape=(1, 4, -1, -1))
    with pytest.raises(UsageError, match=r"takes state_in_seen of shape \[1, 4, -1, -1\]"):
        check_inputs([FREE, state], input_shapes(RANGE, [SEEN]))
