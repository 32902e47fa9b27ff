"""Every fault in a file of cameras is told with its line, and without passwords."""

from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.stream.cameras.config import load_config
from tests.helpers.cameras import DOOR, load


def fault(tmp_path: Path, text: str, **environ: str) -> str:
    """Return what is said of a faulty file, from its name on."""
    with pytest.raises(UsageError) as raised:
        load(tmp_path, text, **environ)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_a_missing_variable_is_told_with_its_line(tmp_path: Path) -> None:
    text = '[camera.door]\nsource = "synth://pattern"\nsinks = [\n  "null://",\n  "${WHERE}",\n]\n'
    assert fault(tmp_path, text) == (
        "cameras.toml:5: the variable WHERE is not set; set it, as in: export WHERE=..."
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("budget_ms = 'fast'", "budget_ms is 'fast'; expected a number of milliseconds above 0"),
        ("budget_ms = 0", "budget_ms is 0; expected"),
        ("budget_ms = true", "budget_ms is true; expected"),
        ("budget_ms = inf", "budget_ms is inf; expected"),
        ("limit = 2.5", "limit is 2.5; expected a whole number"),
        ("limit = 2024-01-01", "limit is a date or a time; expected"),
        ("overwrite = 'yes'", "overwrite is 'yes'; expected true or false"),
        ("policy = 'lastest'", "policy is 'lastest'; did you mean 'latest'? expected one of auto,"),
        ("policy = ['all']", "policy is a list; expected one of auto, all"),
        ("codec = 'av2'", "codec is 'av2'; expected one of h264, hevc"),
        ("input_size = '640'", "input_size is '640'; expected WIDTHxHEIGHT in pixels"),
        ("model = ''", "model is ''; expected a shipped name"),
        ("model = 'edge-x'", "there is no model 'edge-x'; did you mean"),
        ("precision = 'fp8'", "precision is 'fp8'; expected one of auto, fp32"),
        ("backend = 'tensort'", "backend is 'tensort'; did you mean 'tensorrt'? expected one of"),
        ("input_fps = 1e6", "1e+06 frames per second; give more than 0"),
        ("polcy = 'all'", "there is no key 'polcy'; did you mean 'policy'? the keys here are"),
        ("roi = '1,2,3'", "roi is '1,2,3'; expected X,Y,WIDTH,HEIGHT in pixels"),
        ("ladder = []", "ladder is an empty list; expected rungs, best first"),
        ("tile = 320", "tile is 320; expected WIDTHxHEIGHT in pixels"),
        ("policy = 'deadline'", "the policy deadline needs a budget; give budget_ms"),
    ],
)
def test_a_fault_of_a_camera_is_told_with_its_line(tmp_path: Path, line: str, words: str) -> None:
    assert fault(tmp_path, f"{DOOR}\n# comment\n{line}\n").startswith(f"cameras.toml:6: {words}")
    if "polcy" not in line:  # the same, where it holds for all cameras
        assert fault(tmp_path, f"\n{line}\n{DOOR}").startswith(f"cameras.toml:2: {words}")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("ladder = 'edge-n,bicubic'", "a ladder needs a budget; give budget_ms"),
        ("tile = '64x64'\nbudget_ms = 33", "tile is for one model, and a budget takes several"),
        ("segment_seconds = 9", "segment_seconds is asked for, and 'null://' cannot obey"),
    ],
)
def test_what_does_not_go_together_is_told_with_its_line(tmp_path, more: str, words: str) -> None:
    assert fault(tmp_path, f"{DOOR}{more}").startswith(f"cameras.toml:4: {words}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cameras.toml:1: there is no camera; add [camera.door] with source ="),
        ("# no\n[camera]\n", "cameras.toml:2: there is no camera; add"),
        ("\n[[camera]]\nsource = 'x'\n", "cameras.toml:2: there is no camera; add"),
        ("\ncamera.door = 3\n", "cameras.toml:2: camera.door is 3; expected a table, [camera"),
        ("\nsource = 'x'\n", "cameras.toml:2: source belongs into a camera's table: [camera"),
        ("\n[camra.door]\n", "cameras.toml:2: there is no key 'camra'; did you mean 'camera'?"),
        ("\nsecond = 3\n", "cameras.toml:2: there is no key 'second'; did you mean 'seconds'?"),
        (f"\nseconds = -1\n{DOOR}", "cameras.toml:2: seconds is -1; expected a number of seconds"),
        ("\n[camera.a]\nsinks = 'x'\n", "cameras.toml:2: camera a has no source; give it an addr"),
        ("\n[camera.a]\nsource = 'x'\n", "cameras.toml:2: camera a has no sinks; give it an out"),
        ("[camera.a]\nsource = 3\nsinks = 'x'", "cameras.toml:2: source is 3; expected an addr"),
        (
            "[camera.a]\nsource = '0'\nsinks = []",
            "cameras.toml:3: sinks is an empty list; expected",
        ),
        (
            "[camera.a]\nsource = '0'\nsinks = ['null://', 3]",
            "cameras.toml:3: sinks is a list with 3 in it; expected an output or a list of them",
        ),
        ("[camera.a]\nsource = '0'\nsinks = ['']", "cameras.toml:3: sinks is a list with '' in"),
        ("[camera.a]\nsource = 'rstp://h'\nsinks = 'x'", "cameras.toml:2: 'rstp://h' is no kind o"),
        ("[camera.a]\nsource='0'\nsinks = ['y',\n'ftp://h']", "cameras.toml:4: 'ftp://h' is no ki"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    assert fault(tmp_path, text).startswith(words)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = = 2\n", 2),
        ("[camera.door\nsource = 1\n", 1),
        ("[camera.door]\n[camera.door]\n", 2),
        ("a = 1\n\nsinks = [\n 'x',\n", 3),
        ("a = 1\nb = 2\na = 3\n", 3),
        ("a = 'x\nb = 2\n", 1),
    ],
)
def test_broken_toml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert fault(tmp_path, text).startswith(f"cameras.toml:{line}: this is no TOML: ")


