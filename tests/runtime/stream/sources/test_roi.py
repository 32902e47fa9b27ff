"""A region of interest: a view of each frame, wherever it lies."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.frame import RGB, Frame, StreamInfo
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.sources.roi import Region, RoiSource, parse_roi


class FakeSource:
    """Gives frames of these sizes, (width, height)."""

    damaged = 3

    def __init__(self, *sizes: tuple[int, int], live: bool = False) -> None:
        self.health = Health("fake")
        self.sizes = sizes
        self.calls: list[str] = []
        tick = Fraction(1, 30)
        self.info = StreamInfo(*sizes[0], Fraction(30), tick, RGB, len(sizes), None, live=live)

    def __iter__(self) -> Iterator[Frame]:
        for serial, (width, height) in enumerate(self.sizes):
            pixels_hwc = np.zeros((height, width, 3), np.uint8)
            pixels_hwc[..., 0], pixels_hwc[..., 1] = np.arange(width), np.arange(height)[:, None]
            changed = serial > 0 and self.sizes[serial - 1] != (width, height)
            yield Frame(pixels_hwc, serial, serial, Fraction(1, 30), 7, fresh=changed)

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


def test_the_region_is_cut_out_of_every_frame_without_a_copy() -> None:
    source = RoiSource(FakeSource((64, 48), (64, 48)), Region(10, 20, 30, 8))
    assert (source.info.width, source.info.height, source.damaged) == (30, 8, 3)
    first, second = source
    assert first.pixels_hwc.shape == (8, 30, 3)
    assert (first.pixels_hwc[0, 0, :2] == (10, 20)).all()
    assert (first.pixels_hwc[-1, -1, :2] == (39, 27)).all()
    assert first.pixels_hwc.base is not None
    assert [first.serial, second.serial, second.captured_ns] == [0, 1, 7]


def test_the_whole_frame_is_a_region() -> None:
    (frame,) = RoiSource(FakeSource((64, 48)), Region(0, 0, 64, 48))
    assert frame.pixels_hwc.shape == (48, 64, 3)


@pytest.mark.parametrize("region", [(40, 0, 25, 10), (0, 40, 10, 9), (64, 0, 1, 1)])
def test_a_region_outside_the_frame_is_refused(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError, match="64x48"):
        RoiSource(FakeSource((64, 48)), Region(*region))


def test_a_live_stream_that_shrinks_loses_frames_until_it_holds_the_region_again() -> None:
    fake = FakeSource((64, 48), (32, 24), (32, 24), (80, 60), (80, 60), live=True)
    frames = list(RoiSource(fake, Region(30, 20, 30, 20)))
    assert [frame.serial for frame in frames] == [0, 3, 4]
    assert [frame.fresh for frame in frames] == [False, True, False]
    assert fake.health.lost_frames == 2


def test_a_frame_after_lost_ones_is_fresh_even_if_its_source_says_no() -> None:
    class Steady(FakeSource):
        def __iter__(self) -> Iterator[Frame]:
            return (replace(frame, fresh=False) for frame in super().__iter__())

    frames = list(
        RoiSource(Steady((64, 48), (32, 24), (64, 48), live=True), Region(30, 20, 30, 20))
    )
    assert [frame.fresh for frame in frames] == [False, True]


def test_a_file_that_shrinks_ends_with_both_sizes() -> None:
    source = RoiSource(FakeSource((64, 48), (32, 24)), Region(30, 20, 30, 20))
    with pytest.raises(SourceError, match=r"32x24 px and does not hold the region 30,20,30,20"):
        list(source)


def test_stop_and_close_reach_the_source() -> None:
    fake = FakeSource((64, 48))
    source = RoiSource(fake, Region(0, 0, 8, 8))
    source.stop()
    source.close()
    assert fake.calls == ["stop", "close"]
    assert source.health is fake.health


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "-1,0,8,8", "0,0,0,8", "a,b,c,d", "1.5,0,8,8"]
)
def test_a_region_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"X,Y,WIDTH,HEIGHT"):
        parse_roi(text)


def test_a_region_is_read_with_and_without_spaces() -> None:
    assert parse_roi("1, 2, 3, 4") == parse_roi("1,2,3,4") == Region(1, 2, 3, 4)
    assert str(parse_roi("1,2,3,4")) == "1,2,3,4"
