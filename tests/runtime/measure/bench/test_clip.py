"""The frames of a bench."""

import numpy as np
import pytest

from crispstream.runtime.measure.bench.clip import clip


@pytest.mark.parametrize("size", [(320, 180), (33, 21), (1000, 700)])
def test_frames_are_of_the_size_and_all_different(size: tuple[int, int]) -> None:
    frames = clip(size)
    assert {frame.shape for frame in frames} == {(size[1], size[0], 3)}
    assert {str(frame.dtype) for frame in frames} == {"uint8"}
    assert all(frame.flags.c_contiguous for frame in frames)
    assert len({frame.tobytes() for frame in frames}) == len(frames) == 16


def test_they_are_pictures_and_not_noise() -> None:
    for frame in clip((320, 180)):
        beside = np.corrcoef(frame[:, 1:].ravel(), frame[:, :-1].ravel())[0, 1]
        assert beside > 0.8
