"""Judging: layouts of data folders, figures, and mistakes."""

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import FrameError, UsageError
from crispstream.core.metrics import psnr_db
from crispstream.train.evaluate import Sample, evaluate, read_samples
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


def test_sharp_pictures_are_blurred_the_same_way_every_time(tmp_path):
    write_picture(tmp_path / "a.png", 0, 200, 240)
    (first,), (second,) = read_samples(tmp_path, seed=3), read_samples(tmp_path, seed=3)
    (other,) = read_samples(tmp_path, seed=4)
    np.testing.assert_array_equal(first.lr, second.lr)
    assert not np.array_equal(first.lr, other.lr)
    assert first.hr.shape[0] == 4 * first.lr.shape[0]
    assert psnr_db(upscale_x4(first.lr), first.hr) > 10


def test_mistakes(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        list(read_samples(tmp_path / "nowhere"))
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
