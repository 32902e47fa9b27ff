"""The time code comes back from enlarged, resized, worn and compressed pictures, or not at all."""

import io

import av
import cv2
import numpy as np
import pytest

from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.cells import Grid
from crispstream.runtime.stream.timecode import COUNTERS, WRAP_NS, Timecode, paint, read

TIME_NS = 123_456_780_000
MS = 1_000_000


def picture(width: int = 320, height: int = 180, counter: int = 7) -> np.ndarray:
    rng = np.random.default_rng(counter)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    frame_hwc = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    paint(frame_hwc, counter, TIME_NS)
    return frame_hwc


@pytest.mark.parametrize("size", [(320, 180), (120, 54), (641, 357), (180, 320)])
@pytest.mark.parametrize("scale", [0.75, 1.0, 1.37, 2.71, 4.0])
def test_it_is_read_from_a_picture_of_any_size(size: tuple[int, int], scale: float) -> None:
    small = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    width, height = round(scale * size[0]), round(scale * size[1])
    scaled = cv2.resize(picture(*size), (width, height), interpolation=small)
    assert read(scaled) == Timecode(7, TIME_NS)


@pytest.mark.parametrize("model", ["bicubic", "edge-n"])
def test_it_survives_restoration_and_strong_compression(model: str) -> None:
    numbers = (0, 1, 5_592_405, COUNTERS - 1)
    arrived = compressed([picture(counter=number) for number in numbers], crf=40)
    with Restorer.open(model) as restorer:
        restored = [restorer.restore(frame_hwc).copy() for frame_hwc in arrived]
    codes = [read(image_hwc) for image_hwc in compressed(restored, crf=40)]
    assert codes == [Timecode(number, TIME_NS) for number in numbers]


def compressed(frames: list[np.ndarray], crf: int) -> list[np.ndarray]:
    """Through H.264 with the settings of a camera in a hurry."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": str(crf)}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.height, stream.width, _ = frames[0].shape
        stream.pix_fmt = "yuv420p"
        for frame_hwc in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_hwc, format="bgr24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_it_survives_blur_noise_and_faint_light() -> None:
    frame_hwc = picture()
    noise = np.random.default_rng(1).normal(0, 40, frame_hwc.shape)
    worn = {
        "blurred": cv2.blur(frame_hwc, (7, 7)),
        "noisy": np.clip(frame_hwc + noise, 0, 255).astype(np.uint8),
        "faint": (frame_hwc * 0.4 + 100).astype(np.uint8),
        "grey": np.repeat(cv2.cvtColor(frame_hwc, cv2.COLOR_BGR2GRAY)[:, :, None], 3, axis=2),
    }
    codes = {name: read(image_hwc) for name, image_hwc in worn.items()}
    assert codes == dict.fromkeys(worn, Timecode(7, TIME_NS))


def test_a_spoilt_bar_is_not_taken_for_one() -> None:
    for column in range(0, 320, 8):  # one wrong cell anywhere
        for row in (0, 10):
            spoilt = picture()
            spoilt[row : row + 10, column : column + 8] ^= 255
            assert read(spoilt) is None


def test_pictures_without_a_bar_have_no_time_code() -> None:
    rng = np.random.default_rng(0)
    assert all(read(rng.integers(0, 256, (18, 80, 3), np.uint8)) is None for _ in range(1000))
    assert read(np.full((180, 320, 3), 255, np.uint8)) is None
    assert read(np.zeros((4, 4, 3), np.uint8)) is None


def test_counter_and_time_go_round_and_ages_stay_right() -> None:
    frame_hwc = picture()
    paint(frame_hwc, COUNTERS + 3, 5 * WRAP_NS - 2 * MS)
    code = read(frame_hwc)
    assert code == Timecode(3, WRAP_NS - 2 * MS)
    assert code.age_ns(5 * WRAP_NS + 3 * MS) == 5 * MS
    assert code.age_ns(5 * WRAP_NS - 6 * MS) == -4 * MS


def test_the_time_is_kept_to_10_us() -> None:
    frame_hwc = picture()
    paint(frame_hwc, 0, 1_234_567_899_999)
    assert read(frame_hwc) == Timecode(0, 1_234_567_890_000)


@pytest.mark.parametrize("count", [(4, 2), (3, 3), (1, 1)])
def test_cells_carry_every_word_and_touch_nothing_else(count: tuple[int, int]) -> None:
    grid = Grid(*count, width=0.6, height=0.5)
    for word in (0, 1, 2 ** (count[0] * count[1]) - 1):
        frame_hwc = np.full((20, 31, 3), 90, np.uint8)
        grid.paint(frame_hwc, word)
        assert grid.read(frame_hwc, 127) == word
        assert (frame_hwc[10:] == 90).all()
        assert (frame_hwc[:, 19:] == 90).all()
        assert (frame_hwc[:10, :19] != 90).all()
