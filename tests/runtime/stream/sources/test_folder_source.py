"""Images: a folder, a pattern or one file, in natural order, as BGR bytes."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.frame import RGB
from crispstream.runtime.stream.source import SourceOptions, open_source
from tests.helpers.media import (
    numbered_frame,
)
from tests.helpers.reading import is_one_sentence, numbers, until_error


def test_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9):
        cv2.imwrite(str(tmp_path / f"shot{number}.png"), numbered_frame(number))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path), options=SourceOptions(frame_rate=12.5))
    frames, error = until_error(source)
    assert error is None
    assert numbers(frames) == [1, 2, 9, 10]
    assert [frame.pts * frame.time_base for frame in frames] == [
        Fraction(2 * n, 25) for n in range(4)
    ]


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("grey.png", np.full((20, 24), 77, np.uint8), (77, 77, 77)),
        ("deep.png", np.full((20, 24, 3), 77 * 257, np.uint16), (77, 77, 77)),
        ("deep_grey.png", np.full((20, 24), 77 * 257, np.uint16), (77, 77, 77)),
        ("alpha.png", np.full((20, 24, 4), (10, 20, 30, 0), np.uint8), (10, 20, 30)),
    ],
)
def test_any_image_becomes_bgr_bytes(
    tmp_path: Path, name: str, image: np.ndarray, expected: tuple[int, int, int]
) -> None:
    cv2.imwrite(str(tmp_path / name), image)
    (frame,), error = until_error(open_source(str(tmp_path / name)))
    assert error is None
    assert (frame.pixels_hwc.shape, frame.pixels_hwc.dtype) == ((20, 24, 3), np.uint8)
    assert (frame.pixels_hwc == expected).all()


def test_folder_without_images_names_the_endings(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"\.png, \.jpg"):
        open_source(str(tmp_path))


def test_folder_with_two_sizes_stops_at_the_second(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), numbered_frame(0))
    cv2.imwrite(str(tmp_path / "2.png"), numbered_frame(1, width=80))
    frames, error = until_error(open_source(str(tmp_path)))
    assert len(frames) == 1
    assert isinstance(error, SourceError)
    assert "80x48" in str(error)
    assert "64x48" in str(error)


def test_text_named_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("not an image")
    with pytest.raises(SourceError, match="not an image"):
        open_source(str(tmp_path))


def test_a_pattern_takes_the_images_that_fit_in_natural_order(tmp_path: Path) -> None:
    for name in ("a10.png", "a9.png", "b1.png", "a1.jpg"):
        cv2.imwrite(str(tmp_path / name), numbered_frame(int(name[1:-4])))
    (tmp_path / "a2.png.txt").write_text("not an image")
    (tmp_path / "a3.png").mkdir()
    frames, error = until_error(open_source(str(tmp_path / "a*.png")))
    assert (numbers(frames), error) == ([9, 10], None)


def test_a_pattern_reaches_into_folders(tmp_path: Path) -> None:
    for shot in (2, 10):
        (tmp_path / f"shot{shot}").mkdir()
        cv2.imwrite(str(tmp_path / f"shot{shot}" / "1.png"), numbered_frame(shot))
    frames, _ = until_error(open_source(str(tmp_path / "**" / "*.png")))
    assert numbers(frames) == [2, 10]


def test_a_pattern_that_nothing_fits_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no image fits the pattern") as caught:
        open_source(str(tmp_path / "*.png"))
    assert is_one_sentence(caught.value)


def test_a_file_named_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "frame[1].png"), numbered_frame(7))
    cv2.imwrite(str(tmp_path / "frame1.png"), numbered_frame(8))
    frames, _ = until_error(open_source(str(tmp_path / "frame[1].png")))
    assert numbers(frames) == [7]


def test_images_are_rgb_already(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), numbered_frame(1))
    assert open_source(str(tmp_path)).info.colour == RGB
