"""`crispstream doctor --colour` from the user's side: the table, the exit code, the JSON."""

import json

import pytest
import typer
from typer.testing import CliRunner, Result

from crispstream.cli.doctor import doctor
from crispstream.runtime.stream.sinks import encoder

app = typer.Typer()
app.command()(doctor)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False, env={"COLUMNS": "80"})


def break_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "tag", lambda codec, colour: None)


def test_a_healthy_kit_gives_0_and_a_line_a_stream() -> None:
    result = run("--colour")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[-1] == "colours come through within 1 level of 256"
    assert len([line for line in lines if line.rstrip().endswith("fine")]) == 8
    assert max(map(len, lines)) <= 80


def test_a_fault_gives_1_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    break_tags(monkeypatch)
    result = run("--colour")
    assert result.exit_code == 1
    assert "BT.709 full      BT.709 full" in result.stdout
    said = (
        "expected matrix 1 primaries 1 transfer 1 range 2, "
        "seen matrix 2 primaries 2 transfer 2 range 0"
    )
    assert [
        line for line in result.stdout.splitlines() if line.startswith("  tags") and said in line
    ]
    assert result.stdout.splitlines()[-1] == "colours come out wrong in 8 of 8 kinds of streams"


def test_json_is_one_line_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = run("--colour", "--json")
    assert fine.exit_code == 0
    assert len(fine.stdout.splitlines()) == 1
    assert json.loads(fine.stdout)["failed"] == 0
    break_tags(monkeypatch)
    broken = run("--colour", "--json")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["failed"] == 8
