"""Figures of a graph beside fp32, with functions in place of graphs where that tells more."""

import numpy as np
import pytest

from crispstream.calib.certify.judge import (
    STILL_FRAMES,
    STILL_NOISE_LEVELS,
    flicker_levels,
    judge,
    restorer_of,
    yardstick_of,
)
from crispstream.calib.certify.pairs import Fitted
from crispstream.calib.certify.sequences import departures_db
from crispstream.core.metrics import psnr_db, ssim
from tests.helpers.graphs import edge_like, nearest_x4
from tests.helpers.pictures import soft_picture


def enlarged(frame_hwc):
    return frame_hwc.repeat(4, 0).repeat(4, 1)


def graph(restore):
    """A function of one frame as a graph that remembers nothing."""
    return lambda frames: map(restore, frames)


nearest = graph(enlarged)


def moved(levels):
    return lambda frame_hwc: (enlarged(frame_hwc) + np.array(levels)).astype(np.uint8)


def shifted(levels):
    """Nearest with each channel moved by so many grey levels."""
    return graph(moved(levels))


def muted(seed, height=12, width=16):
    """A picture away from black and white, so that nothing clips."""
    return (soft_picture(seed, height, width) // 2 + 64).astype(np.uint8)


def pair(seed=0, name="a", *, height=12, width=16):
    truth = muted(seed, 4 * height, 4 * width)
    return Fitted(name, np.ascontiguousarray(truth[::4, ::4]), truth)


def test_the_same_graph_loses_nothing():
    found = judge(nearest, yardstick_of(nearest, [pair(0), pair(1)]))
    assert found.frames == 2
    assert (found.psnr_loss_db, found.ssim_loss) == (0, 0)
    assert (found.psnr_to_fp32_db, found.ssim_to_fp32) == (np.inf, 1)
    assert (found.colour_drift_levels, found.largest_colour_drift_levels) == ((0, 0, 0), 0)
    assert found.flicker_levels == found.flicker_fp32_levels > 0


def test_figures_are_those_of_the_kits_own_metrics():
    pairs = [pair(seed) for seed in range(3)]
    found = judge(shifted([3, 0, 0]), yardstick_of(nearest, pairs))
    ours = [moved([3, 0, 0])(one.frame) for one in pairs]
    theirs = [enlarged(one.frame) for one in pairs]
    truth = [one.truth for one in pairs]
    assert found.psnr_db == pytest.approx(np.mean([*map(psnr_db, ours, truth)]))
    assert found.ssim == pytest.approx(np.mean([*map(ssim, ours, truth)]))
    loss_db = np.mean([*map(psnr_db, theirs, truth)]) - found.psnr_db
    assert found.psnr_loss_db == pytest.approx(loss_db)
    assert found.ssim_loss == pytest.approx(np.mean([*map(ssim, theirs, truth)]) - found.ssim)
    assert found.psnr_to_fp32_db == pytest.approx(10 * np.log10(255**2 / 3))


@pytest.mark.parametrize("levels", [(1, 1, 1), (0, 2, 0), (-3, 0, 1)])
def test_colour_drift_is_the_mean_change_of_each_channel(levels):
    found = judge(shifted(levels), yardstick_of(nearest, [pair()]))
    assert found.colour_drift_levels == pytest.approx(levels)
    assert found.largest_colour_drift_levels == pytest.approx(max(map(abs, levels)))


def test_drifts_of_two_frames_do_not_cancel_in_the_largest():
    bright, dark = pair(0), pair(1)

    def restore(frame_hwc):
        by = 1 if np.array_equal(frame_hwc, bright.frame) else -1
        return moved(by)(frame_hwc)

    found = judge(graph(restore), yardstick_of(nearest, [bright, dark]))
    assert found.colour_drift_levels == pytest.approx((0, 0, 0))
    assert found.largest_colour_drift_levels == pytest.approx(1)


def test_the_worst_frame_loses_most():
    good, bad = pair(0, "good"), pair(1, "bad")

    def restore(frame_hwc):
        by = 9 if np.array_equal(frame_hwc, bad.frame) else 1
        return moved(by)(frame_hwc)

    found = judge(graph(restore), yardstick_of(nearest, [good, bad]))
    assert found.worst_frame == "bad"
    alone = judge(graph(restore), yardstick_of(nearest, [bad]))
    assert found.worst_frame_loss_db == pytest.approx(alone.psnr_loss_db)
    assert found.psnr_loss_db < found.worst_frame_loss_db


def test_exact_frames_lose_nothing():
    truth = enlarged(muted(0))
    exact = Fitted("a", np.ascontiguousarray(truth[::4, ::4]), truth)
    found = judge(nearest, yardstick_of(nearest, [exact]))
    assert (found.psnr_db, found.psnr_loss_db) == (np.inf, 0)
    assert judge(shifted([1, 1, 1]), yardstick_of(nearest, [exact])).psnr_loss_db == np.inf


def test_what_is_mirrored_is_not_judged():
    truth = muted(0, 32, 40)
    frame = np.zeros((12, 12, 3), np.uint8)
    frame[:8, :10] = truth[::4, ::4]

    def restore(frame_hwc):
        large = enlarged(frame_hwc)
        large[32:], large[:, 40:] = 255, 255
        return large

    fp32 = yardstick_of(nearest, [Fitted("a", frame, truth)])
    assert judge(graph(restore), fp32).psnr_to_fp32_db == np.inf


def test_flicker_is_what_the_noise_of_a_still_scene_becomes():
    frame = muted(0, 48, 64)
    assert flicker_levels(graph(lambda _: enlarged(frame)), frame) == 0
    once = flicker_levels(nearest, frame)
    # Mean of the standard deviation of 6 normal values, c4(6) sqrt(5/6), and rounding adds 1/12.
    assert STILL_FRAMES == 6
    expected = 0.9515 * np.sqrt(5 / 6) * np.sqrt(STILL_NOISE_LEVELS**2 + 1 / 12)
    assert once == pytest.approx(expected, rel=0.02)
    assert flicker_levels(nearest, frame) == once  # the noise is the same each time


def dimmed_at_first(frames):
    """A fake recurrent graph: its first frame is darker, every later one as it is."""
    for place, frame in enumerate(frames):
        yield enlarged(frame if place else frame // 2)


def test_what_a_recurrent_graph_makes_of_first_frames_is_no_flicker():
    frame = muted(0)
    assert flicker_levels(dimmed_at_first, frame) > 10
    late = flicker_levels(dimmed_at_first, frame, after=3)
    assert late == flicker_levels(nearest, frame, after=3)


def test_a_recurrent_graph_is_judged_on_the_last_of_its_frames():
    pairs = [pair(0), pair(1)]
    later, first = yardstick_of(nearest, pairs, 4), yardstick_of(nearest, pairs)
    assert judge(dimmed_at_first, later).psnr_to_fp32_db == np.inf
    assert judge(dimmed_at_first, first).psnr_to_fp32_db < 20


def test_departures_are_told_place_by_place():
    found = departures_db(dimmed_at_first, nearest, [pair(0), pair(1)], 3)
    assert found[0] < 20
    assert found[1:] == [np.inf, np.inf]


def test_flicker_grows_with_gain():
    def doubled(frame_hwc):
        return np.clip(enlarged(frame_hwc).astype(int) * 2 - 128, 0, 255).astype(np.uint8)

    frame = np.full((16, 16, 3), 128, np.uint8)
    twice = flicker_levels(graph(doubled), frame) / flicker_levels(nearest, frame)
    assert twice == pytest.approx(2, rel=1e-3)


def test_a_graph_becomes_a_function():
    frame = soft_picture(0, 12, 16)
    for literally in (False, True):
        (made,) = restorer_of(nearest_x4(), literally=literally)([frame])
        assert np.array_equal(made, enlarged(frame))
    (made,) = restorer_of(edge_like(), literally=False)([frame])
    assert made.shape == (48, 64, 3)
