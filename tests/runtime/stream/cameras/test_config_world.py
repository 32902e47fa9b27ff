"""What a file of cameras asks for and cannot be had is told before anything starts."""

from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from tests.helpers.cameras import DOOR, camera, load


def faults(tmp_path: Path, text: str, **environ: str) -> list[str]:
    """Return what is said of a faulty file: a line a fault, from the file's name on."""
    with pytest.raises(UsageError) as raised:
        load(tmp_path, text, **environ)
    return str(raised.value).replace(f"{tmp_path}/", "").split("\n")


def test_all_faults_are_told_each_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """decodr = "cpu"
policy = "lastest"
[camera.a]
source = "synth://pattern"
sinks = ["null://", "${WHERE}/a.mp4"]
budget_ms = "fast"
polcy = "all"
[camera.b]
sinks = []
[camera.c]
source = "none.mp4"
sinks = ["null://", "there/is/none.mp4", "ftp://host"]
policy = "deadline"
segment_seconds = 9
"""
    said = faults(tmp_path, text)
    assert [line.partition(" ")[0] for line in said] == [
        f"cameras.toml:{number}:" for number in (1, 2, 5, 6, 7, 8, 9, 11, 12, 12, 13)
    ]
    assert "did you mean 'decoder'?" in said[0]
    assert "camera b has no source" in said[5]
    assert "there is no file or folder 'none.mp4'" in said[7]
    assert "the folder 'there/is' does not exist" in said[8]
    assert "the policy deadline needs a budget" in said[10]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("none", "there is no file or folder 'none'; check the path of the source"),
        ("file://none.mp4", "there is no file or folder 'none.mp4'"),
        ("*.png", "no image fits the pattern '*.png'"),
        ("synth://pattern?fsp=3", "'synth://pattern?fsp=3' has the unknown option 'fsp'"),
    ],
)
def test_a_source_that_is_not_there_is_told(tmp_path: Path, source: str, words: str) -> None:
    (said,) = faults(tmp_path, camera("door", source))
    assert said.startswith(f"cameras.toml:2: {words}")


def test_a_pattern_of_images_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    assert load(tmp_path, camera("door", "*.png")).cameras[0].source == str(tmp_path / "*.png")


def test_a_folder_of_images_is_made_and_that_of_a_file_is_not(tmp_path: Path) -> None:
    assert load(tmp_path, camera("door", "synth://pattern", "new/frames"))
    for name in ("new/door.mp4", "new/door.png"):
        (said,) = faults(tmp_path, camera("door", "synth://pattern", name))
        assert said.startswith("cameras.toml:3: the folder 'new' does not exist; create it or")


@pytest.mark.parametrize("source", ["clip.mp4", "synth://pattern", "synth://?timecode=1&live=0"])
def test_a_budget_for_what_waits_is_told(tmp_path: Path, source: str) -> None:
    (tmp_path / "clip.mp4").touch()
    text = camera("door", source, more="budget_ms = 33")
    (said,) = faults(tmp_path, text)
    assert said.startswith("cameras.toml:4: the source of camera door is not live, and")
    assert load(tmp_path, text + "policy = 'deadline'")
    (said,) = faults(tmp_path, f"budget_ms = 33\n{text.replace('budget_ms = 33', '')}")
    assert said.startswith("cameras.toml:1: the source of camera door is not live, and")


@pytest.mark.parametrize("source", ["synth://?live=1", "synth://?timecode=1", "rtsp://h/x", "0"])
def test_a_budget_for_what_may_be_live_is_none(tmp_path: Path, source: str) -> None:
    assert load(tmp_path, camera("door", source, more="budget_ms = 33"))


@pytest.mark.parametrize("source", ["gst:rtspsrc user-pw=${WORD} ! x", "${WORD}"])
def test_a_variable_is_kept_out_of_a_pipeline(tmp_path: Path, source: str) -> None:
    (said,) = faults(tmp_path, camera("door", source), WORD="gst:secret")
    assert said.startswith("cameras.toml:2: the text of a pipeline can be read by everybody who")
    assert "secret" not in said


def test_what_is_said_names_keys_and_no_options_of_a_command(tmp_path: Path) -> None:
    more = "segment_seconds = 9\noutput_fps = 25\nencoder = 'cpu'"
    said = faults(tmp_path, DOOR + more)
    assert [line.partition(" is asked")[0] for line in said] == [
        "cameras.toml:4: segment_seconds",
        "cameras.toml:5: output_fps",
        "cameras.toml:6: encoder",
    ]
    assert not any("--" in line for line in said)


def test_segments_that_are_to_replace_others_are_told(tmp_path: Path) -> None:
    text = camera("door", "synth://pattern", "a.mp4", "segment_seconds = 9\noverwrite = true")
    (said,) = faults(tmp_path, text)
    assert said.startswith("cameras.toml:5: segments are numbered on after those that are there")
    assert said.endswith("leave out overwrite, or segment_seconds")
    assert load(tmp_path, "overwrite = true\n" + text.replace("overwrite = true", ""))
