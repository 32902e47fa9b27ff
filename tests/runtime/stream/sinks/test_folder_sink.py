"""Folders, single images and the sink that keeps nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.errors import SinkError, UsageError
from crispstream.runtime.stream.sink import open_sink
from tests.helpers.media import numbered_frame
from tests.helpers.restored import INFO, enlarged, frame_at


def test_folder_takes_numbered_images(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "images"
    sink = open_sink(str(folder), INFO, 4)
    for serial in (0, 1, 5):
        sink.write(frame_at(serial, serial), enlarged(frame_at(serial, 0)))
    sink.close()
    assert sorted(path.name for path in folder.iterdir()) == [
        "000000.png",
        "000001.png",
        "000005.png",
    ]
    assert (cv2.imread(str(folder / "000005.png")) == enlarged(frame_at(5, 0))).all()
    with pytest.raises(UsageError, match="--overwrite"):
        open_sink(str(folder), INFO, 4)


def test_folder_of_the_source_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), numbered_frame(0))
    with pytest.raises(UsageError, match="the source itself"):
        open_sink(str(tmp_path), INFO, 4, source=str(tmp_path))


def test_folder_that_holds_the_source_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "000000.png"
    cv2.imwrite(str(source), numbered_frame(0))
    with pytest.raises(UsageError, match="holds the source"):
        open_sink(str(tmp_path), INFO, 4, source=str(source), overwrite=True)


def test_one_image_takes_oneframe_at(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.png"), INFO, 4)
    sink.write(frame_at(0, 0), enlarged(frame_at(0, 0)))
    with pytest.raises(SinkError, match="more than one frame"):
        sink.write(frame_at(1, 1), enlarged(frame_at(1, 1)))
    sink.close()


@pytest.mark.parametrize(("name", "width"), [("out.webp", 16_384), ("out.jpg", 65_536)])
def test_image_too_large_for_its_format_is_one_sentence(
    tmp_path: Path, name: str, width: int
) -> None:
    path = tmp_path / name
    sink = open_sink(str(path), INFO, 4)
    with pytest.raises(SinkError, match=rf"{width}x4 px .*\.png") as caught:
        sink.write(frame_at(0, 0), np.zeros((4, width, 3), np.uint8))
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_null_counts(tmp_path: Path) -> None:
    sink = open_sink("null://", INFO, 4)
    for serial in range(3):
        sink.write(frame_at(serial, 0), enlarged(frame_at(serial, 0)))
    sink.close()
    assert vars(sink) == {"frames": 3}
