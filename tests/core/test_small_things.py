"""Pixels, files, registry, clock and optional imports."""

import json
import re

import numpy as np
import pytest

from crispstream.core.clock import FakeClock, monotonic_ns
from crispstream.core.errors import FrameError, MissingExtraError, UsageError
from crispstream.core.files import write_atomically, write_json_atomically
from crispstream.core.optional import require
from crispstream.core.pixels import pad_reflect, padded_size
from crispstream.core.registry import Registry


@pytest.mark.parametrize("size", [(5, 3), (8, 8), (2, 2), (179, 321)])
def test_padding_mirrors_as_numpy_does(size):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    out = np.zeros((*padded_size(*size, 4), 3), np.uint8)
    pad_reflect(frame, out)
    rows, cols = out.shape[0] - size[0], out.shape[1] - size[1]
    np.testing.assert_array_equal(out, np.pad(frame, ((0, rows), (0, cols), (0, 0)), "reflect"))


def test_a_strided_view_is_padded_like_its_copy():
    wide = np.random.default_rng(0).integers(0, 256, (6, 20, 3), np.uint8)
    a, b = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    pad_reflect(wide[:, 3:10], a)
    pad_reflect(wide[:, 3:10].copy(), b)
    np.testing.assert_array_equal(a, b)


def test_a_single_pixel_is_repeated():
    out = np.zeros((4, 4, 3), np.uint8)
    pad_reflect(np.full((1, 1, 3), 9, np.uint8), out)
    assert (out == 9).all()


def test_a_frame_larger_than_the_buffer_is_refused():
    with pytest.raises(FrameError, match="does not fit"):
        pad_reflect(np.zeros((5, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))


def test_an_atomic_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    target = tmp_path / "deep" / "file.json"
    write_json_atomically(target, {"a": 1})

    def fails(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, b"new")
    assert json.loads(target.read_text()) == {"a": 1}
    assert [path.name for path in target.parent.iterdir()] == ["file.json"]


def test_registry_refuses_twins_and_helps_with_typos():
    things: Registry[int] = Registry("thing")
    things.register("edge-s")(lambda: 1)
    with pytest.raises(ValueError, match="registered twice"):
        things.register("edge-s")
    with pytest.raises(
        UsageError, match=r"no thing 'edge_s'; did you mean 'edge-s'\? known: edge-s"
    ):
        things.get("edge_s")
    assert things.get("edge-s")() == 1


def test_clocks_do_not_go_back():
    assert monotonic_ns() <= monotonic_ns()
    with pytest.raises(ValueError, match="cannot go back"):
        FakeClock().advance(-1)


def test_a_missing_extra_names_the_line_to_type():
    with pytest.raises(MissingExtraError, match=re.escape('pip install "crispstream[rtx]"')):
        require("no_such_module_anywhere", "rtx")
