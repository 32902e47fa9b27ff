"""`crispstream run` never shows a password, whatever it refuses or reports."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crispstream.calib.collect.checks import check_apart
from crispstream.cli import main as command_line
from crispstream.core.errors import SourceError, UsageError
from crispstream.runtime.stream import compose
from crispstream.runtime.stream.source import Source, open_source

SECRET = "s3cret"
SOURCE = f"rtsp://admin:{SECRET}@127.0.0.1:1/door"
SINK = f"udp://admin:{SECRET}@127.0.0.1:1/yard"
REFUSED = [
    [SOURCE],
    [SOURCE, "--config", "cameras.toml"],
    [SOURCE, SINK, "--config", "cameras.toml", "--model", "bicubic"],
    [SOURCE, SINK, SINK],
    [SOURCE, SINK.replace("udp", "upd")],
    [SOURCE.replace("rtsp", "rtps"), SINK],
    [SOURCE, SINK, "--policy", "al"],
    [SOURCE, SINK, "--policy", "deadline"],
    [SOURCE, SINK, "--ladder", "edge-n,bicubic"],
    [SOURCE, SINK, "--budget-ms", "inf"],
    [SOURCE, SINK, "--seconds", "nan"],
    [SOURCE, SINK, "--device", "gpu"],
    [SOURCE, SINK, "--device", "cpu", "--decoder", "nvdec"],
    [SOURCE, SINK, "--codec", "av1"],
    [SOURCE, SINK, "--decoder", "gpu"],
    [SOURCE, SINK, "--segment-seconds", "5"],
    [SOURCE, "null://", "--output-fps", "25"],
    [SOURCE, SINK, "--input-fps", "25"],
    [SOURCE, SINK, "--input-size", "64x64"],
    [SOURCE, SINK, "--input-size", "large"],
    [SOURCE, SINK, "--report", "."],
    [SOURCE, SINK, "--html", "no/such/folder/r.html"],
    [SOURCE, SINK, "--no-such-option"],
]
REFUSED_ONCE_OPEN = [
    [SOURCE, "out.png", "--limit", "3"],
    [SOURCE, SINK, "--roi", "0,0,64,64"],
    [SOURCE, SINK, "--roi", "all"],
    [SOURCE, SINK, "--model", "edge-x"],
    [SOURCE, SOURCE],
    [SOURCE, SINK, "taken.mp4"],
]


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], tuple[int, str]]:
    """Run in a folder of its own; return the exit code and all that was said and written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cameras.toml").write_text("")
    (tmp_path / "taken.mp4").write_text("")

    def run(words: list[str]) -> tuple[int, str]:
        more = [] if "--report" in words else ["--report", "report.json"]
        code = command_line.main(["run", *words, *more])
        written = [path.read_text() for path in tmp_path.glob("report.json")]
        return code, "".join([*capsys.readouterr(), *written])

    return run


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_refusals_show_no_password(
    refused: Callable[[list[str]], tuple[int, str]], words: list[str]
) -> None:
    code, said = refused(words)
    assert code == 2
    assert said
    assert SECRET not in said


@pytest.mark.parametrize("words", REFUSED_ONCE_OPEN, ids=" ".join)
def test_refusals_of_an_open_source_show_no_password(
    refused: Callable[[list[str]], tuple[int, str]],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def synthetic(uri: str, *arguments: object, **options: object) -> Source:
        assert uri == SOURCE
        return open_source("synth://pattern?size=32x16&frames=9&live=1")

    monkeypatch.setattr(compose, "open_source", synthetic)
    code, said = refused(words)
    assert code == 2
    assert said
    assert SECRET not in said


def test_a_source_that_refuses_and_its_report_show_no_password(
    refused: Callable[[list[str]], tuple[int, str]],
) -> None:
    code, said = refused([SOURCE, SINK, "--model", "bicubic"])
    assert code == SourceError.exit_code
    assert "rtsp://***@127.0.0.1:1/door" in said
    assert SECRET not in said


def test_a_run_and_its_report_show_no_password(
    refused: Callable[[list[str]], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        compose,
        "open_source",
        lambda *_, **__: open_source("synth://pattern?size=32x16&frames=3"),
    )
    code, said = refused([SOURCE, SINK, "null://", "--model", "bicubic"])
    assert code in (0, 1)  # nobody takes the packets
    assert "udp://***@127.0.0.1:1/yard" in said
    assert SECRET not in said


def test_a_set_inside_its_source_is_refused_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"admin:{SECRET}@host").mkdir()
    with pytest.raises(UsageError, match="lie inside one another") as error:
        check_apart(f"file://admin:{SECRET}@host", Path(f"admin:{SECRET}@host"))
    assert f"'file://admin:{SECRET}" not in str(error.value)
