"""The re-check of a recurrent network's engine: it must start, carry and forget as its graph does.

The network adds the frame before to each, see `write_recurrent_bundle`.
"""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crispstream.core.bundle import Bundle, StateTensor
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.sequences import moving
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.trust.recheck import Recheck, recheck
from crispstream.runtime.engine.trust.shown import IN_A_ROW, shown_frames
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import nearest_x4, with_the_frame_before
from tests.helpers.pictures import soft_picture

SIZE = (40, 24)
STATES = (StateTensor("before", channels=3, divisor=1),)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The network with two check frames, of which two added do not reach white."""
    graph = with_the_frame_before()
    bare = write_tiny_bundle(tmp_path / "bare", {"fp32": graph}, name="recurrent", states=STATES)
    pictures = {name: soft_picture(seed, 24, 40) // 3 for seed, name in enumerate(("a", "b"))}
    checks = {f"check/{name}.png": png(picture) for name, picture in pictures.items()}
    return write_bundle(tmp_path / "r", bare, {"fp32.onnx": graph, **checks})


def png(picture: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])


class Engine(OnnxRuntimeBackend):
    """A fake engine: the graph on ONNX Runtime."""

    def __init__(self, graph_bytes: bytes) -> None:
        super().__init__(graph_bytes, precision="fp32", threads=1, states=STATES)


class Forgetful(Engine):
    """A fake engine whose frames all begin from zeros: its state never reaches the next one."""

    def submit(self, slot: int) -> None:
        super().reset()
        super().submit(slot)


class Unforgetting(Engine):
    """A fake engine whose state is never set to zero after the first frame."""

    def reset(self) -> None:
        if not getattr(self, "_begun", False):
            super().reset()
        self._begun = True


class OneWay(Engine):
    """A fake engine whose two directions were captured alike: frames read the same buffer."""

    def _bound(self, slot: int) -> Any:
        binding = super()._bound(slot)
        self._states.bind(binding, 0)
        return binding


class Drifting(Engine):
    """A fake engine whose frames depart from the graph's by a level more with each of a row."""

    _place = 0

    def reset(self) -> None:
        self._place = 0
        super().reset()

    def submit(self, slot: int) -> None:
        self._place += 1
        self._added = {**getattr(self, "_added", {}), slot: self._place - 1}
        super().submit(slot)

    def restored(self, slot: int) -> np.ndarray:
        made = super().restored(slot)
        return np.minimum(made.astype(int) + self._added[slot], 255).astype(np.uint8)


def checked(kind: type[Engine], bundle: Bundle) -> Recheck:
    graph = bundle.graph("fp32")
    return recheck(bundle, graph, kind(bundle.graph_bytes(graph)), SIZE)


def test_an_engine_that_does_as_its_graph_does_passes(bundle: Bundle) -> None:
    verdict = checked(Engine, bundle)
    assert verdict.passed, verdict.reason
    assert verdict.figures["frames"] == 2 * IN_A_ROW
    assert verdict.figures["repeatable"]


@pytest.mark.parametrize(
    ("kind", "frame"),
    [(Forgetful, r"[ab] \+ \d"), (Unforgetting, "b"), (OneWay, r"[ab] \+ \d"), (Drifting, "[ab]")],
)
def test_engines_that_carry_something_else_fail(
    bundle: Bundle, kind: type[Engine], frame: str
) -> None:
    verdict = checked(kind, bundle)
    assert not verdict.passed
    assert not np.array_equal(verdict.worst["got"], verdict.worst["expected"])
    assert re.search(rf"frame {frame} ", verdict.reason), verdict.reason


def test_each_check_frame_is_a_sequence_of_its_own(bundle: Bundle) -> None:
    shown = shown_frames(bundle, *SIZE)
    assert [one.from_zeros for one in shown] == [True, *[False] * (IN_A_ROW - 1)] * 2
    names = [one.name for one in shown]
    assert names[:2] == ["a", "a + 1"]
    assert len(set(names)) == len(names)
    expected = list(moving(shown[0].frame_hwc, IN_A_ROW))
    np.testing.assert_array_equal([one.frame_hwc for one in shown[:IN_A_ROW]], expected)


def test_networks_that_remember_nothing_are_shown_each_frame_once(tmp_path: Path) -> None:
    bare = write_tiny_bundle(tmp_path / "bare")
    checks = {f"check/{n}.png": png(soft_picture(n, 24, 40)) for n in range(3)}
    plain = write_bundle(tmp_path / "plain", bare, {"fp32.onnx": nearest_x4(), **checks})
    assert [one.name for one in shown_frames(plain, *SIZE)] == ["0", "1", "2"]
