"""The examples run, and the sample is what its page says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import upscale_x4
from crispstream.core.metrics import psnr_db
from crispstream.runtime.frame import Colour
from crispstream.runtime.stream.source import open_source
from crispstream.runtime.stream.sources.synth import read_counter
from examples import make_sample
from examples.before_after import compose
from tests.helpers.media import write_video

ROOT = Path(__file__).parents[1]
MEDIA = ROOT / "examples/media"
BLURRED, SHARP = MEDIA / "gopro-blur-320x180.mp4", MEDIA / "gopro-sharp-1280x720.mp4"
LINEAR = np.repeat(np.linspace(0.0, 1.0, 256)[:, None], 3, axis=1)


@pytest.mark.slow
def test_demo_leaves_everything_it_promises(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "build/links")}
    command = [sys.executable, str(ROOT / "examples/demo.py"), "--output", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in ("frames/s", "p50", "p95", "p99", "infer", "PSNR", "bicubic", "restored"):
        assert word in done.stdout

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["model"] == "edge-s"
    assert report["frames"] == report["quality"]["frames"] == 30
    # Sample and bicubic are fixed, so this figure is too; the model must not lose to it.
    assert report["quality"]["bicubic_psnr_db"] == pytest.approx(30.75, abs=0.02)
    assert report["quality"]["gain_db"] > 0

    restored = [frame.pixels_hwc for frame in open_source(str(tmp_path / "restored.mp4"))]
    assert [frame.shape for frame in restored] == [(720, 1280, 3)] * 30
    assert "Quality against the truth" in (tmp_path / "report.html").read_text()
    assert cv2.imread(str(tmp_path / "before_after.png")).shape[1] > 1280


@pytest.mark.parametrize(("clip", "size"), [(BLURRED, (320, 180)), (SHARP, (1280, 720))])
def test_clips_are_what_their_page_says(clip: Path, size: tuple[int, int]) -> None:
    source = open_source(str(clip))
    assert (source.info.width, source.info.height) == size
    assert source.info.frame_rate == 24
    assert source.info.colour == Colour("bt709", full_range=False)
    assert sum(1 for _ in source) == 30


def test_media_stays_small() -> None:
    assert sum(path.stat().st_size for path in MEDIA.rglob("*") if path.is_file()) < 4_000_000


def test_pairs_belong_together_and_to_the_clip() -> None:
    low = sorted((MEDIA / "pairs/lr").iterdir())
    high = sorted((MEDIA / "pairs/hr").iterdir())
    assert [path.name for path in low] == [path.name for path in high] == [
        f"{number:02d}.png" for number in range(4)
    ]  # fmt: skip
    for blurred, sharp in zip(low, high, strict=True):
        enlarged, truth = upscale_x4(cv2.imread(str(blurred))), cv2.imread(str(sharp))
        aligned = psnr_db(enlarged, truth)
        assert aligned > 15
        assert aligned > psnr_db(enlarged, np.ascontiguousarray(truth[:, ::-1])) + 3


def test_the_truth_is_the_middle_of_each_exposure(tmp_path: Path) -> None:
    write_video(tmp_path / "fast.mp4", frames=25, width=256, height=64)
    made = list(make_sample.exposures(tmp_path / "fast.mp4", LINEAR))
    assert [read_counter(sharp_hwc, 256, 64) for _, sharp_hwc in made] == [3, 13]
    assert [blurred_hwc.shape for blurred_hwc, _ in made] == [(16, 64, 3)] * 2


def test_before_and_after_stand_side_by_side() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    red, green = np.zeros_like(noise), np.zeros_like(noise)
    red[..., 2], green[..., 1] = 255, 255
    picture = compose(red, green, noise, "edge-s")
    middle = picture.shape[0] // 3
    np.testing.assert_array_equal(picture[middle, 60], (0, 0, 255))
    np.testing.assert_array_equal(picture[middle, -60], (0, 255, 0))
