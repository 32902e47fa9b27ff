"""Collecting a set: what is taken, what is chosen, what is refused."""

import cv2
import numpy as np
import pytest

from crispstream.calib.collect import checks as collect_checks
from crispstream.calib.collect import walk
from crispstream.calib.collect.collect import collect
from crispstream.calib.collect.coverage import change, thumbnail
from crispstream.calib.collect.sets import UNFINISHED, CalibrationSet
from crispstream.core.errors import SinkError, UsageError
from crispstream.core.figures import FrameMeter
from crispstream.core.uris import masked
from crispstream.runtime.stream.source import open_source
from tests.helpers.collecting import manifest, request
from tests.helpers.media import write_video, write_with_a_hole
from tests.helpers.pictures import soft_picture


def test_pixels_of_a_set_are_those_of_the_source(clip, tmp_path):
    done = collect(request(clip), tmp_path / "set")
    found = CalibrationSet.load(tmp_path / "set")
    truth = [np.array(frame.pixels_hwc) for frame in open_source(str(clip))]
    assert len(found.frames) == len(done.frames) == 8
    assert len({frame.serial for frame in found.frames}) == 8
    for frame in found.frames:
        assert np.array_equal(found.read(frame), truth[frame.serial])
        measured = FrameMeter().measure(truth[frame.serial])._asdict()
        for name, value in measured.items():
            assert frame.figures[name] == pytest.approx(value, abs=1e-4)
    assert found.synthetic == ()
    assert not (tmp_path / "set" / UNFINISHED).exists()


@pytest.mark.parametrize("tells_its_end", [True, False])
@pytest.mark.parametrize(("frames", "stride"), [(8, 1), (2, 4)])
def test_candidates_are_at_an_even_stride_and_motion_is_the_change_since_the_frame_before(
    clip, tmp_path, monkeypatch, frames, stride, tells_its_end
):
    def opened(uri):
        source = open_source(uri)
        if not tells_its_end:
            object.__setattr__(source.info, "frame_count", None)
        return source

    def few_files(uri, seen, total):
        assert len(list((tmp_path / "set" / UNFINISHED).glob("*.png"))) <= 4 * frames
        assert total == (30 if tells_its_end else None)

    monkeypatch.setattr(walk, "open_source", opened)
    collect(request(clip, frames=frames), tmp_path / "set", on_frame=few_files)
    looks = [thumbnail(np.array(frame.pixels_hwc)) for frame in open_source(str(clip))]
    content = manifest(tmp_path / "set")
    assert content["sources"][0]["candidates"] == -(-30 // stride)
    for frame in content["frames"]:
        serial = frame["serial"]
        assert serial % stride == 0
        before = looks[serial - 1] if serial else looks[1]
        assert frame["figures"]["motion"] == round(change(looks[serial], before), 4)


def test_every_source_is_counted_and_has_its_turn(photos, clip, tmp_path):
    heard = []
    collect(
        request(photos, clip, frames=6),
        tmp_path / "set",
        on_frame=lambda uri, seen, total: heard.append((uri, seen, total)),
    )
    first, second = manifest(tmp_path / "set")["sources"]
    assert first["uri"] == str(photos)
    assert (first["seen"], first["candidates"], first["different"]) == (6, 6, 6)
    assert second["seen"] == 30
    assert second["candidates"] == 10  # 24 candidates at most, half of them each: every third
    assert first["picked"] + second["picked"] == 6
    assert min(first["picked"], second["picked"]) >= 1
    assert heard[5:7] == [(str(photos), 6, 6), (str(clip), 1, 30)]


def test_near_duplicates_are_left_out_and_told(tmp_path):
    still = soft_picture(0, 48, 64)
    write_video(
        tmp_path / "still.mp4", pixels=[still] * 9 + [255 - still], times=[*range(0, 30000, 3000)]
    )
    done = collect(request(tmp_path / "still.mp4"), tmp_path / "set")
    assert len(done.frames) == 2
    assert done.sources[0].candidates == 10
    assert "8 frames were asked for and 2 differ: a camera that stands still" in done.warnings[0]


def test_the_middle_is_cut_and_frames_that_are_too_small_are_refused(photos, tmp_path):
    collect(request(photos, size=(20, 10)), tmp_path / "set")
    found = CalibrationSet.load(tmp_path / "set")
    frame = found.frames[0]
    whole = cv2.imread(str(photos / f"{frame.serial}.png"))
    assert np.array_equal(found.read(frame), whole[19:29, 22:42])
    with pytest.raises(UsageError, match="from which no 65x10 can be cut"):
        collect(request(photos, size=(65, 10)), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_frames_below_what_the_model_takes_are_refused(photos, tmp_path):
    with pytest.raises(UsageError, match="64x48 px, and big takes none with a side below 64"):
        collect(request(photos, model="big", size_multiple=64), tmp_path / "set")
    collect(request(photos, model="big", size_multiple=48), tmp_path / "set")
    assert CalibrationSet.load(tmp_path / "set").model == "big"


def test_synthetic_and_noise_frames_are_marked_and_warned_of(photos, tmp_path):
    (tmp_path / "noise").mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"noise/{number}.png"), noise)
    drawn = "synth://pattern?size=64x48&frames=5"
    done = collect(request(photos, tmp_path / "noise", drawn, frames=20), tmp_path / "set")
    found = CalibrationSet.load(tmp_path / "set")
    assert set(found.synthetic) == {str(tmp_path / "noise"), drawn}
    assert any("cannot certify a bundle" in text for text in done.warnings)
    assert all(frame.synthetic != (frame.source == str(photos)) for frame in found.frames)


