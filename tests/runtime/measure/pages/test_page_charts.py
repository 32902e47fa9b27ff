"""Where charts put things: positions are read back from the drawing."""

import itertools
import random
import re

import pytest

from crispstream.runtime.measure.figures import Moment, Ratio
from crispstream.runtime.measure.pages.bars import neighbours
from crispstream.runtime.measure.pages.chart_lines import Panel, timelines
from crispstream.runtime.measure.pages.chart_ratios import Compared, ratios
from crispstream.runtime.measure.pages.chart_roofline import Dot, merged, roofline
from crispstream.runtime.measure.pages.chart_spread import (
    Histogram,
    _binned,
    distributions,
    histogram_of,
)
from crispstream.runtime.measure.pages.roofs import planned_dots
from crispstream.runtime.measure.pages.scales import Linear, Log, linear_around, log_around
from tests.helpers.layer_records import DEVICE, planned_layers
from tests.helpers.markup import Markup
from tests.helpers.records import durations, spread_of


def places(pattern: str, chart: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, chart)]


@pytest.mark.parametrize("scale", [Linear(2.0, 9.0), Log(0.5, 80.0)])
def test_scales_keep_order_and_stay_inside(scale: Linear | Log) -> None:
    values = [scale.low / 2, scale.low, *scale.ticks, scale.high, scale.high * 2]
    found = [scale.place(value) for value in values]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("values", [[0.97, 1.03], [3.0, 3.0], [1e-5, 4e4], [0.0], [12.5, 13.0]])
def test_scales_reach_around_their_values_and_have_ticks(values: list[float]) -> None:
    for scale in (linear_around(values), log_around(values)):
        assert scale.low < scale.high
        assert scale.high >= max(values)
        assert 1 <= len(scale.ticks) <= 7
    assert linear_around(values).low <= min(values)


def test_ratios_lie_on_their_side_of_one() -> None:
    rows = [
        Compared("a", Ratio(0.5, 0.4, 0.6, 9), pairs=[0.45, 0.5, 0.55]),
        Compared("b", Ratio(1.3, 1.2, 1.4, 9)),
        Compared("c", Ratio(1.0, 0.9, 1.1, 9)),
    ]
    chart = ratios("Ratios", rows)
    ones = places(r'class="one" x1="([\d.]+)%"', chart)
    lows = places(r'class="interval [a-z-]+" x1="([\d.]+)%"', chart)
    highs = places(r'class="interval [a-z-]+" x1="[\d.]+%" x2="([\d.]+)%"', chart)
    points = places(r'class="point [a-z-]+" x="([\d.]+)%"', chart)
    assert len(set(ones)) == 1
    for low, point, high in zip(lows, points, highs, strict=True):
        assert low < point < high
    assert highs[0] < ones[0] < lows[1]
    assert lows[2] < ones[0] < highs[2]
    assert chart.count('class="pair"') == 3
    assert Markup(chart).open == []


def test_ratios_far_apart_are_on_a_logarithmic_axis() -> None:
    rows = [Compared("a", Ratio(0.1, 0.1, 0.1, 9)), Compared("b", Ratio(10.0, 10.0, 10.0, 9))]
    chart = ratios("Ratios", rows)
    one = places(r'class="one" x1="([\d.]+)%"', chart)[0]
    low, high = places(r'class="point [a-z-]+" x="([\d.]+)%"', chart)
    assert one - low == pytest.approx(high - one, abs=0.01)


def test_histograms_keep_every_frame_however_bins_and_buckets_lie() -> None:
    spread = spread_of(durations(12.5, 500))
    for scale in (Log(10.0, 50.0), Log(0.001, 1000.0), Log(12.0, 13.0)):
        assert sum(_binned(spread.buckets, scale)) == pytest.approx(500)
    assert sum(_binned(((1e-6, 7),), Log(0.001, 1.0))) == 7  # shorter than the axis begins


def test_a_smooth_distribution_is_drawn_smooth() -> None:
    even = tuple((1.02**power, 100) for power in range(100, 200))  # 100 frames in each bucket
    bins = _binned(even, Log(10.0, 50.0))[1:-1]
    inner = [count for count in bins if count > 0][1:-1]
    assert max(inner) < 1.01 * min(inner)


def test_rows_without_counts_are_left_out() -> None:
    rows = [histogram_of("a", spread_of([1.0])), Histogram("b", (), 0.0, 0.0)]
    assert distributions("Times", rows).count('class="strip"') == 1
    assert distributions("Times", rows[1:]) == ""


def moments(highest: float) -> list[Moment]:
    maxima = (11.0, highest, 11.0)
    return [Moment(10.0 * index, 10.0, 5, 10.0, 9.0, top) for index, top in enumerate(maxima)]


