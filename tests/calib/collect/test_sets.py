import dataclasses
import json

import cv2
import numpy as np
import pytest

from crispstream.calib.collect.coverage import FIGURES
from crispstream.calib.collect.sets import (
    UNFINISHED,
    CalibrationSet,
    SetFrame,
    is_set,
    write_manifest,
)
from crispstream.core.errors import FrameError, SourceError, UsageError
from crispstream.core.figures import Figures
from crispstream.core.files import sha256_of
from tests.helpers.pictures import soft_picture


def write_set(folder, pictures, *, model=None, synthetic=()):
    """Write a set of these pictures; their brightness is 10, 20, 30 ..."""
    (folder / "frames").mkdir(parents=True)
    frames = []
    for number, image in enumerate(pictures, 1):
        png = cv2.imencode(".png", image)[1].tobytes()
        (folder / f"frames/{number:04d}.png").write_bytes(png)
        frames.append(
            SetFrame(
                file=f"frames/{number:04d}.png",
                sha256=sha256_of(png),
                width=image.shape[1],
                height=image.shape[0],
                source=f"camera{number}.mp4",
                serial=number,
                synthetic=number in synthetic,
                figures={**dict.fromkeys(FIGURES, 1.0), "brightness": 10.0 * number},
            )
        )
    write_manifest(folder, model, frames, [])
    return frames


@pytest.fixture
def pictures():
    return [soft_picture(seed, 20, 30) for seed in range(3)]


def change_manifest(folder, change):
    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))


def test_pixels_and_facts_come_back(tmp_path, pictures):
    frames = write_set(tmp_path / "set", pictures, model="edge-s", synthetic=(2,))
    found = CalibrationSet.load(tmp_path / "set")
    assert list(found.frames) == frames
    assert found.model == "edge-s"
    assert found.synthetic == ("camera2.mp4",)
    for frame, image in zip(found.frames, pictures, strict=True):
        assert np.array_equal(found.read(frame), image)


def test_the_digest_is_that_of_pixels_in_order(tmp_path, pictures):
    for name, images in {"a": pictures, "b": pictures, "c": pictures[::-1]}.items():
        write_set(tmp_path / name, images, model=name)
    same, also, other = (CalibrationSet.load(tmp_path / name).digest for name in "abc")
    assert same == also != other
    assert len(same) == 64


def test_input_statistics_hold_mean_and_percentiles_of_every_figure_of_a_frame(tmp_path):
    write_set(tmp_path / "set", [soft_picture(0, 8, 8)] * 101)
    found = CalibrationSet.load(tmp_path / "set")
    statistics = found.input_statistics()
    assert statistics["measured_on"] == "calibration set"
    assert statistics["frames"] == 101
    assert statistics["set_sha256"] == found.digest
    assert tuple(statistics["figures"]) == Figures._fields
    assert statistics["figures"]["brightness"] == {"mean": 510.0, "low": 20.0, "high": 1000.0}
    assert json.loads(json.dumps(statistics)) == statistics


def test_without_a_set_the_error_says_how_to_make_one(tmp_path):
    (tmp_path / "photos").mkdir()
    for place in ("nowhere", "photos"):
        with pytest.raises(UsageError, match=r"crispstream data collect SOURCE\.\.\. -o "):
            CalibrationSet.load(tmp_path / place)
        assert not is_set(tmp_path / place)


def test_another_kind_of_set_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"kind": "gfn", "schema": 1}')
    assert not is_set(tmp_path)
    with pytest.raises(UsageError, match="something else than a calibration set"):
        CalibrationSet.load(tmp_path)


def test_an_unfinished_set_says_that_it_goes_on(tmp_path):
    (tmp_path / "set" / UNFINISHED).mkdir(parents=True)
    with pytest.raises(UsageError, match="unfinished; run the same"):
        CalibrationSet.load(tmp_path / "set")


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_or_one_frame_set_is_refused(tmp_path, pictures, count):
    write_set(tmp_path / "set", pictures[:count])
    with pytest.raises(UsageError, match=rf"has {count} frame\(s\), and ranges need at least 2"):
        CalibrationSet.load(tmp_path / "set")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("frames"),
        lambda content: content.pop("model"),
        lambda content: content["frames"][0].pop("sha256"),
        lambda content: content["frames"][0]["figures"].pop("noise"),
        lambda content: content["frames"][0]["figures"].update(noise=None),
        lambda content: content["frames"][0].update(file="../../etc/passwd"),
        lambda content: content["frames"][0].update(file="/etc/passwd"),
        lambda content: content["frames"][0].update(extra=1),
        lambda content: content.update(frames=3),
    ],
)
def test_a_damaged_manifest_is_told(tmp_path, pictures, change):
    write_set(tmp_path / "set", pictures)
    change_manifest(tmp_path / "set", change)
    with pytest.raises(SourceError, match=r"manifest\.json' is damaged"):
        CalibrationSet.load(tmp_path / "set")


def test_a_manifest_of_half_a_file_or_of_a_newer_kit_is_told(tmp_path, pictures):
    write_set(tmp_path / "set", pictures)
    change_manifest(tmp_path / "set", lambda content: content.update(schema=2))
    with pytest.raises(SourceError, match="has schema 2, this kit reads 1"):
        CalibrationSet.load(tmp_path / "set")
    (tmp_path / "set/manifest.json").write_text('{"kind": "calib')
    with pytest.raises(SourceError, match="damaged"):
        CalibrationSet.load(tmp_path / "set")


def test_a_changed_or_missing_frame_is_told(tmp_path, pictures):
    first, second, _ = write_set(tmp_path / "set", pictures)
    found = CalibrationSet.load(tmp_path / "set")
    (tmp_path / "set" / first.file).write_bytes((tmp_path / "set" / second.file).read_bytes())
    with pytest.raises(SourceError, match="is not the file that was collected"):
        found.read(first)
    (tmp_path / "set" / second.file).unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        found.read(second)


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (np.full((8, 8, 3), 700, np.uint16), "3 channel(s) of 16 bits"),
        (np.full((8, 8), 7, np.uint8), "1 channel(s) of 8 bits"),
        (np.full((8, 8, 4), 7, np.uint8), "4 channel(s) of 8 bits"),
    ],
    ids=["16 bits", "grey", "alpha"],
)
def test_a_wrong_colour_depth_is_refused(tmp_path, pictures, image, seen):
    write_set(tmp_path / "set", [image, pictures[0]])
    found = CalibrationSet.load(tmp_path / "set")
    with pytest.raises(FrameError) as caught:
        found.read(found.frames[0])
    assert f"has {seen}, expected 3 of 8 bits" in str(caught.value)


def test_a_frame_of_another_size_or_of_no_format_is_refused(tmp_path, pictures):
    first, *_ = write_set(tmp_path / "set", pictures)
    found = CalibrationSet.load(tmp_path / "set")
    with pytest.raises(FrameError, match="is 30x20 px and the manifest says 31x20"):
        found.read(dataclasses.replace(first, width=31))
    (tmp_path / "set" / first.file).write_bytes(b"no picture")
    with pytest.raises(FrameError, match="no picture that OpenCV can decode"):
        found.read(dataclasses.replace(first, sha256=sha256_of(b"no picture")))
