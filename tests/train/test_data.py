"""Finding media, reading them, and the pool of training pairs."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data.pool import PoolPlan, build_pool, open_pool
from crispstream.train.data.sharp import list_media, read_pictures
from tests.helpers.media import write_video
from tests.helpers.pictures import write_picture

PLAN = PoolPlan(crop_px=16, crops_per_image=3, crops_per_video=4, frames_per_video=2)


@pytest.fixture
def media(tmp_path):
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "deep" / "b.JPG", seed=1)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_media_are_found_below_a_folder_and_left_out_by_name(media):
    assert [path.name for path in list_media([media])] == ["a.png", "b.JPG"]
    assert [path.name for path in list_media([media], ["a*"])] == ["b.JPG"]


def test_nothing_to_learn_from_is_said(media, tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list_media([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match=r"no training media .* of them excluded: 2"):
        list_media([media], ["*"])


def test_a_broken_picture_and_a_broken_video_are_named(tmp_path):
    for name in ("broken.png", "broken.mp4"):
        (tmp_path / name).write_text("text")
        with pytest.raises(TrainError, match=name):
            list(read_pictures(tmp_path / name, 2))


def test_frames_are_spread_over_a_video(tmp_path):
    frames = [np.full((48, 64, 3), level, np.uint8) for level in range(10, 250, 20)]
    write_video(tmp_path / "v.mp4", frames=len(frames), pixels=frames)
    means = [image.mean() for image in read_pictures(tmp_path / "v.mp4", 3)]
    np.testing.assert_allclose(means, [frames[k].mean() for k in (2, 6, 10)], atol=4)


def test_a_pool_is_built_once_and_again_only_for_another_plan(media, tmp_path):
    cache = tmp_path / "cache"
    first = build_pool([media], PLAN, cache, workers=1)
    lr, hr = open_pool(first)
    assert (lr.shape, hr.shape) == ((6, 16, 16, 3), (6, 64, 64, 3))
    assert json.loads((first / "pool.json").read_text())["files"] == ["a.png", "b.JPG"]
    stamp = (first / "lr.npy").stat().st_mtime_ns
    assert build_pool([media], PLAN, cache, workers=1) == first
    assert (first / "lr.npy").stat().st_mtime_ns == stamp
    assert build_pool([media], replace(PLAN, seed=2), cache, workers=1) != first


def test_pairs_of_the_world_are_used_as_they_are(tmp_path):
    write_picture(tmp_path / "sharp" / "x.png", seed=3)
    write_picture(tmp_path / "blur" / "x.png", seed=4)
    _, hr = open_pool(build_pool([tmp_path], PLAN, tmp_path / "cache", workers=1))
    sharp = cv2.imread(str(tmp_path / "sharp" / "x.png"))
    found = cv2.matchTemplate(sharp, hr[0], cv2.TM_SQDIFF)
    assert found.min() < 1  # the truth is a crop of the sharp one, untouched
    assert len(hr) == PLAN.crops_per_image


def test_pictures_that_are_too_small_for_a_crop_are_said(tmp_path):
    write_picture(tmp_path / "tiny.png", height=40, width=40)
    with pytest.raises(UsageError, match="smaller than one crop"):
        build_pool([tmp_path], PLAN, tmp_path / "cache", workers=1)
