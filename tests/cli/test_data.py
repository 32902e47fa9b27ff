"""`crispstream data build`: its page, its answers and its refusals."""

import json

import pytest
from typer.testing import CliRunner

from crispstream.cli.data import data_app
from crispstream.core.errors import UsageError
from crispstream.core.layouts import LAYOUTS
from crispstream.train.data import builders
from crispstream.train.data.builders import BUILDERS
from tests.helpers.pictures import write_picture


@pytest.fixture
def src(tmp_path):
    folder = tmp_path / "sisr"
    write_picture(folder / "train/a.png", 0, 50, 60)
    write_picture(folder / "test/Set5/b.png", 1, 16, 20)
    return folder


def build(*words):
    return CliRunner().invoke(data_app, ["build", *map(str, words)])


def test_the_page_tells_every_layout_and_breaks_no_path(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    page = CliRunner().invoke(data_app, ["build", "--help"]).output
    assert sorted(LAYOUTS) == BUILDERS.names()
    lines = [line.strip() for line in page.splitlines()]
    for kind in BUILDERS.names():
        assert f"{kind}:" in lines
        for line in LAYOUTS[kind].split("\n"):
            assert line in lines
    assert "Example: crispstream data build lr-gopro" in page


def test_a_set_is_built_and_built_again_at_once(src, tmp_path):
    done = build("sisr", src, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "building sisr: 2 of 2 items" in done.stderr
    said = " ".join(done.stdout.split())
    assert "2 items made 3 training samples and 2 pictures" in said
    assert f"next: crispstream train cmsc-sisr --data {tmp_path / 'out'}" in said
    assert "its test set is judged with --protocol cmsc" in said
    again = build("sisr", src, tmp_path / "out")
    assert again.stdout == done.stdout
    assert "building" not in again.stderr


def test_json_is_all_there_is(src, tmp_path):
    done = build("sisr", src, tmp_path / "out", "--json", "--workers", 1)
    found = json.loads(done.stdout)
    size = sum(p.stat().st_size for s in ("png", "npy") for p in (tmp_path / "out").rglob(f"*.{s}"))
    assert found == {
        "data_set": str(tmp_path / "out"),
        "kind": "sisr",
        "items": 2,
        "samples": 3,
        "pictures": 2,
        "bytes": size,
    }
    assert not done.stderr


def test_a_set_without_samples_says_so(src, tmp_path):
    write_picture(src / "train/a.png", 0, 40, 60)
    assert "too small or too flat" in build("sisr", src, tmp_path / "out").stdout


def test_a_set_that_only_tests_names_evaluate(tmp_path):
    for name in ("Blurry1_1", "GroundTruth1_1_1"):
        write_picture(tmp_path / f"src/{name}.png", 0, 32, 32)
    done = build("lr-koehler", tmp_path / "src", tmp_path / "out")
    assert "1 items (the published set has 48) made 0 training samples" in done.stdout
    command = f"crispstream evaluate edge-s bicubic --data {tmp_path / 'out'}/test --protocol gfn"
    assert command in done.stdout


def test_places_that_were_swapped_are_told(src, tmp_path):
    build("sisr", src, tmp_path / "out", "--workers", 1)
    error = build("sisr", tmp_path / "out", src, "--workers", 1).exception
    assert isinstance(error, UsageError)
    assert "out' is a built set; SRC and DST may be swapped" in str(error)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lr-gopr", "sisr", "out"), "there is no data set 'lr-gopr'; did you mean 'lr-gopro'?"),
        (("sisr", "nowhere", "out"), "nowhere' does not exist; name the folder"),
        (("sisr", "sisr/train/a.png", "out"), "a.png' is a file; name the folder"),
        (("sisr", "sisr", "sisr/out"), "lies inside"),
        (("sisr", "sisr", "sisr"), "lies inside"),
        (("reds", "sisr", "out"), "holds test, train; missing:"),
    ],
)
def test_what_cannot_be_is_refused(src, tmp_path, words, message):
    kind, *places = words
    error = build(kind, *(tmp_path / place for place in places), "--workers", 1).exception
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert not (tmp_path / "out").exists()


def test_an_interruption_says_how_to_go_on(src, tmp_path, monkeypatch):
    def stopped(kind, src, dst, *, workers, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(builders, "build_data_set", stopped)
    done = build("sisr", src, tmp_path / "out")
    assert done.exit_code == 130
    assert "keeps what is done: run the same command again" in done.stderr
