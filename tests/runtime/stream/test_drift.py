"""The drift alarm: what is watched, what is outside, when it is raised, and what is kept of it."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from crispstream.core.figures import FrameMeter
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.drift import (
    Departure,
    DriftWatch,
    calibrated_ranges,
    drift_watch,
    each_of,
    watch_of,
)
from tests.helpers.pictures import soft_picture

BRIGHTNESS = {"brightness": (40.0, 80.0)}  # inside: 25 to 95, a quarter of 40 and 5 beyond
STATISTICS = {"figures": {"brightness": {"mean": 60.0, "low": 40.0, "high": 80.0}}}


def grey(level: int) -> Bytes:
    return np.full((8, 8, 3), level, np.uint8)


def shown(watch: DriftWatch, levels: Sequence[int], per_second: int = 1, start: int = 0) -> None:
    """Give the watch frames of these grey levels."""
    for index, level in enumerate(levels, start):
        watch(Frame(grey(level), index, index, Fraction(1, per_second), 0))


@pytest.mark.parametrize(
    ("level", "outside"), [(24, 1), (25, 0), (60, 0), (95, 0), (96, 1), (255, 1)]
)
def test_a_margin_lies_around_the_calibrated_range(level: int, outside: int) -> None:
    watch = DriftWatch(BRIGHTNESS)
    shown(watch, [level])
    assert (watch.drift().watched, watch.drift().outside) == (1, outside)


def test_a_set_of_one_scene_leaves_room_for_its_noise() -> None:
    """Where low and high are equal there is no quarter of the range."""
    watch = DriftWatch({"brightness": (60.0, 60.0)})
    shown(watch, [56, 64, 54])
    assert watch.drift().outside == 1


@pytest.mark.parametrize("per_second", [1, 12, 240])
def test_one_frame_a_second_is_watched(per_second: int) -> None:
    watch = DriftWatch(BRIGHTNESS)
    shown(watch, [60] * (3 * per_second + 1), per_second)
    assert watch.drift().watched == 4


def test_time_that_starts_over_is_watched_on() -> None:
    watch = DriftWatch(BRIGHTNESS)
    shown(watch, [60, 60, 60], start=1000)
    shown(watch, [60, 60])
    assert watch.drift().watched == 5


def test_the_alarm_is_raised_when_most_of_the_last_frames_are_outside() -> None:
    raised: list[Sequence[Departure]] = []
    watch = DriftWatch(BRIGHTNESS, raised.append)
    shown(watch, [60] * 20 + [12] * 4)
    assert raised == []
    shown(watch, [12], start=24)
    assert raised == [[Departure("brightness", 12.0, 40.0, 80.0)]]
    assert watch.drift().alarms == 1


def test_odd_frames_raise_no_alarm() -> None:
    watch = DriftWatch(BRIGHTNESS)
    shown(watch, [60, 12, 60, 12, 12, 60, 60, 12, 60] * 10)
    assert (watch.drift().outside, watch.drift().alarms) == (40, 0)


def test_the_alarm_has_to_be_over_before_the_next() -> None:
    raised: list[Sequence[Departure]] = []
    watch = DriftWatch(BRIGHTNESS, raised.append)
    levels = [12] * 5 + [60] * 5 + [12] * 5  # of any 8 in a row, 3 or more are outside
    shown(watch, levels)
    assert watch.drift().alarms == 1
    shown(watch, [60] * 6 + [12] * 5, start=len(levels))
    assert watch.drift().alarms == 2
    assert len(raised) == 1  # told once


def test_what_was_seen_is_kept() -> None:
    watch = DriftWatch({**BRIGHTNESS, "noise": (0.0, 1.0)})
    shown(watch, [60, 12, 70, 60])
    drift = watch.drift()
    assert (drift.watched, drift.outside, drift.outside_share) == (4, 1, 0.25)
    brightness, noise = drift.figures
    assert (brightness.lowest, brightness.highest, brightness.outside) == (12.0, 70.0, 1)
    assert brightness.farthest == 12.0
    assert (noise.highest, noise.outside) == (0.0, 0)
    assert drift.worst is brightness


def test_a_stream_inside_has_no_worst_figure() -> None:
    watch = DriftWatch(BRIGHTNESS)
    assert (watch.drift().watched, watch.drift().outside_share, watch.drift().worst) == (0, 0, None)
    shown(watch, [60, 61])
    assert watch.drift().worst is None


@pytest.mark.parametrize("figure", ["brightness", "contrast", "sharpness", "texture", "noise"])
def test_every_figure_is_watched(figure: str) -> None:
    picture = soft_picture(0, 48, 64)
    value = getattr(FrameMeter().measure(picture), figure)
    watch = DriftWatch({figure: (value + 100, value + 101)})
    watch(Frame(picture, 0, 0, Fraction(1), 0))
    assert watch.drift().figures[0].lowest == pytest.approx(value)
    assert watch.drift().outside == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 2)])
def test_no_frame_is_too_small_or_too_strange(shape: tuple[int, int]) -> None:
    watch = DriftWatch(dict.fromkeys(("brightness", "sharpness", "noise"), (0.0, 1.0)))
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for frame_hwc in (pixels, pixels[::-1, :, ::-1], np.zeros_like(pixels)):
        watch(Frame(frame_hwc, 0, 0, Fraction(1), 0))
    assert watch.drift().watched == 1  # all at one time
    watch(Frame(soft_picture(0, 20, 30), 1, 1, Fraction(1), 0))  # and the size may change
    assert watch.drift().watched == 2


@pytest.mark.parametrize(
    ("precision", "watched"),
    [("int8", True), ("int8-cpu", True), ("fp32", False), ("fp16", False), ("none", False)],
)
def test_only_int8_graphs_were_calibrated(precision: str, watched: bool) -> None:
    assert (drift_watch(precision, STATISTICS) is not None) is watched


class FakeModel(NamedTuple):
    """What a watch needs of a restorer."""

    rung: str
    precision: str
    input_statistics: dict[str, Any]


def ranges(low: float, high: float) -> dict[str, Any]:
    return {"figures": {"brightness": {"low": low, "high": high}}}


def test_of_a_ladder_the_first_int8_rung_with_ranges_is_watched_for() -> None:
    rungs = [
        FakeModel("edge-s fp32", "fp32", ranges(0, 255)),
        FakeModel("mine int8", "int8", {}),
        FakeModel("edge-s int8", "int8", ranges(40, 80)),
        FakeModel("edge-n int8", "int8", ranges(0, 255)),
    ]
    told: list[str] = []
    watch = watch_of(rungs, lambda rung, _: told.append(rung))
    assert watch is not None
    shown(watch, [200] * 6)
    (figure,) = watch.drift().figures
    assert (figure.calibrated_low, figure.calibrated_high, watch.raised) == (40, 80, True)
    assert told == ["edge-s int8"]
    assert watch_of(rungs[:2], lambda rung, _: None) is None


def test_two_look_at_each_frame_or_one_or_none() -> None:
    seen: list[str] = []
    frame = Frame(grey(1), 0, 0, Fraction(1), 0)
    one, other = (lambda _, name=name: seen.append(name) for name in ("one", "other"))
    for looks in (each_of(one, other), each_of(one, None), each_of(None, other)):
        assert looks is not None
        looks(frame)
    assert seen == ["one", "other", "one", "other"]
    assert each_of(None, None) is None


@pytest.mark.parametrize(
    "statistics",
    [
        {},
        {"mean_levels": 120.7, "measured_on": "check frames"},
        {"figures": {}},
        {"figures": [1, 2]},
        {"figures": {"loudness": {"low": 0, "high": 1}}},
        {"figures": {"noise": {"low": 0}}},
        {"figures": {"noise": {"low": 2, "high": 1}}},
        {"figures": {"noise": {"low": "0", "high": 1}}},
        {"figures": {"noise": {"low": float("nan"), "high": 1}}},
        {"figures": {"noise": {"low": 0, "high": float("inf")}}},
        {"figures": {"noise": [0, 1]}},
        "figures",
    ],
)
def test_bundles_without_ranges_are_not_watched(statistics: dict[str, object]) -> None:
    assert calibrated_ranges(statistics) == {}
    assert drift_watch("int8", statistics) is None


def test_a_figure_without_a_range_is_left_out() -> None:
    figures = {"noise": None, "contrast": {"low": 1, "high": 2, "mean": 1.5}}
    assert calibrated_ranges({"figures": figures}) == {"contrast": (1.0, 2.0)}


@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
def test_what_no_shipped_model_was_calibrated_for_is_outside(name):
    """The shipped sets cover day and night, so their ranges are wide."""
    bundle = find_model(name)
    ranges = calibrated_ranges(bundle.input_statistics)
    png = np.frombuffer(bundle.file_bytes("check/road.png"), np.uint8)
    picture = np.asarray(cv2.imdecode(png, cv2.IMREAD_COLOR), np.uint8)
    strange = {
        "covered": np.zeros_like(picture),
        "blinded": np.full_like(picture, 255),
        "out of focus": cv2.GaussianBlur(picture, (0, 0), 8),
        "noisy": np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8),
    }
    for what, frame in strange.items():
        watch = DriftWatch(ranges, lambda departures: None)
        watch(Frame(frame, 0, 0, Fraction(1, 25), 0))
        assert watch.drift().outside == 1, what
    watch = DriftWatch(ranges, lambda departures: None)
    watch(Frame(picture, 0, 0, Fraction(1, 25), 0))
    assert watch.drift().outside == 0
