"""Judging: layouts of data folders, figures, and mistakes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import FrameError, TrainError, UsageError
from crispstream.core.metrics import CONVENTIONS, psnr_db, ssim
from crispstream.train.evaluate import Sample, evaluate, read_pairs, read_samples
from tests.helpers.pictures import soft_picture, write_picture

HR = soft_picture(1, 64, 96)
SAMPLE = Sample("a", downscale_x4(HR), HR)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def test_bicubic_gains_nothing_over_itself_and_the_truth_everything():
    bicubic, truth = evaluate({"bicubic": upscale_x4, "truth": lambda _: HR}, [SAMPLE])
    assert bicubic.gain_db == 0
    assert bicubic.psnr_db == pytest.approx(psnr_db(upscale_x4(SAMPLE.lr), HR))
    assert truth.psnr_db == np.inf
    assert truth.ssim == pytest.approx(1)


def test_the_worst_sample_is_named():
    other = Sample("b", SAMPLE.lr, upscale_x4(SAMPLE.lr))
    (score,) = evaluate({"zero": lambda lr: np.zeros_like(HR)}, [SAMPLE, other])
    assert score.worst == "b"
    assert score.frames == 2


@pytest.mark.parametrize("name", ["gfn", "cnlrn", "cmos", "cmsc"])
def test_every_figure_follows_the_convention(name):
    noisy = np.clip(HR + np.random.default_rng(1).normal(0, 20, HR.shape), 0, 255).astype(np.uint8)
    (score,) = evaluate({"noisy": lambda _: noisy}, [SAMPLE], convention=CONVENTIONS[name])
    bicubic = psnr_db(upscale_x4(SAMPLE.lr), HR, CONVENTIONS[name])
    assert score.psnr_db == psnr_db(noisy, HR, CONVENTIONS[name]) != psnr_db(noisy, HR)
    assert score.ssim == ssim(noisy, HR, CONVENTIONS[name])
    assert score.gain_db == score.psnr_db - bicubic


def test_lr_and_hr_folders(tmp_path):
    write(tmp_path / "lr" / "a.png", SAMPLE.lr)
    write(tmp_path / "hr" / "a.png", HR)
    (sample,) = read_samples(tmp_path)
    np.testing.assert_array_equal(sample.lr, SAMPLE.lr)
    np.testing.assert_array_equal(sample.hr, HR)


def test_blurred_and_sharp_folders_are_reduced(tmp_path):
    write(tmp_path / "blur" / "a.png", HR)
    write(tmp_path / "sharp" / "a.png", HR)
    (sample,) = read_samples(tmp_path)
    np.testing.assert_array_equal(sample.lr, SAMPLE.lr)


def test_both_of_a_blurred_and_a_sharp_image_are_cut_to_whole_lr_pixels(tmp_path):
    odd = soft_picture(2, 66, 99)
    write(tmp_path / "blur" / "a.png", odd)
    write(tmp_path / "sharp" / "a.png", odd)
    (sample,) = read_pairs(tmp_path)
    np.testing.assert_array_equal(sample.hr, odd[:64, :96])
    np.testing.assert_array_equal(sample.lr, downscale_x4(odd[:64, :96]))


def test_a_protocol_is_not_followed_on_pictures_that_are_blurred_here(tmp_path):
    write_picture(tmp_path / "a.png", 0, 200, 240)
    with pytest.raises(UsageError, match="given pairs only"):
        read_pairs(tmp_path)


def test_sharp_pictures_are_blurred_the_same_way_every_time(tmp_path):
    write_picture(tmp_path / "a.png", 0, 200, 240)
    (first,), (second,) = read_samples(tmp_path, seed=3), read_samples(tmp_path, seed=3)
    (other,) = read_samples(tmp_path, seed=4)
    np.testing.assert_array_equal(first.lr, second.lr)
    assert not np.array_equal(first.lr, other.lr)
    assert first.hr.shape[0] == 4 * first.lr.shape[0]
    assert psnr_db(upscale_x4(first.lr), first.hr) > 10


def made_by_build(folder, *, finished=True):
    """Put beside a set's files what `data build` leaves there."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"schema": 1, "kind": "sisr", "settings": {}, "sources": "", "files": {}}
    text = json.dumps(about)
    (folder / ("manifest.json" if finished else "journal.jsonl")).write_text(text + "\n")


def write_pair(folder, name="a.png"):
    write(folder / "lr" / name, SAMPLE.lr)
    write(folder / "hr" / name, HR)


