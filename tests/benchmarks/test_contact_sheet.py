"""The contact sheet: what its columns show, which failure is chosen, how large the file is."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import contact_sheet
from benchmarks.contact_sheet import (
    CAPTION_PX,
    GAP_PX,
    HEAD_PX,
    LARGEST_BYTES,
    MARGIN_PX,
    SIDE_PX,
    View,
    jpeg,
    read_sample,
    restored,
    sheet,
    worst_view,
)
from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.errors import UsageError
from crispstream.core.metrics import psnr_db
from crispstream.core.pixels import Bytes
from crispstream.train.models.registry import build_network
from tests.helpers.pictures import soft_picture

HR = soft_picture(1, 240, 272)
SPOILT = (slice(40, 56), slice(200, 216))


def write(path: Path, picture: Bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A part of one pair, and a sequence of two frames with one truth."""
    for side, picture in (("lr", downscale_x4(HR)), ("hr", HR)):
        write(tmp_path / "sharp" / side / "scene.png", picture)
        write(tmp_path / "still" / "scene-low" / side / "000.png", picture)
    write(tmp_path / "still" / "scene-low" / "lr" / "001.png", downscale_x4(HR[::-1]))
    return tmp_path


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    return build_network("edge-n").eval()


def test_a_sample_is_a_pair_or_a_frame_with_those_before(suite: Path) -> None:
    frames, hr = read_sample(suite, "sharp/scene")
    assert np.array_equal(frames[0], downscale_x4(HR))
    assert np.array_equal(hr, HR)
    frames, hr = read_sample(suite, "still/scene-low#1")
    assert len(frames) == 2
    assert np.array_equal(frames[1], downscale_x4(HR[::-1]))
    assert np.array_equal(hr, HR)


def test_the_columns_are_bicubic_the_model_and_the_truth(
    suite: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "VIEWS", (View("One", "sharp/scene", 30, 20),))
    picture = sheet("edge-n", network, suite, {"sharp": worst("sharp/scene", network)})
    top = MARGIN_PX + HEAD_PX + CAPTION_PX
    window = (slice(20, 20 + SIDE_PX), slice(30, 30 + SIDE_PX))
    lr = downscale_x4(HR)
    for column, expected in enumerate((upscale_x4(lr), restored(network, [lr]), HR)):
        left = MARGIN_PX + column * (SIDE_PX + GAP_PX)
        shown = picture[top : top + SIDE_PX, left : left + SIDE_PX]
        assert np.array_equal(shown, expected[window]), column


def gain_db(restored_hwc: Bytes, frame_hwc: Bytes) -> float:
    return psnr_db(restored_hwc, HR) - psnr_db(upscale_x4(frame_hwc), HR)


def worst(sample: str, network: nn.Module) -> dict[str, Any]:
    """The figures of a part whose worst sample is this pair."""
    lr = downscale_x4(HR)
    return {"worst": sample, "worst_gain_db": gain_db(restored(network, [lr]), lr)}


def test_the_failure_is_the_worst_sample_where_it_is_worst(
    suite: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiling(network: nn.Module, frames: list[Bytes]) -> Bytes:
        picture = upscale_x4(frames[-1])
        picture[SPOILT] = 255 - picture[SPOILT]
        return picture

    monkeypatch.setattr(contact_sheet, "restored", spoiling)
    lr = downscale_x4(HR)
    lost_db = gain_db(spoiling(network, [lr]), lr)
    view = worst_view(network, suite, {"worst": "sharp/scene", "worst_gain_db": lost_db})
    assert (view.title, view.sample) == ("Worst of sharp", "sharp/scene")
    assert view.top_px <= 40
    assert view.top_px + SIDE_PX >= 56
    assert view.left_px <= 200
    assert view.left_px + SIDE_PX >= 216


def test_the_two_worst_parts_have_a_row_each(
    suite: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def noted(network: nn.Module, suite: Path, worst: dict[str, Any]) -> View:
        seen.append(worst["worst"])
        return View("Worst", "sharp/scene", 0, 0)

    monkeypatch.setattr(contact_sheet, "worst_view", noted)
    monkeypatch.setattr(contact_sheet, "VIEWS", ())
    gains = {"sharp": 0.1, "real": -0.2, "dark": -0.1}
    figures = {part: {"worst": part, "worst_gain_db": gain} for part, gain in gains.items()}
    figures["clips"] = {"worst": "clips/scene#3", "worst_gain_db": -0.3}
    sheet("edge-n", network, suite, {**figures, "summary": {}})
    assert seen == ["real", "dark"]


def test_figures_of_another_build_of_the_suite_are_refused(suite: Path, network: nn.Module) -> None:
    figures = worst("sharp/scene", network)
    figures["worst_gain_db"] -= 0.1
    with pytest.raises(UsageError, match="another build of the suite"):
        worst_view(network, suite, figures)


def test_dark_frames_are_shown_brighter_and_measured_as_they_are(
    suite: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = (View("Dark", "sharp/scene", 0, 0, 2.2), View("Plain", "sharp/scene", 0, 0))
    monkeypatch.setattr(contact_sheet, "VIEWS", views)
    picture = sheet("edge-n", network, suite, {"sharp": worst("sharp/scene", network)})
    truth = slice(MARGIN_PX + 2 * (SIDE_PX + GAP_PX), MARGIN_PX + 3 * SIDE_PX + 2 * GAP_PX)
    first = MARGIN_PX + HEAD_PX + CAPTION_PX
    second = first + SIDE_PX + CAPTION_PX
    dark, plain = (picture[top : top + SIDE_PX, truth] for top in (first, second))
    assert np.array_equal(dark, np.minimum(2 * plain.astype(int), 255))


def test_the_file_is_small_even_of_noise() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    calm = jpeg(soft_picture(1, 400, 400))
    assert calm.startswith(b"\xff\xd8\xff")
    assert len(jpeg(noise)) <= LARGEST_BYTES