def test_passwords_stay_out_of_messages(tmp_path: Path) -> None:
    said = [
        fault(tmp_path, "[camera.a]\nsource = 'rstp://me:secret@h/x'\nsinks = 'y'"),
        fault(tmp_path, "[camera.a]\nsource = 'x'\nsinks = ['ftp://me:secret@h']"),
        fault(tmp_path, "policy = 'rtsp://me:secret@h'\n" + DOOR),
        fault(tmp_path, f"{DOOR}[camera.b]\nsource = 'x'\nsinks = ['rtsp://me:secret@h/x']\n"
        "[camera.c]\nsource = 'x'\nsinks = ['rtsp://me:secret@h/x']\n"),
    ]  # fmt: skip
    assert all("***@h" in sentence and "secret" not in sentence for sentence in said)


@pytest.mark.parametrize("other", ["rec/../door.mp4", "door.mp4"])
def test_two_outputs_are_not_one_file(tmp_path: Path, other: str) -> None:
    (tmp_path / "rec").mkdir()
    first = '[camera.door]\nsource = "0"\nsinks = "door.mp4"\n'
    second = f'[camera.yard]\nsource = "1"\nsinks = ["null://", "{other}"]\n'
    said = fault(tmp_path, first + second)
    assert said.startswith("cameras.toml:6: the output '")
    assert said.endswith("is camera door's already; give each its own")


def test_two_outputs_are_not_one_address(tmp_path: Path) -> None:
    sinks = "['preview://127.0.0.1:8080', 'preview://127.0.0.1:8080/']"
    said = fault(tmp_path, f"[camera.door]\nsource = '0'\nsinks = {sinks}\n")
    assert said.startswith("cameras.toml:3: the output 'preview://127.0.0.1:8080/' is camera door")


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the file of cameras '.*none\.toml' cannot be read"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        load_config(tmp_path / "bytes.toml")
