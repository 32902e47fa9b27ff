"""The colour test: a healthy kit passes, and every fault that colours can have is caught."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crispstream.runtime.doctor import colour_chart as chart
from crispstream.runtime.doctor.colour import LIMIT, Verdict, as_json, examine_colours
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream import colour
from crispstream.runtime.stream.sinks import encoder

_BT601, _BT709 = chart.MAPPINGS[0], chart.MAPPINGS[2]

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(
    ("mapping", "bars"),
    [
        # The bars of SMPTE RP 219 and of EBU Tech 3213, as every broadcast engineer knows them.
        (
            _BT709,
            {
                "yellow": (168, 44, 136),
                "cyan": (145, 147, 44),
                "green": (133, 63, 52),
                "magenta": (63, 193, 204),
                "red": (51, 109, 212),
                "blue": (28, 212, 120),
            },
        ),
        (
            _BT601,
            {
                "yellow": (162, 44, 142),
                "cyan": (131, 156, 44),
                "green": (112, 72, 58),
                "magenta": (84, 184, 198),
                "red": (65, 100, 212),
                "blue": (35, 212, 114),
            },
        ),
    ],
)
def test_the_chart_has_the_codes_of_the_bars(
    mapping: chart.Mapping, bars: dict[str, tuple[int, int, int]]
) -> None:
    codes = dict(zip(chart.PATCHES, chart.codes_of(chart.nominal_rgb(), mapping), strict=True))
    assert {name: tuple(codes[f"{name} 75 %"]) for name in bars} == bars
    assert tuple(codes["grey 100 %"]) == (235, 128, 128)
    assert tuple(codes["grey 0 %"]) == (16, 128, 128)


def test_the_chart_has_a_ramp_and_both_bars() -> None:
    greys = [name for name in chart.PATCHES if name.startswith("grey")]
    assert len(greys) >= 17
    assert len([name for name in chart.PATCHES if name.endswith(" 75 %")]) >= 7
    assert len(chart.PATCHES) == (chart.WIDTH_PX // chart.PATCH_PX) * (
        chart.HEIGHT_PX // chart.PATCH_PX
    )


@pytest.mark.parametrize("mapping", chart.MAPPINGS, ids=lambda mapping: mapping.name)
def test_the_chart_is_written_and_read_without_loss(tmp_path: Path, mapping: chart.Mapping) -> None:
    codes = chart.codes_of(chart.nominal_rgb(), mapping)
    chart.write_chart(tmp_path / "chart.mkv", codes.astype(np.uint8), mapping.tags)
    tags, pictures = chart.read_chart(tmp_path / "chart.mkv")
    assert tags == mapping.tags
    assert len(pictures) > 1
    for planes in pictures:
        for channel, plane in enumerate(planes):
            assert np.all(plane == codes[:, channel : channel + 1])


def test_a_healthy_kit_passes() -> None:
    verdicts = examine_colours()
    assert [verdict.stream for verdict in verdicts] == [
        "BT.601 limited",
        "BT.601 full",
        "BT.709 limited",
        "BT.709 full",
        "BT.2020 limited",
        "BT.2020 full",
        "untagged",
        "images",
    ]
    assert all(verdict.faults == () for verdict in verdicts)
    assert max(max(verdict.read_off, verdict.written_off) for verdict in verdicts) <= LIMIT
    assert all(verdict.stream == verdict.output for verdict in verdicts[:6]), "not carried"


def _wrong(verdicts: list[Verdict]) -> dict[str, set[str]]:
    return {v.stream: {fault.where for fault in v.faults} for v in verdicts if v.faults}


def _matrix_misread(patch: Patch) -> None:
    patch.setitem(colour._MATRIX_OF_CODE, 1, "bt601")


def _matrix_ignored(patch: Patch) -> None:
    """As libswscale does for who gives it no matrix: everything is read as BT.601."""
    begin = colour.FromYuv.__init__

    def ignorant(self: colour.FromYuv, tagged: Colour) -> None:
        begin(self, replace(tagged, matrix="bt601"))

    patch.setattr(colour.FromYuv, "__init__", ignorant)


def _range_ignored(patch: Patch) -> None:
    patch.setattr(colour, "_is_full_range", lambda picture: False)


def _range_lost(patch: Patch) -> None:
    """As it was before colours were carried: every output in limited range."""

    def limited(source: Colour, height: int) -> Colour:
        return replace(colour.output_colour(source, height), full_range=False)

    patch.setattr(encoder, "output_colour", limited)


def _tags_left_out(patch: Patch) -> None:
    patch.setattr(encoder, "tag", lambda codec, colour: None)


def _swapped_on_reading(patch: Patch) -> None:
    read = colour.FromYuv.__call__
    patch.setattr(colour.FromYuv, "__call__", lambda self, picture: read(self, picture)[..., ::-1])


def _swapped_on_writing(patch: Patch) -> None:
    write = colour.ToYuv.__call__

    def swapped(self: colour.ToYuv, frame_hwc: "np.ndarray") -> object:
        return write(self, np.ascontiguousarray(frame_hwc[..., ::-1]))

    patch.setattr(colour.ToYuv, "__call__", swapped)


def _two_levels_brighter(patch: Patch) -> None:
    write = colour.ToYuv.__call__

    def brighter(self: colour.ToYuv, frame_hwc: "np.ndarray") -> object:
        return write(self, np.minimum(frame_hwc, 252) + np.uint8(3))

    patch.setattr(colour.ToYuv, "__call__", brighter)


_FULL = {f"{name} full" for name in ("BT.601", "BT.709", "BT.2020")}
_NOT_BT601 = {f"BT.{n} {span}" for n in (709, 2020) for span in ("limited", "full")}
_ALL = {mapping.name for mapping in chart.MAPPINGS} | {"untagged", "images"}


@pytest.mark.parametrize(
    ("fault", "streams", "where"),
    [
        (_matrix_misread, {"BT.709 limited", "BT.709 full"}, {"read", "written", "tags"}),
        (_matrix_ignored, _NOT_BT601, {"read", "written"}),
        (_range_ignored, _FULL, {"read", "written", "tags"}),
        (_range_lost, _FULL, {"written", "tags"}),
        (_tags_left_out, _ALL, {"tags"}),
        (_swapped_on_reading, _ALL - {"images"}, {"read", "written"}),
        (_swapped_on_writing, _ALL, {"written"}),
        (_two_levels_brighter, _ALL, {"written"}),
    ],
)
def test_a_deliberate_fault_is_caught(
    monkeypatch: Patch, fault: Callable[[Patch], None], streams: set[str], where: set[str]
) -> None:
    fault(monkeypatch)
    wrong = _wrong(examine_colours())
    assert set(wrong) == streams
    assert all(where <= seen for seen in wrong.values())


def test_a_fault_says_what_was_expected_and_seen(monkeypatch: Patch) -> None:
    _range_lost(monkeypatch)
    told = as_json(examine_colours())
    assert (told["schema"], told["limit"], told["failed"]) == (1, 1, 3)
    (stream,) = (one for one in told["streams"] if one["stream"] == "BT.709 full")
    faults = {fault["patch"]: fault for fault in stream["faults"]}
    assert faults[""]["expected"] == "matrix 1 primaries 1 transfer 1 range 2"
    assert faults[""]["seen"] == "matrix 1 primaries 1 transfer 1 range 1"
    assert faults["white 100 %"] == {
        "where": "written",
        "patch": "white 100 %",
        "expected": "Y 255 Cb 128 Cr 128",
        "seen": "Y 235 Cb 128 Cr 128",
    }
