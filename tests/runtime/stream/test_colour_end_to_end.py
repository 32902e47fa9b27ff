"""Whole runs: colours, turned pictures and odd sizes together, from a clip to a film and images."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from crispstream.cli.main import main
from crispstream.runtime.doctor import colour_chart as chart
from tests.helpers.media import turn

# The quarters of a picture in red, green and blue, 0..1: top left, top right, and below.
QUARTERS = np.array([[(0.8, 0.2, 0.1), (0.1, 0.6, 0.2)], [(0.2, 0.3, 0.9), (0.5, 0.5, 0.5)]])
MAPPINGS = {mapping.name: mapping for mapping in chart.MAPPINGS}
LOST_BY_ENCODING = 4  # levels


def write_quarters(path: Path, width: int, height: int, mapping: chart.Mapping) -> None:
    """An MP4 of two pictures in 4:4:4, which has odd sizes too, nearly without loss."""
    codes = chart.codes_of(QUARTERS, mapping).astype(np.uint8)
    rows, columns = np.arange(height) >= height // 2, np.arange(width) >= width // 2
    planes = codes[rows.astype(int)[:, None], columns.astype(int)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        codec = stream.codec_context
        (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) = mapping.tags
        for number in range(2):
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.moveaxis(planes, -1, 0)), format="yuv444p"
            )
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def run(*words: object) -> None:
    assert main(["run", *map(str, words), "--model", "bicubic", "--json"]) == 0


def quarters_of(picture: np.ndarray) -> np.ndarray:
    """The values in the middle of each quarter, [2,2,...]."""
    height, width = picture.shape[:2]
    return picture[height // 4 :: height // 2, width // 4 :: width // 2][:2, :2]


def film_of(path: Path, mapping: chart.Mapping) -> list[np.ndarray]:
    """The pictures in red, green and blue, 0..255, by the standard; the tags must say which."""
    with av.open(str(path)) as container:
        pictures = [picture.to_ndarray(format="yuv420p") for picture in container.decode(video=0)]
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_range) == (mapping.tags.matrix, mapping.tags.range)
        assert (codec.color_primaries, codec.color_trc) == mapping.tags[1:3]
        height, width = codec.height, codec.width
    films = []
    for picture in pictures:
        luma, chroma = picture[:height], picture[height:].reshape(2, height // 2, width // 2)
        wide = [np.kron(plane, np.ones((2, 2), np.uint8)) for plane in chroma]
        codes = np.stack([luma, *wide], axis=-1).astype(np.float64)
        films.append(255 * chart.rgb_of(codes, mapping))
    return films


@pytest.mark.parametrize(
    ("name", "degrees", "width", "height"),
    [
        ("BT.709 limited", 0, 61, 39),
        ("BT.601 full", 90, 48, 32),
        ("BT.709 full", 180, 33, 47),
        ("BT.2020 limited", 270, 61, 39),
        ("BT.2020 full", 90, 39, 61),
    ],
)
def test_colours_turns_and_odd_sizes_come_through_together(
    tmp_path: Path, name: str, degrees: int, width: int, height: int
) -> None:
    clip, film, images = tmp_path / "clip.mp4", tmp_path / "film.mp4", tmp_path / "images"
    write_quarters(clip, width, height, MAPPINGS[name])
    if degrees:
        turn(clip, degrees)
    expected = 255 * np.rot90(QUARTERS, -degrees // 90)
    size = (4 * width, 4 * height) if degrees % 180 else (4 * height, 4 * width)

    run(clip, film)
    pictures = film_of(film, MAPPINGS[name])
    assert [picture.shape[:2] for picture in pictures] == [size] * 2
    for picture in pictures:
        assert np.abs(quarters_of(picture) - expected).max() <= LOST_BY_ENCODING

    run(clip, images)
    files = sorted(images.iterdir())
    assert len(files) == 2
    for file in files:
        image_rgb = cv2.imread(str(file))[..., ::-1]
        assert image_rgb.shape[:2] == size
        assert np.abs(quarters_of(image_rgb) - expected).max() <= 2  # the clip's codes are rounded


def test_images_become_a_film_in_the_mapping_players_assume(tmp_path: Path) -> None:
    image, film = tmp_path / "image.png", tmp_path / "film.mp4"
    pixels = np.kron(np.round(255 * QUARTERS[..., ::-1]), np.ones((17, 21, 1)))
    cv2.imwrite(str(image), pixels.astype(np.uint8))
    run(image, film)
    (picture,) = film_of(film, MAPPINGS["BT.601 limited"]._replace(tags=chart.Tags(6, 1, 6, 1)))
    assert np.abs(quarters_of(picture) - 255 * QUARTERS).max() <= LOST_BY_ENCODING
