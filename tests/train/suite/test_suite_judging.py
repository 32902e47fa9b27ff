"""Judging: figures of bicubic are known, state is kept within a sequence and nowhere else."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import FrameError
from crispstream.core.metrics import psnr_db, ssim
from crispstream.core.temporal import difference
from crispstream.train.suite.building import build
from crispstream.train.suite.judging import judge, summary
from crispstream.train.suite.reading import read_part
from crispstream.train.suite.unsharp import restore, sharpened
from tests.helpers.pictures import soft_picture
from tests.helpers.tiny_suite import PIECES, tiny_suite

SEQUENCES = ["fast", "film", "pan_a"]


class FakeModel:
    """Restores as `make` does and notes what it was asked."""

    def __init__(self, make) -> None:
        self.make, self.frames, self.resets = make, 0, []

    def restore(self, frame_hwc):
        self.frames += 1
        return self.make(frame_hwc)

    def reset(self) -> None:
        self.resets.append(self.frames)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    suite = tiny_suite(folder / "media")
    return suite, build(suite, folder / "media", folder / "built")


@pytest.fixture(scope="module")
def verdict(built):
    models = {"bicubic": FakeModel(upscale_x4), "brighter": FakeModel(brighter)}
    return judge(*built, models), models


def brighter(frame_hwc):
    return cv2.add(upscale_x4(frame_hwc), 8)


def test_the_figures_are_those_of_the_frames(built, verdict):
    steps = [step.sample for step in read_part(*built[:1], "real", built[1])]
    found = verdict[0]["models"]["bicubic"]["real"]
    quality = [psnr_db(upscale_x4(s.lr), s.hr) for s in steps]
    assert found["frames"] == len(steps) == 2
    assert found["psnr_db"] == pytest.approx(np.mean(quality))
    assert found["ssim"] == pytest.approx(np.mean([ssim(upscale_x4(s.lr), s.hr) for s in steps]))
    assert (found["gain_db"], found["worst_gain_db"]) == (0, 0)


def test_gains_are_over_bicubic_and_the_worst_sample_is_named(built, verdict):
    parts = verdict[0]["models"]["brighter"]
    gains = {}
    for step in read_part(built[0], "real", built[1]):
        up = upscale_x4(step.sample.lr)
        off = psnr_db(brighter(step.sample.lr), step.sample.hr) - psnr_db(up, step.sample.hr)
        gains[step.sample.name] = off
    assert parts["real"]["gain_db"] == pytest.approx(np.mean(list(gains.values())))
    assert parts["real"]["worst"] == min(gains, key=gains.__getitem__)
    assert parts["real"]["worst_gain_db"] == pytest.approx(min(gains.values()))


def test_state_is_reset_before_each_single_frame_and_each_sequence(verdict):
    model = verdict[1]["bicubic"]
    assert model.frames == 10 + 3 * 3 + 5
    assert model.resets == [*range(10), 10, 13, 16, 19]


def test_flicker_is_of_neighbours_and_of_still_scenes_alone(built, verdict):
    frames = [upscale_x4(step.sample.lr) for step in read_part(built[0], "still", built[1])]
    off = [difference(a, b) for a, b in pairwise(frames)]
    still = verdict[0]["models"]["bicubic"]["still"]
    assert still["flicker"] == pytest.approx(np.mean(off))
    assert still["sequences"]["a-high"]["flicker"] == still["flicker"]
    assert "warped_difference" not in still
    assert verdict[0]["truth"]["still"] == {"flicker": 0}


def test_clips_have_a_warped_difference_and_so_has_their_truth(verdict):
    clips = verdict[0]["models"]["bicubic"]["clips"]
    assert clips["frames"] == 9
    assert sorted(clips["sequences"]) == SEQUENCES
    assert clips["warped_difference"] > 0
    assert verdict[0]["truth"]["clips"]["warped_difference"] > 0
    assert "flicker" not in clips


def test_the_verdict_knows_what_it_was_made_on(built, verdict):
    suite, folder = built
    found = verdict[0]
    assert found["suite"] == "crisp-v1"
    assert found["changed_parts"] == list(suite.parts)  # nothing was published of this one
    again = judge(suite, folder, {"bicubic": FakeModel(upscale_x4)})
    assert again["built_sha256"] == found["built_sha256"]
    assert again["models"]["bicubic"] == found["models"]["bicubic"]


def test_the_summary_is_of_groups_that_are_whole():
    gains = {"motion-weak": 0.1, "motion-medium": 0.2, "motion-strong": 0.6, "noise-low": 1.0}
    found = summary({part: {"gain_db": gain} for part, gain in gains.items()})
    assert found == {"synthetic": pytest.approx(0.3)}
    parts = {"still": {"gain_db": 1.0, "flicker": 2.0}, "noise-low": {"gain_db": 1.0}}
    parts["noise-high"] = {"gain_db": 3.0}
    assert summary(parts) == {"noise": 2.0, "flicker": 2.0}


def test_a_model_of_another_scale_is_refused(built):
    with pytest.raises(FrameError, match=r"'half' made .* judge models that enlarge by 4"):
        judge(*built, {"half": FakeModel(lambda frame: frame)})


def test_the_unsharp_mask_adds_what_a_mean_takes_away():
    picture = soft_picture(2, 40, 56)
    levels = picture.astype(np.float64)
    soft = cv2.GaussianBlur(levels, (0, 0), 3.0)
    expected = np.clip(levels + 0.5 * (levels - soft), 0, 255)
    assert np.abs(sharpened(picture, 3.0, 0.5) - expected).max() < 0.51
    lr = soft_picture(3, 20, 24)
    np.testing.assert_array_equal(restore(lr), sharpened(upscale_x4(lr), 3.0, 0.5))


def test_every_piece_was_judged(built, verdict):
    assert set(verdict[0]["models"]["bicubic"]) == {*built[0].parts, "summary"}
    assert sum(not piece.is_sequence for piece in PIECES) == 10
