"""`crispstream run` on live sources, several outputs, budgets and sizes; and what it refuses."""

import json
import re
from pathlib import Path

import pytest

from crispstream.cli import main as command_line
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.ladder.ladder import Ladder
from crispstream.runtime.stream.sinks.kinds import SCHEMES as SINK_SCHEMES
from crispstream.runtime.stream.sinks.kinds import VIDEO_EXTENSIONS
from crispstream.runtime.stream.sources.network import SCHEMES as SOURCE_SCHEMES
from tests.helpers.media import pictures_of, write_video

LIVE = "synth://pattern?size=32x16&fps=100&live=1&frames=30"


def _run(*words: object) -> int:
    return command_line.main(["run", *map(str, words), "--model", "bicubic"])


def _figures(tmp_path: Path, *words: object) -> dict[str, object]:
    report = tmp_path / "r.json"
    assert _run(*words, "--report", report) == 0
    return dict(json.loads(report.read_text()))


def test_something_live_drops_and_a_file_does_not_unless_asked(tmp_path: Path) -> None:
    live = _figures(tmp_path, LIVE, "null://")
    assert live["captured"] == live["frames"] + live["dropped"] == 30
    clip = tmp_path / "in.mp4"
    write_video(clip, frames=12)
    whole = _figures(tmp_path, clip, "null://")
    assert (whole["frames"], whole["dropped"]) == (12, 0)


def test_several_outputs_each_have_their_column(tmp_path: Path) -> None:
    clip, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(clip, frames=12)
    figures = _figures(tmp_path, clip, target, "null://", tmp_path / "png")
    columns = {sink["name"]: sink["written"] for sink in figures["sinks"]}
    assert columns == {str(target): 12, "null://": 12, str(tmp_path / "png"): 12}
    assert figures["sink"] == ", ".join(columns)
    assert len(pictures_of(target)) == len(list((tmp_path / "png").iterdir())) == 12


def test_two_outputs_of_one_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.mp4"
    assert _run(LIVE, target, target) == 2
    assert "one and the same output" in capsys.readouterr().err
    assert not target.exists()


def test_a_failed_output_ends_with_exit_code_1_and_the_other_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(clip, frames=12)
    image = tmp_path / "out.png"
    assert _run(clip, target, image, "--limit", 1, "--seconds", 60) == 0
    image.unlink()
    target.unlink()
    source = "synth://pattern?size=32x16&frames=1"
    (tmp_path / "blocked").mkdir()
    assert _run(source, image, target) == 0
    capsys.readouterr()
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here to write to")
    (tmp_path / "full.mp4").symlink_to(full)
    target.unlink()
    assert _run(clip, target, tmp_path / "full.mp4", "--overwrite") == 1
    said = capsys.readouterr()
    assert "error: " in said.err
    assert "full.mp4" in said.err
    assert len(pictures_of(target)) == 12


def test_a_budget_is_for_what_is_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "in.mp4"
    write_video(clip, frames=2)
    assert _run(clip, "null://", "--budget-ms", 33) == 2
    assert "a source that is not live" in capsys.readouterr().err


def test_a_budget_makes_a_ladder_whose_rungs_are_reported(tmp_path: Path) -> None:
    figures = _figures(tmp_path, LIVE, "null://", "--budget-ms", 1000)
    assert figures["budget_ms"] == 1000
    (rung,) = figures["ladder"]["rungs"]
    assert (rung["name"], rung["frames"]) == ("bicubic", figures["frames"])
    alone = _figures(tmp_path, LIVE, "null://", "--budget-ms", 1000, "--ladder", "off")
    assert alone["ladder"] is None
    assert alone["late"] == 0


def test_a_ladder_sees_how_fast_a_live_source_gives_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Frame] = []
    monkeypatch.setattr(Ladder, "watch", lambda _, frame: seen.append(frame))
    figures = _figures(tmp_path, LIVE, "null://", "--budget-ms", 1000)
    assert len(seen) == figures["frames"] > 0
    clip = tmp_path / "in.mp4"
    write_video(clip, frames=2)
    seen.clear()
    _figures(tmp_path, clip, "null://", "--budget-ms", 1000, "--policy", "deadline")
    assert seen == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "deadline"], "--budget-ms"),
        (["--policy", "newest"], "unknown policy 'newest'"),
        (["--policy", "al"], "did you mean 'all'? choose one of: auto, all, latest, deadline"),
        (["--ladder", "edge-n,bicubic"], "a ladder needs a budget; add --budget-ms, such as 33"),
        *(
            ([option, value], f"{option} is {value}; give a finite number above 0")
            for option in ("--budget-ms", "--seconds")
            for value in ("0", "-1", "inf", "nan")
        ),
        (["--budget-ms", "33", "--ladder", "edge-x"], "edge-x"),
        (["--output-size", "large"], "--output-size"),
        (["--input-size", "640x480"], "synth"),
        (["--roi", "1,2,3"], "X,Y,WIDTH,HEIGHT"),
        (["--roi", "0,0,64,64"], "32x16"),
        (["--codec", "av1"], "av1"),
        (["--codec", "hevc"], "null://"),
        (["--decoder", "gpu"], "gpu"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(LIVE, "null://", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["clip.mp4"]])
def test_without_source_and_sink_an_example_is_shown(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*words) == 2
    assert "crispstream run clip.mp4 out.mp4" in capsys.readouterr().err


def test_a_missing_sink_is_told_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("rtsp://me:secret@host/door") == 2
    said = capsys.readouterr().err
    assert "there is no SINK for what comes from 'rtsp://***@host/door'" in said


def test_the_help_names_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert command_line.main(["run", "--help"]) == 0
    said = capsys.readouterr().out
    source, sinks = (
        next(line for line in said.splitlines() if f" {word} " in line)
        for word in ("source", "sinks...")
    )
    assert set(re.findall(r"(\w+)://", sinks)) <= set(SINK_SCHEMES)
    assert set(re.findall(r"(\w+)://", source)) <= {*SOURCE_SCHEMES, "v4l2", "csi", "synth"}
    assert set(re.findall(r"\.(\w{3})\b", sinks)) == {ending[1:] for ending in VIDEO_EXTENSIONS}


def test_config_and_source_exclude_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(LIVE, "null://", "--config", tmp_path / "cameras.toml") == 2
    assert "--config" in capsys.readouterr().err


def test_passwords_are_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.json"
    source = "rtsp://admin:secret@127.0.0.1:1/door"
    assert _run(source, "null://", "--report", report) == 1
    said = capsys.readouterr()
    assert "secret" not in said.err + said.out
    assert "rtsp://***@127.0.0.1:1/door" in said.err


def test_a_part_of_the_picture_and_another_size(tmp_path: Path) -> None:
    source = "synth://pattern?size=64x48&frames=3"
    assert _run(source, tmp_path / "part", "--roi", "8,4,32,16") == 0
    assert _run(source, tmp_path / "small.mp4", "--output-size", "128x96") == 0
    from crispstream.runtime.stream.sources.folder import read_image

    assert read_image(tmp_path / "part" / "000000.png").shape == (64, 128, 3)
    assert pictures_of(tmp_path / "small.mp4")[0].shape == (96, 128, 3)


def test_the_time_asked_for_ends_a_camera(tmp_path: Path) -> None:
    figures = _figures(tmp_path, "synth://?size=32x16&fps=50&live=1", "null://", "--seconds", 0.5)
    assert 5 <= figures["captured"] <= 60
    assert figures["stopped"] is False
