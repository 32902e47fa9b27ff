"""Finding media, reading them, and the pool of training pairs."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data.pool import PoolPlan, build_pool, open_pool
from crispstream.train.data.sharp import list_media, read_pictures
from crispstream.train.recipes.registry import build_recipe
from tests.helpers.media import write_video
from tests.helpers.pictures import soft_picture, write_picture

PLAN = PoolPlan(
    crop_px=16, crops_per_image=3, crops_per_video=4, frames_per_video=2, crops_per_pair=5
)


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
    np.testing.assert_allclose(means, [frames[k].mean() for k in (0, 4, 8)], atol=4)


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
    _, _, (left, top), _ = cv2.minMaxLoc(cv2.matchTemplate(sharp, hr[0], cv2.TM_SQDIFF))
    np.testing.assert_array_equal(hr[0], sharp[top : top + 64, left : left + 64])
    assert len(hr) == PLAN.crops_per_pair


def test_another_blurred_twin_makes_another_pool(tmp_path):
    cache, twin = tmp_path / "cache", tmp_path / "data" / "blur" / "x.png"
    write_picture(tmp_path / "data" / "sharp" / "x.png", seed=3)
    write_picture(twin, seed=4)
    first = build_pool([tmp_path / "data"], PLAN, cache, workers=1)
    os.utime(twin, ns=(0, 0))
    touched = build_pool([tmp_path / "data"], PLAN, cache, workers=1)
    assert touched != first
    write_picture(twin, seed=4, height=190)
    with pytest.raises(TrainError, match=r"220x200 pixels .* 220x190"):
        build_pool([tmp_path / "data"], PLAN, cache, workers=1)
    twin.unlink()
    assert build_pool([tmp_path / "data"], PLAN, cache, workers=1) not in (first, touched)


def test_more_draws_take_busier_crops(tmp_path):
    picture = np.full((300, 300, 3), 128, np.uint8)
    picture[:150, :150] = soft_picture(1, 150, 150)
    assert cv2.imwrite(str(tmp_path / "half.png"), picture)
    plan = replace(PLAN, crops_per_image=20)
    spread = []
    for draws in (1, 12):
        pool = build_pool([tmp_path], replace(plan, crop_draws=draws), tmp_path / "cache", 1)
        spread.append(np.mean([crop.std() for crop in open_pool(pool)[1]]))
    assert spread[1] > 1.5 * spread[0]
    with pytest.raises(ValueError, match="crop_draws are at least 1"):
        replace(PLAN, crop_draws=0)


def test_how_far_the_crops_are_is_told(media, tmp_path):
    told: list[str] = []
    build_pool([media], PLAN, tmp_path / "cache", 1, told.append)
    assert told == [f"preparing crops: {done} of 2 files" for done in range(3)]
    build_pool([media], PLAN, tmp_path / "cache", 1, told.append)
    assert len(told) == 3  # nothing to prepare


@pytest.mark.slow
def test_processes_make_the_same_pool_in_the_same_order(tmp_path):
    sizes = [(300, 320), *[(200, 220)] * 5]  # the first takes longest
    for number, size in enumerate(sizes):
        write_picture(tmp_path / "media" / f"{number}.png", number, *size)
    places = (tmp_path / "alone", 1), (tmp_path / "together", 2)
    pools = [build_pool([tmp_path / "media"], PLAN, cache, workers) for cache, workers in places]
    for name in ("lr.npy", "hr.npy"):
        alone, together = ((pool / name).read_bytes() for pool in pools)
        assert alone == together


def test_a_failed_build_leaves_nothing_and_a_full_place_is_said(media, tmp_path):
    (media / "z.png").write_text("broken")
    with pytest.raises(TrainError, match=r"z\.png.*--exclude"):
        build_pool([media], PLAN, tmp_path / "cache", workers=1)
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(TrainError, match="--cache"):
        build_pool([media / "a.png"], PLAN, media / "notes.txt" / "cache", workers=1)


def test_the_faster_of_two_builds_is_kept(media, tmp_path):
    cache = tmp_path / "cache"
    key = build_pool([media], PLAN, tmp_path / "other", workers=1).name

    def another_is_faster(text: str) -> None:
        if "2 of 2" in text:
            (cache / key).mkdir()
            (cache / key / "pool.json").write_text("theirs")

    built = build_pool([media], PLAN, cache, 1, another_is_faster)
    assert (built / "pool.json").read_text() == "theirs"
    assert list(cache.iterdir()) == [built]


def test_pictures_that_are_too_small_for_a_crop_are_said(tmp_path):
    write_picture(tmp_path / "tiny.png", height=40, width=50)
    write_picture(tmp_path / "tinier.png", height=30, width=90)
    side = 64 + 2 * PLAN.degradation.margin_px()
    said = rf"smaller than one crop: .*'tiny.png', has 50x40 pixels, .* {side}x{side}"
    with pytest.raises(UsageError, match=said):
        build_pool([tmp_path], PLAN, tmp_path / "cache", workers=1)


def test_the_page_on_data_knows_the_sizes():
    page = (Path(__file__).parents[3] / "docs" / "your-own-data.md").read_text()
    full, smoke, tune = (build_recipe(f"edge-n{end}").pool for end in ("", "-smoke", "-tune"))
    sides = [plan.crop_px * 4 + 2 * plan.degradation.margin_px() for plan in (full, smoke, tune)]
    assert f"{sides[0]} pixels each way ({sides[2]} for the recipes `-tune`" in page
    assert f", {sides[1]} for `edge-n-smoke`" in page

    def sizes_mb(plan):
        crop = plan.crop_px**2 * 3 * 17 / 1e6  # of lr and hr
        counts = plan.crops_per_image, plan.crops_per_video, plan.crops_per_pair
        return [crop * count for count in counts]

    still, video, pair = sizes_mb(full)
    assert f"a still takes {still:.0f} MB ({full.crops_per_image} crops)" in page
    assert f"a video {video:.0f} MB ({full.crops_per_video} crops) and a pair {pair:.0f} MB" in page
    still, video, pair = sizes_mb(smoke)
    assert f"`edge-n-smoke` {still:.1f}, {video:.1f} and {pair:.1f} MB" in page
