"""`crispstream data collect`: its page, its answers and its refusals."""

import json

import pytest
from typer.testing import CliRunner

from crispstream.calib.collect import collect as stage
from crispstream.calib.collect.sets import CalibrationSet
from crispstream.cli.data import data_app
from crispstream.core.errors import UsageError
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.pictures import write_picture


@pytest.fixture
def photos(tmp_path):
    for number in range(4):
        write_picture(tmp_path / f"photos/{number}.png", number, 24, 32)
    return tmp_path / "photos"


def collect(*words):
    return CliRunner().invoke(data_app, ["collect", *map(str, words)])


def test_the_page_has_an_example_that_parses(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    page = CliRunner().invoke(data_app, ["collect", "--help"]).output
    assert "Example: crispstream data collect gate.mp4 yard.mp4 photos/ --model edge-s" in page
    assert "goes on when the same command is run again" in page
    assert "collect" in CliRunner().invoke(data_app, ["--help"]).output


def test_a_set_is_collected_and_what_is_next_is_told(photos, tmp_path):
    done = collect(photos, "-o", tmp_path / "my set", "--frames", 3)
    assert done.exit_code == 0, done.output
    out = tmp_path / "my set"
    assert f"{out}: 3 frames chosen; 4 seen, 4 candidates, 0 near duplicates" in done.stdout
    assert f"coverage: {out}/report.html (no dark, bright, " in done.stdout
    assert "still frames: it says what to collect)" in done.stdout
    assert f"next: crispstream calibrate BUNDLE --set '{out}' -o NEW" in done.stdout
    assert len(CalibrationSet.load(out).frames) == 3
    assert not done.stderr


def test_the_set_knows_its_model_and_size(photos, tmp_path):
    write_tiny_bundle(tmp_path / "bundle", name="mine", size_multiple=8)
    done = collect(photos, "-o", tmp_path / "set", "--model", tmp_path / "bundle", "--size", "16x8")
    assert f"next: crispstream calibrate {tmp_path / 'bundle'} --set" in done.stdout
    found = CalibrationSet.load(tmp_path / "set")
    assert found.model == "mine"
    assert {(frame.width, frame.height) for frame in found.frames} == {(16, 8)}
    error = collect(
        photos, "-o", tmp_path / "other", "--model", tmp_path / "bundle", "--size", "16x7"
    ).exception
    assert isinstance(error, UsageError)
    assert "mine takes none with a side below 8" in str(error)


def test_warnings_are_said_aloud(tmp_path):
    done = collect("synth://pattern?size=32x24&frames=4", "-o", tmp_path / "set")
    assert "warning: 128 frames were asked for and 4 differ" in done.stderr
    assert "cannot certify a bundle" in done.stderr


def test_json_is_all_there_is(photos, tmp_path):
    done = collect(photos, "-o", tmp_path / "set", "--json")
    found = json.loads(done.stdout)
    assert found.pop("lacking")["dark"].startswith("no dark frames (brightness below 50): ")
    assert found.pop("warnings")[0].startswith("128 frames were asked for and 4 differ")
    counts = {"seen": 4, "damaged": 0, "candidates": 4, "different": 4, "picked": 4}
    assert found == {
        "set": str(tmp_path / "set"),
        "frames": 4,
        "report": str(tmp_path / "set/report.html"),
        "sources": [{"uri": str(photos), **counts}],
    }
    assert not done.stderr


def test_an_interruption_says_how_to_go_on(photos, tmp_path, monkeypatch):
    def stopped(request, out, *, overwrite, on_frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "collect", stopped)
    done = collect(photos, "-o", tmp_path / "set")
    assert done.exit_code == 130
    assert "set' keeps what was collected: run the same command again" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("photos", "-o", "set", "--model", "edge-q"), "no model 'edge-q'; did you mean"),
        (("photos", "-o", "set", "--size", "16"), "the size '16' is not WIDTHxHEIGHT"),
        (("nowhere.mp4", "-o", "set"), "no file or folder 'nowhere.mp4'"),
        (("photos", "-o", "photos/set"), "lie inside one another"),
    ],
)
def test_what_cannot_be_is_refused(photos, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    error = collect(*words).exception
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert not (tmp_path / "set").exists()
