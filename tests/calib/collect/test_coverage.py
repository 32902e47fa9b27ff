import cv2
import numpy as np
import pytest

from crispstream.calib.collect import coverage
from crispstream.calib.collect.coverage import FIGURES
from crispstream.core.figures import Figures, FrameMeter
from tests.helpers.pictures import soft_picture


def looks_of(frames):
    """Thumbnails and figures of frames, as a collection would have them."""
    meter = FrameMeter()
    figures = np.array([[*meter.measure(frame), 0.0] for frame in frames])
    return np.stack([coverage.thumbnail(frame) for frame in frames]), figures


def with_noise(frame, sigma, seed):
    noise = np.random.default_rng(seed).normal(0, sigma, frame.shape)
    return np.clip(np.round(frame + noise), 0, 255).astype(np.uint8)


def test_a_still_camera_gives_one_frame_however_noisy():
    still = soft_picture(height=180, width=320) // 2 + 60
    noisy = [with_noise(still, 10, seed) for seed in range(6)]
    assert coverage.distinct(*looks_of(noisy)) == [0]


def test_a_car_that_enters_a_still_scene_makes_a_new_frame():
    still = np.full((180, 320, 3), 100, np.uint8)
    entered = still.copy()
    entered[80:100, 100:125] = 200
    assert coverage.distinct(*looks_of([still, entered, still])) == [0, 1]


def test_another_focus_or_gain_makes_a_new_frame_of_the_same_scene():
    still = soft_picture(height=180, width=320) // 2 + 60
    unfocused = cv2.GaussianBlur(still, (0, 0), 1.5)
    noisy = with_noise(still, 6, 0)
    assert coverage.distinct(*looks_of([still, unfocused, noisy, still])) == [0, 1, 2]


def test_slow_dusk_gives_frames_at_each_step_of_light():
    dusk = [np.full((90, 160, 3), level, np.uint8) for level in range(120, 59, -3)]
    kept = [120 - 3 * index for index in coverage.distinct(*looks_of(dusk))]
    assert kept == [120, 105, 90, 75, 60]  # the first that differ by more than 12 levels


def spread_figures(count, seed=0):
    return np.random.default_rng(seed).random((count, len(FIGURES)))


def test_chosen_frames_leave_smaller_holes_than_frames_at_an_even_stride():
    figures = np.concatenate([0.05 * spread_figures(180), spread_figures(20, 1)])
    figures = figures[np.random.default_rng(2).permutation(len(figures))]

    def largest_hole(picks):
        to_picks = np.linalg.norm(figures[:, None] - figures[picks][None], axis=2)
        return to_picks.min(axis=1).max()

    chosen = coverage.choose(figures, [0] * 200, 25)
    assert len(set(chosen)) == 25
    assert largest_hole(chosen) < 0.5 * largest_hole(list(range(0, 200, 8)))


def test_the_first_choice_is_the_most_ordinary_and_the_same_each_time():
    figures = np.array([[float(value)] * len(FIGURES) for value in (0, 4, 5, 6, 30)])
    first = coverage.choose(figures, [0] * 5, 5)
    assert first[:2] == [2, 4]
    assert sorted(first) == [0, 1, 2, 3, 4]
    assert coverage.choose(figures, [0] * 5, 5) == first
    assert coverage.choose(figures, [0] * 5, 3) == first[:3]


def test_a_lively_source_does_not_push_out_a_dull_one():
    dull, lively = 0.01 * spread_figures(40), spread_figures(40, 1)
    chosen = coverage.choose(np.concatenate([dull, lively]), [0] * 40 + [1] * 40, 20)
    assert sum(pick < 40 for pick in chosen[:10]) == 5
    assert sum(pick < 40 for pick in chosen) >= 5


def test_a_source_with_one_frame_gives_its_turns_to_the_others():
    chosen = coverage.choose(spread_figures(10), [0] + [1] * 9, 8)
    assert len(set(chosen)) == 8
    assert 0 in chosen


def test_figures_that_are_all_equal_do_not_matter():
    figures = spread_figures(12)
    figures[:, 3] = 7
    assert len(set(coverage.choose(figures, [0] * 12, 12))) == 12


@pytest.mark.parametrize("grey", [False, True])
def test_white_noise_is_told_from_pictures(grey):
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 1 if grey else 3), np.uint8)
    frame = np.ascontiguousarray(np.broadcast_to(noise, (90, 160, 3)))
    meter = FrameMeter()
    assert coverage.like_noise(meter.measure(frame))
    assert not coverage.like_noise(meter.measure(soft_picture()))


def test_a_covered_lens_is_a_cameras_frame():
    black = with_noise(np.full((90, 160, 3), 16, np.uint8), 2, 0)
    figures = FrameMeter().measure(black)
    assert figures.sharpness > 3
    assert not coverage.like_noise(figures)


def test_what_lacks_is_told_on_both_sides():
    both = coverage.lacking_kinds("noise", [1.5, 2.5])
    assert list(both) == ["clean", "noisy"]
    assert both["noisy"].startswith("no noisy frames (noise above 3): collect some in the dark")
    assert coverage.lacking_kinds("noise", [0.5, 3.5]) == {}


def test_every_figure_has_its_band():
    assert (*Figures._fields, "motion") == FIGURES
    assert list(coverage.BANDS) == list(FIGURES)
    assert all(band.low < band.high for band in coverage.BANDS.values())
