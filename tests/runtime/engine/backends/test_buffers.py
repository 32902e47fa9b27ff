"""Buffers for frames: their shapes, and what is said where memory is missing."""

import numpy as np
import pytest

from crispstream.core.errors import FrameError
from crispstream.runtime.engine.backends.buffers import frame_buffers


def test_pairs_of_buffers_none_of_which_overlap() -> None:
    frames, restored = frame_buffers(5, 7, 3)
    assert [each.shape for each in frames] == [(5, 7, 3)] * 3
    assert [each.shape for each in restored] == [(20, 28, 3)] * 3
    frames[0][:], restored[0][:] = 1, 2
    assert not any(each.any() for each in (*frames[1:], *restored[1:]))


def test_missing_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "zeros", refuse)
    with pytest.raises(FrameError, match=r"4 frames of 1920x1080 px and .* need 403 MiB"):
        frame_buffers(1080, 1920, 4)
