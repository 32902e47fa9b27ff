"""Collecting a set from sources that are more than a plain path."""

import pytest

from crispstream.calib.collect import checks
from crispstream.calib.collect.collect import collect
from crispstream.calib.collect.sets import CalibrationSet
from crispstream.core.errors import UsageError
from crispstream.runtime.stream.source import open_source
from tests.helpers.collecting import request


def test_images_may_be_named_by_a_pattern(photos, tmp_path):
    collect(request(photos / "*.png"), tmp_path / "set")
    by_folder = tmp_path / "by_folder"
    collect(request(photos), by_folder)
    found = [CalibrationSet.load(place).frames for place in (tmp_path / "set", by_folder)]
    assert [frame.sha256 for frame in found[0]] == [frame.sha256 for frame in found[1]]


def test_images_of_a_pattern_with_16_bits_are_refused(tmp_path):
    import cv2
    import numpy as np

    (tmp_path / "deep").mkdir()
    cv2.imwrite(str(tmp_path / "deep" / "1.png"), np.zeros((32, 32, 3), np.uint16))
    with pytest.raises(UsageError, match="16 bits"):
        collect(request(tmp_path / "deep" / "*.png"), tmp_path / "set")


def test_a_set_never_lies_in_a_source_named_as_an_address(photos):
    with pytest.raises(UsageError, match="lie inside one another"):
        collect(request(f"file://{photos}"), photos / "set")


def test_what_has_no_end_is_refused(tmp_path, monkeypatch):
    def endless(uri):
        source = open_source(uri)
        object.__setattr__(source.info, "live", True)
        object.__setattr__(source.info, "frame_count", None)
        return source

    monkeypatch.setattr(checks, "open_source", endless)
    with pytest.raises(UsageError, match="is live and has no end"):
        collect(request("synth://pattern?frames=3"), tmp_path / "set")
    assert not (tmp_path / "set").exists()