@pytest.mark.parametrize("asked", ["", "test", "test/Set5/lr", "train"])
@pytest.mark.parametrize("read", [read_samples, read_pairs])
def test_parts_of_a_built_set_are_not_sharp_pictures(tmp_path, asked, read):
    made_by_build(tmp_path / "set")
    write_pair(tmp_path / "set/test/Set5")
    (tmp_path / "set/train").mkdir()
    with pytest.raises(UsageError, match=r"judge '.*set.test.Set5'$"):
        list(read(tmp_path / "set" / asked))
    assert len(list(read(tmp_path / "set/test/Set5"))) == 1


def test_a_folder_above_pairs_or_groups_is_not_sharp_pictures(tmp_path, monkeypatch):
    write_pair(tmp_path / "set/test")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"judge 'set.test'$"):
        read_samples(Path("set"))
    for folder in ("GT", "Group1/LRx4", "Group1/blur"):
        write_picture(tmp_path / "bsr" / folder / "a.png")
    for asked in ("bsr", "."):
        with pytest.raises(UsageError, match="'bsr' with --protocol cmos"):
            read_samples(Path(asked))


def test_a_set_without_pairs_says_so_and_other_manifests_do_not_matter(tmp_path):
    made_by_build(tmp_path / "set")
    with pytest.raises(UsageError, match="this data set has no pairs"):
        read_samples(tmp_path / "set")
    write_picture(tmp_path / "photos/a.png", 0, 200, 240)
    (tmp_path / "photos/manifest.json").write_text('{"name": "a web page"}')
    assert len(list(read_samples(tmp_path / "photos"))) == 1


@pytest.mark.parametrize("asked", ["", "test"])
def test_an_unfinished_set_is_not_judged(tmp_path, asked):
    write_pair(tmp_path / "test")
    made_by_build(tmp_path, finished=False)
    with pytest.raises(UsageError, match="interrupted; run the same data build again"):
        list(read_samples(tmp_path / asked))
    made_by_build(tmp_path)  # the journal is removed last
    assert len(list(read_samples(tmp_path / "test"))) == 1


@pytest.mark.parametrize("layout", [("lr", "hr"), ("blur", "sharp")])
def test_a_lone_file_on_either_side_is_refused(tmp_path, layout):
    small, large = layout
    write_picture(tmp_path / small / "a.png")
    write_picture(tmp_path / large / "a.png")
    for here, there in (layout, layout[::-1]):
        write_picture(tmp_path / here / "b.png")
        with pytest.raises(UsageError, match=rf"{here}.b\.png' has no twin '.*{there}.b\.png'"):
            list(read_samples(tmp_path))
        (tmp_path / here / "b.png").unlink()


def test_a_broken_picture_is_named_without_options_of_training(tmp_path):
    write_pair(tmp_path / "pairs")
    for path in (tmp_path / "pairs/lr/a.png", tmp_path / "photos/a.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("no picture")
        with pytest.raises(TrainError, match=r"cannot read '.*a\.png'") as caught:
            list(read_samples(tmp_path / path.relative_to(tmp_path).parts[0]))
        assert "--exclude" not in str(caught.value)


def test_exact_frames_do_not_break_the_means():
    exact = Sample("exact", SAMPLE.lr, upscale_x4(SAMPLE.lr))
    (score,) = evaluate({"bicubic": upscale_x4}, [exact])
    assert (score.psnr_db, score.gain_db) == (np.inf, 0)
    answers = iter([upscale_x4(SAMPLE.lr) // 2, HR])
    (score,) = evaluate({"both signs": lambda _: next(answers)}, [exact, SAMPLE])
    assert np.isnan(score.gain_db)
    assert (score.worst, score.worst_gain_db) == ("exact", -np.inf)


def test_mistakes(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list(read_samples(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="no images or videos to judge on"):
        list(read_samples(tmp_path))
    write(tmp_path / "lr" / "a.png", SAMPLE.lr)
    (tmp_path / "hr").mkdir()
    with pytest.raises(UsageError, match="no twin"):
        list(read_samples(tmp_path))
    write(tmp_path / "hr" / "a.png", HR[:-8])
    with pytest.raises(UsageError, match="4 times as large"):
        list(read_samples(tmp_path))
    with pytest.raises(FrameError, match="enlarge by 4"):
        evaluate({"same": lambda lr: lr}, [SAMPLE])
    with pytest.raises(UsageError, match="nothing to judge"):
        evaluate({"bicubic": upscale_x4}, [])
