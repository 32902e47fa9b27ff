"""Video files: pixels, times and sizes as they are in the file."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crispstream.core.errors import SourceError
from crispstream.core.pixels import pad_reflect
from crispstream.runtime.stream.source import SourceOptions, open_source
from crispstream.runtime.stream.sources import file as file_module
from tests.helpers.media import (
    turn,
    write_video,
)
from tests.helpers.reading import is_one_sentence, numbers, until_error


def test_video_comes_in_order_with_its_own_times(tmp_path: Path) -> None:
    times = [4500, 7503, 7600, 13_001, 90_000, 90_001]
    path = tmp_path / "variable.mp4"
    write_video(path, times=times)
    source = open_source(str(path))
    assert (source.info.width, source.info.height) == (64, 48)
    assert source.info.frame_count == 6
    frames, error = until_error(source)
    assert error is None
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(t, 90_000) for t in times]
    assert numbers(frames) == list(range(6))
    assert [frame.serial for frame in frames] == list(range(6))


def test_b_frames_come_in_presentation_order(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    write_video(path, frames=20, options={"bf": "3", "preset": "medium"})
    frames, _ = until_error(open_source(str(path)))
    assert numbers(frames) == list(range(20))


def test_odd_sizes_survive(tmp_path: Path) -> None:
    path = tmp_path / "odd.avi"
    write_video(path, frames=2, width=61, height=39, codec="ffv1", options={})
    frames, _ = until_error(open_source(str(path)))
    assert [frame.pixels_hwc.shape for frame in frames] == [(39, 61, 3)] * 2


_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
_CODES = {"bt601": 6, "bt709": 1, "bt2020": 9}


@pytest.mark.parametrize("matrix", sorted(_CODES))
@pytest.mark.parametrize("full_range", [False, True])
def test_pixels_are_converted_with_the_tagged_matrix_and_range(
    tmp_path: Path, matrix: str, full_range: bool
) -> None:
    """Reference: the matrix equations of BT.601, BT.709 and BT.2020 in floats."""
    y, cb, cr = 120, 90, 170
    path = tmp_path / "flat.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.colorspace = _CODES[matrix]
        stream.codec_context.color_range = 2 if full_range else 1
        planes = np.concatenate(
            [np.full(1024, y, np.uint8), np.full(256, cb, np.uint8), np.full(256, cr, np.uint8)]
        )
        frame = av.VideoFrame.from_ndarray(planes.reshape(48, 32), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = open_source(str(path))
    assert (source.info.colour.matrix, source.info.colour.full_range) == (matrix, full_range)
    frames, _ = until_error(source)

    k_red, k_blue = _KR_KB[matrix]
    luma = y / 255 if full_range else (y - 16) / 219
    blue_minus, red_minus = ((c - 128) / (255 if full_range else 224) for c in (cb, cr))
    red = luma + 2 * (1 - k_red) * red_minus
    blue = luma + 2 * (1 - k_blue) * blue_minus
    green = (luma - k_red * red - k_blue * blue) / (1 - k_red - k_blue)
    expected = 255 * np.clip([blue, green, red], 0, 1)
    assert np.abs(frames[0].pixels_hwc[16, 16] - expected).max() <= 2  # PyAV 17 truncates


@pytest.mark.parametrize(("height", "matrix"), [(48, "bt601"), (720, "bt709")])
def test_untagged_video_is_read_as_players_do(tmp_path: Path, height: int, matrix: str) -> None:
    path = tmp_path / "untagged.mp4"
    write_video(path, frames=1, height=height)
    colour = open_source(str(path)).info.colour
    assert (colour.matrix, colour.full_range) == (matrix, False)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_video_comes_upright(tmp_path: Path, quarters: int) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, frames=2)
    (lying, _), _ = until_error(open_source(str(path)))
    turn(path, 90 * quarters)
    source = open_source(str(path))
    height, width = ((48, 64), (64, 48))[quarters % 2]
    assert (source.info.height, source.info.width) == (height, width)
    frames, error = until_error(source)
    assert error is None
    assert len(frames) == 2
    upright = np.rot90(lying.pixels_hwc, -quarters)
    assert (frames[0].pixels_hwc == upright).all()
    padded = np.empty((height + 3, width + 2, 3), np.uint8)
    pad_reflect(frames[0].pixels_hwc, padded)
    assert (padded[:height, :width] == upright).all()


def test_video_turned_by_an_odd_angle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slanted.mp4"
    write_video(path, frames=1)
    turn(path, 30)
    with pytest.raises(SourceError, match="quarter turns") as caught:
        open_source(str(path))
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize("quarters", [0, 1])
def test_odd_sizes_survive_being_turned(tmp_path: Path, quarters: int) -> None:
    path = tmp_path / "odd.mp4"
    write_video(path, frames=2, width=62, height=38, options={"preset": "ultrafast"})
    turn(path, 90 * quarters)
    source = open_source(str(path))
    width, height = ((62, 38), (38, 62))[quarters]
    assert (source.info.width, source.info.height) == (width, height)
    frames, _ = until_error(source)
    assert {frame.pixels_hwc.shape for frame in frames} == {(height, width, 3)}


class FakeGpu:
    """Plays av.open with a hardware decoder, which the CPU does the work of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusal: Exception | None = None) -> None:
        self.opened: list[str] = []
        opens = av.open

        def fake_open(path: str, hwaccel: object = None) -> object:
            self.opened.append("gpu" if hwaccel else "cpu")
            if hwaccel and refusal:
                raise refusal
            return opens(path)

        monkeypatch.setattr(file_module.av, "open", fake_open)
        monkeypatch.setattr(
            file_module, "hardware", lambda decoder: None if decoder == "cpu" else "a GPU"
        )


@pytest.mark.parametrize(
    ("decoder", "opened"), [("auto", ["cpu", "gpu"]), ("nvdec", ["cpu", "gpu"]), ("cpu", ["cpu"])]
)
def test_a_file_moves_to_the_gpu_after_its_first_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str, opened: list[str]
) -> None:
    path = tmp_path / "in.mp4"
    write_video(path, frames=5)
    turn(path, 90)
    gpu = FakeGpu(monkeypatch)
    source = open_source(str(path), options=SourceOptions(decoder=decoder))
    frames, error = until_error(source)
    assert (gpu.opened, error) == (opened, None)
    assert [frame.serial for frame in frames] == list(range(5))
    assert frames[0].pixels_hwc.shape == (64, 48, 3)


def test_what_the_gpu_refuses_the_cpu_decodes_unless_it_must_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.mp4"
    write_video(path, frames=5)
    gpu = FakeGpu(monkeypatch, RuntimeError("no stream is compatible"))
    frames, error = until_error(open_source(str(path), options=SourceOptions(decoder="auto")))
    assert (numbers(frames), error) == (list(range(5)), None)
    assert gpu.opened == ["cpu", "gpu"]
    with pytest.raises(SourceError, match=r"GPU does not decode.*no stream is compatible"):
        open_source(str(path), options=SourceOptions(decoder="nvdec"))
