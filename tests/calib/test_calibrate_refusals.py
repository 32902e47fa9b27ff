"""What calibration does not take, and says so."""

import cv2
import numpy as np
import pytest

from crispstream.calib.calibrate import RANGES_FILE, Wanted, calibrate
from crispstream.core.bundle import Bundle
from crispstream.core.errors import BundleError, FrameError, SourceError, UsageError
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import edge_graphs, write_set, write_source


def test_ranges_of_another_graph_are_refused(source, pairs, frames, tmp_path):
    made = calibrate(source, Wanted(frames), pairs, tmp_path / "made")
    with pytest.raises(UsageError, match="was measured on another graph"):
        calibrate(
            write_source(tmp_path / "other", edge_graphs(seed=1)),
            Wanted(ranges=made.bundle.path / RANGES_FILE),
            pairs,
            tmp_path / "new",
        )
    assert not (tmp_path / "new").exists()


def test_a_set_for_another_model_is_refused(source, pairs, tmp_path):
    frames = write_set(tmp_path / "set", model="edge-s")
    with pytest.raises(UsageError, match=r"collected for edge-s, not for tiny; .*--model tiny"):
        calibrate(source, Wanted(frames), pairs, tmp_path / "new")
    mine = write_set(tmp_path / "mine", model="tiny")
    assert calibrate(source, Wanted(mine), pairs, tmp_path / "new").ranges.frames == 3


@pytest.mark.parametrize(
    ("graphs", "multiple", "needed"),
    [(edge_graphs(), 48, "48x48"), (edge_graphs(40, 32), 4, "32x40")],
)
def test_frames_that_are_too_small_are_refused(frames, pairs, tmp_path, graphs, multiple, needed):
    source = write_source(tmp_path / "large", graphs, size_multiple=multiple)
    with pytest.raises(UsageError, match=rf"0000\.png' of the set is 40x32 px, .*{needed}"):
        calibrate(source, Wanted(frames), pairs, tmp_path / "new")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((32, 40), np.uint8),
        np.zeros((32, 40, 4), np.uint8),
        np.zeros((32, 40, 3), np.uint16),
    ],
)
def test_other_colour_depths_in_the_set_are_refused(source, pairs, tmp_path, image):
    frames = write_set(tmp_path / "set", [soft_picture(0, 32, 40), image])
    with pytest.raises(FrameError, match=r"channel\(s\) of .* bits, expected 3 of 8 bits"):
        calibrate(source, Wanted(frames), pairs, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_changed_frame_is_noticed(source, pairs, frames, tmp_path):
    assert cv2.imwrite(str(frames.path / "frames/0001.png"), soft_picture(1, 32, 40))
    with pytest.raises(SourceError, match="is not the file that was collected"):
        calibrate(source, Wanted(frames), pairs, tmp_path / "new")


def test_pairs_that_were_calibrated_with_are_refused(source, pairs, tmp_path):
    frames = write_set(tmp_path / "set", [soft_picture(0, 32, 40), pairs.pairs[0].lr])
    with pytest.raises(UsageError, match="was calibrated with, so it proves nothing"):
        calibrate(source, Wanted(frames), pairs, tmp_path / "new")


def test_both_floating_point_graphs_are_needed(pairs, frames, tmp_path):
    source = write_tiny_bundle(tmp_path / "b", {"fp32": edge_like()})
    with pytest.raises(BundleError, match="has no fp16 graph"):
        calibrate(source, Wanted(frames), pairs, tmp_path / "new")


def test_an_output_that_is_there_is_replaced_only_when_told(source, pairs, frames, tmp_path):
    write_tiny_bundle(tmp_path / "new")
    with pytest.raises(UsageError, match="--overwrite"):
        calibrate(source, Wanted(frames), pairs, tmp_path / "new")
    calibrate(source, Wanted(frames), pairs, tmp_path / "new", overwrite=True)
    assert len(Bundle.load(tmp_path / "new").graphs) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either --set FOLDER or --ranges FILE"),
        ({"frames": True, "ranges": "r.json"}, "either --set FOLDER or --ranges FILE"),
        ({"frames": True, "plan": True, "layers": "p.json"}, "not both"),
        ({"ranges": "r.json", "plan": True}, "give --set FOLDER, not --ranges"),
        ({"frames": True, "method": "mean"}, "no method 'mean'; choose mse, percentile"),
    ],
)
def test_wishes_that_contradict_each_other(options, words):
    with pytest.raises(UsageError, match=words):
        Wanted(**options)