def test_spikes_beyond_the_scale_are_marked_and_only_those() -> None:
    assert timelines("Run", [Panel("a", "", moments(11.0))]).count('class="beyond"') == 0
    chart = timelines("Run", [Panel("a", "", moments(200.0))])
    assert places(r'class="beyond" x="([\d.]+)%"', chart) == [50.0]
    uncut = timelines("Run", [Panel("a", "", moments(200.0), cut=False)])
    assert uncut.count('class="beyond"') == 0


def test_time_lines_share_an_axis_in_units_of_its_length() -> None:
    for seconds, unit in ((20.0, "s"), (600.0, "min"), (86400.0, "h")):
        moment = Moment(0.0, seconds, 1, 10.0, 9.0, 11.0)
        chart = timelines("Run", [Panel("a", "", [moment]), Panel("none", "", [])])
        assert re.search(rf"\d {unit}</text></svg></figure>", chart)
        assert chart.count('class="strip"') == 1
    assert timelines("Run", []) == ""


def test_no_layer_lies_above_the_roof() -> None:
    chart = roofline(DEVICE, ["fp16"], planned_dots(planned_layers()))
    dots = re.findall(r'class="dot \w+" x="([\d.]+)%" y="([\d.]+)"', chart)
    roofs = re.findall(
        r'class="roof" x1="([\d.]+)%" x2="([\d.]+)%" y1="([\d.]+)" y2="([\d.]+)"', chart
    )
    assert len(dots) > 5
    assert len(roofs) == 2
    for x, y in (map(float, dot) for dot in dots):
        heights = []
        for begin, end, first, last in (map(float, roof) for roof in roofs):
            if begin - 0.01 <= x <= end + 0.01:
                heights.append(first + (last - first) * (x - begin) / (end - begin))
        assert y >= min(heights) - 0.2  # y grows downwards


def test_layers_at_one_place_are_one_mark_with_their_time_together() -> None:
    same = [Dot(f"/l{index}", 40.0, 2.0, 0.5, "compute") for index in range(4)]
    (mark,) = merged(same)
    assert (mark.count, mark.time_ms) == (4, 2.0)
    assert len(merged([*same, Dot("/m", 40.0, 2.0, 0.5, "memory")])) == 2
    assert "/l0 and 3 like it: 2.00 ms" in roofline(DEVICE, ["fp16"], same)
    assert roofline(DEVICE, ["fp16"], [Dot("/a", 0.0, 0.0, 1.0, "memory")]) == ""


NUMBER = re.compile(r'halo strong" x="([\d.]+)%" y="([\d.]+)" text-anchor="middle">([\d, ]+)<')


def test_marks_that_coincide_have_one_number_together() -> None:
    kinds = ("compute", "memory", "launch")
    dots = [Dot(f"/l{i}", 40.0 + i / 50, 2.0, 3.0 - i, kind) for i, kind in enumerate(kinds)]
    chart = roofline(DEVICE, ["fp16"], [*dots, Dot("/far", 5.0, 0.3, 0.1, "memory")])
    assert [words for _, _, words in NUMBER.findall(chart)] == ["1, 2, 3", "4"]


def test_a_number_is_joined_to_that_of_the_nearest_mark() -> None:
    dots = [
        Dot("/far", 5.0, 0.5, 9.0, "memory"),
        Dot("/beside", 80.0, 8.3, 3.0, "compute"),
        Dot("/below", 71.0, 7.0, 2.5, "memory"),
        Dot("/almost-there", 72.0, 7.3, 2.4, "memory"),
    ]
    found = [words for _, _, words in NUMBER.findall(roofline(DEVICE, ["fp16"], dots))]
    assert found == ["1", "2, 3, 4"]  # not 3 alone below "2, 4"


def test_numbers_of_marks_keep_their_distance() -> None:
    dice = random.Random(2)
    for _ in range(40):
        dots = [
            Dot(f"/l{i}", dice.uniform(5, 90), dice.uniform(0.3, 5), dice.uniform(0.1, 2), "launch")
            for i in range(8)
        ]
        found = NUMBER.findall(roofline(DEVICE, ["fp16"], dots))
        told = sorted(int(one) for _, _, words in found for one in words.split(", "))
        assert told == [1, 2, 3, 4, 5]
        for (x, y, words), (other_x, other_y, others) in itertools.combinations(found, 2):
            apart_px = 270 * abs(float(x) - float(other_x)) / 100  # on a telephone
            between_px = apart_px - 6.5 * (len(words) + len(others)) / 2
            assert between_px >= 5.9 or abs(float(y) - float(other_y)) >= 12.9


def test_neighbours_lose_nothing_and_keep_order() -> None:
    items = [float(index * 37 % 101) for index in range(300)]
    groups = neighbours(items, float, most=40)
    assert [item for group in groups for item in group] == items
    assert len(groups) <= 41
    assert (100.0,) in groups