def test_passwords_are_nowhere_in_a_set(clip, tmp_path, monkeypatch):
    uri = "rtsp://admin:secret@10.0.0.7/stream"
    for module in (walk, collect_checks):
        monkeypatch.setattr(module, "open_source", lambda uri: open_source(str(clip)))
    collect(request(uri), tmp_path / "set")
    assert CalibrationSet.load(tmp_path / "set").frames[0].source == "rtsp://***@10.0.0.7/stream"
    texts = [path.read_text() for path in (tmp_path / "set").glob("*.*")]
    assert len(texts) == 2
    assert not any("secret" in text for text in texts)
    assert masked("rtsp://u:p@ss@host/x") == "rtsp://***@host/x"


def test_the_report_shows_every_frame_and_what_lacks(photos, tmp_path):
    hostile = photos.rename(tmp_path / "<b>photos")
    done = collect(request(hostile, frames=4), tmp_path / "set")
    page = done.report.read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    for sentence in done.lacking.values():
        assert sentence.replace("'", "&#x27;") in page
    assert "&lt;b&gt;photos" in page
    assert "<b>photos" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_damaged_pieces_are_counted(tmp_path):
    write_with_a_hole(tmp_path / "hole.mp4")
    done = collect(request(tmp_path / "hole.mp4"), tmp_path / "set")
    assert done.sources[0].damaged > 0


@pytest.mark.parametrize("name", ["photos", "photos/set", "."])
def test_sources_and_set_lie_apart(photos, tmp_path, name):
    with pytest.raises(UsageError, match=r"lie inside one another|is no calibration set"):
        collect(request(photos), tmp_path / name, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
    assert len(list(photos.iterdir())) == 6


def test_a_folder_of_other_things_is_never_touched(photos, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, message in {"thesis": "holds 'chapter.tex' and is no", "file": "is a file"}.items():
        with pytest.raises(UsageError, match=message):
            collect(request(photos), tmp_path / name, overwrite=True)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "folder"])
def test_sixteen_bits_are_refused_with_the_way_to_convert(tmp_path, name):
    target = tmp_path / (name if "." in name else f"{name}/1.png")
    target.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(target), soft_picture(0, 8, 8).astype(np.uint16) * 257)
    with pytest.raises(UsageError, match=r"has 16 bits a channel, .* ffmpeg -i"):
        collect(request(tmp_path / name), tmp_path / "set")


@pytest.mark.parametrize("kind", ["grey", "alpha", "palette"])
def test_other_pictures_of_eight_bits_become_bgr(tmp_path, kind):
    (tmp_path / kind).mkdir()
    for number in range(2):
        image = soft_picture(number, 16, 24)
        extra = {"grey": image[:, :, 0], "alpha": np.dstack([image, image[:, :, 0]])}
        cv2.imwrite(str(tmp_path / kind / f"{number}.png"), extra.get(kind, image // 64 * 64))
    collect(request(tmp_path / kind), tmp_path / "set")
    found = CalibrationSet.load(tmp_path / "set")
    assert [found.read(frame).shape for frame in found.frames] == [(16, 24, 3)] * 2


@pytest.mark.parametrize("count", [1, 3])
def test_frames_that_are_all_one_give_advice_and_leave_nothing(tmp_path, count):
    (tmp_path / "photos").mkdir()
    for number in range(count):
        cv2.imwrite(str(tmp_path / f"photos/{number}.png"), soft_picture(0, 16, 24))
    seen = "there is one frame only" if count == 1 else "all 3 candidates look alike"
    with pytest.raises(UsageError, match=f"{seen}, and ranges need at least 2"):
        collect(request(tmp_path / "photos"), tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_requests_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(UsageError, match="a set of 1 frame"):
        request("a.mp4", frames=1)
    with pytest.raises(UsageError, match=r"'a\.mp4' is named twice"):
        request("a.mp4", "b.mp4", "a.mp4")
    with pytest.raises(UsageError, match="there is none"):
        request()
    with pytest.raises(UsageError, match="no file or folder"):
        collect(request(tmp_path / "nowhere.mp4"), tmp_path / "set")


def test_a_place_that_cannot_be_written_is_told(photos, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crispstream.calib.collect.candidates.write_atomically", full)
    with pytest.raises(SinkError, match=r"\(No space left on device\); free some space"):
        collect(request(photos), tmp_path / "set")
