"""Pools of clips: stills under a moving camera, videos as they are, and cuts."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.metrics import psnr_db
from crispstream.train.data.built import BuiltSet
from crispstream.train.data.clips import ClipPlan, build_clips, frames_of, read_frames
from crispstream.train.data.patches import PatchSet
from crispstream.train.data.samples import open_samples
from crispstream.train.degrade.camera import CameraRange
from crispstream.train.degrade.clips import ClipDegradation
from crispstream.train.degrade.exposure import ExposureRange
from tests.helpers.media import write_video
from tests.helpers.pictures import soft_picture, write_picture

MILD = ClipDegradation(
    4.0,
    still_share=1.0,
    h264_share=0.0,
    camera=CameraRange(clean_share=1.0, h264_share=0.0),
    exposure=ExposureRange(dark_share=0.0, bright_share=0.0),
)
PLAN = ClipPlan(
    frames=3, crop_px=16, clips_per_image=2, clips_per_video=3, cut_share=0.0, degradation=MILD
)


def opened(folder, cache, plan=PLAN):
    return BuiltSet.open(build_clips([folder], plan, cache, workers=1))


@pytest.fixture
def pictures(tmp_path):
    write_picture(tmp_path / "pictures" / "a.png", 1, 96, 104)
    write_picture(tmp_path / "pictures" / "blur" / "b.png", 2, 96, 104)
    return tmp_path / "pictures"


def write_levels(path, levels, side=96):
    frames = [np.full((side, side, 3), level, np.uint8) for level in levels]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames=len(frames), pixels=frames, options={"crf": "1", "g": "1"})


def test_a_still_becomes_clips_whose_frames_are_its_channels(pictures, tmp_path):
    found = opened(pictures, tmp_path / "cache")
    assert (found.kind, len(found)) == ("clips", 2)
    assert found.names == ("train/00000/a.png",)
    sample = found.sample(0)
    assert (sample["lr"].shape, sample["hr"].shape) == ((16, 16, 9), (64, 64, 9))
    frames = frames_of(sample["hr"])
    assert frames.shape == (3, 64, 64, 3)
    np.testing.assert_array_equal(frames[1], sample["hr"][..., 3:6])
    np.testing.assert_array_equal(frames[0], frames[2])  # the camera stands still


def test_equal_plans_make_equal_pools_and_another_seed_another(pictures, tmp_path):
    moving = replace(PLAN, degradation=replace(MILD, still_share=0.0))
    first, again = (opened(pictures, tmp_path / name, moving) for name in ("one", "two"))
    other = opened(pictures, tmp_path / "one", replace(moving, seed=2))
    for name in ("lr", "hr"):
        np.testing.assert_array_equal(first.sample(1)[name], again.sample(1)[name])
    assert (first.sample(1)["hr"] != other.sample(1)["hr"]).any()


def test_a_pool_is_built_once(pictures, tmp_path):
    folder = build_clips([pictures], PLAN, tmp_path / "cache", workers=1)
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    assert build_clips([pictures], PLAN, tmp_path / "cache", workers=1) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == stamp


def test_a_video_gives_its_own_frames_in_their_order_or_backwards(tmp_path):
    levels = list(range(20, 220, 20))
    write_levels(tmp_path / "clips" / "v.mp4", levels)
    found = opened(tmp_path / "clips", tmp_path / "cache", replace(PLAN, clips_per_video=20))
    steps = set()
    for k in range(len(found)):
        shown = frames_of(found.sample(k)["lr"]).mean(axis=(1, 2, 3))
        steps |= set(np.round(np.diff(shown) / 20).astype(int).tolist())
    assert len(found) == 20
    assert steps == {-2, -1, 1, 2}


def test_some_clips_are_cut(tmp_path):
    write_picture(tmp_path / "p" / "a.png", 4, 300, 300)
    cut = opened(tmp_path / "p", tmp_path / "cache", replace(PLAN, cut_share=1.0))
    for k in range(len(cut)):
        a, b, c = frames_of(cut.sample(k)["hr"])
        same = [np.array_equal(a, b), np.array_equal(b, c)]
        assert sorted(same) == [False, True]
        assert min(psnr_db(a, b), psnr_db(b, c)) < 25


def test_all_frames_of_a_clip_are_cut_and_turned_alike(pictures, tmp_path):
    samples = open_samples(PLAN, [pictures], tmp_path / "cache", 1)
    patches = PatchSet(samples, ("lr", "hr"), items=6, patch_px=8, augment="dihedral", seed=1)
    for k in range(6):
        patch = patches[k]
        assert (patch["lr"].shape, patch["hr"].shape) == ((9, 8, 8), (9, 32, 32))
        first, second, third = patch["hr"].unflatten(0, (3, 3))
        assert first.equal(second)
        assert first.equal(third)
        small = torch.nn.functional.avg_pool2d(first.float(), 4)
        assert (small - patch["lr"][:3]).abs().mean() < 3


def test_what_is_too_small_or_too_short_is_said(tmp_path):
    write_picture(tmp_path / "small" / "a.png", 1, 60, 200)
    with pytest.raises(UsageError, match="smaller than 80x80 pixels"):
        build_clips([tmp_path / "small"], PLAN, tmp_path / "cache", workers=1)
    write_levels(tmp_path / "short" / "v.mp4", [50, 60])
    with pytest.raises(UsageError, match="shorter than 3 frames"):
        build_clips([tmp_path / "short"], PLAN, tmp_path / "cache", workers=1)
    assert not list((tmp_path / "cache").glob("clips-*"))


def test_a_broken_video_is_named(tmp_path):
    (tmp_path / "broken.mp4").write_text("text")
    with pytest.raises(TrainError, match=r"broken\.mp4"):
        list(read_frames(tmp_path / "broken.mp4"))


@pytest.mark.parametrize("change", [{"frames": 0}, {"cut_share": 2.0}])
def test_plans_that_cannot_be_built_are_refused(change):
    with pytest.raises(ValueError, match="got"):
        replace(PLAN, **change)


def test_a_clip_is_where_its_place_is_busy(tmp_path):
    picture = np.full((400, 400, 3), 90, np.uint8)
    picture[:200, :200] = soft_picture(5, 200, 200)
    write = tmp_path / "p" / "a.png"
    write.parent.mkdir()
    assert cv2.imwrite(str(write), picture)
    draws = [
        opened(tmp_path / "p", tmp_path / f"{n}", replace(PLAN, crop_draws=n, clips_per_image=6))
        for n in (1, 8)
    ]
    once, often = (np.mean([found.sample(k)["hr"].std() for k in range(6)]) for found in draws)
    assert often > once
