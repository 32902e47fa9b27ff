"""Sources that sets are collected from."""

import pytest

from tests.helpers.media import write_video
from tests.helpers.pictures import soft_picture, write_picture


@pytest.fixture
def photos(tmp_path):
    """A folder of six photographs, 64x48 px."""
    for number in range(6):
        write_picture(tmp_path / f"photos/{number}.png", number, 48, 64)
    return tmp_path / "photos"


@pytest.fixture
def clip(tmp_path):
    """A clip of 30 different pictures of 64x48 px."""
    pictures = [soft_picture(number, 48, 64) for number in range(30)]
    write_video(tmp_path / "clip.mp4", frames=30, pixels=pictures)
    return tmp_path / "clip.mp4"
