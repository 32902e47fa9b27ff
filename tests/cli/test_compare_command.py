import json
from pathlib import Path

import pytest

from crispstream.cli.main import main
from crispstream.runtime.measure.records import write_record
from tests.helpers.compared import STEADY, bench, profile, run_content

SLOWER = {name: [1.2 * value for value in rounds] for name, rounds in STEADY.items()}


@pytest.fixture
def records(tmp_path: Path, monkeypatch) -> Path:
    """A folder with two benches, the second slower, a profile, and the report of a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    write_record(bench(), tmp_path / "a.json")
    write_record(bench(SLOWER), tmp_path / "b.json")
    write_record(profile(), tmp_path / "profile.json")
    (tmp_path / "run.json").write_text(json.dumps(run_content()))
    return tmp_path


def test_the_verdict_does_not_change_the_exit_code(records, capsys):
    assert main(["compare", "a.json", "b.json"]) == 0
    said = capsys.readouterr()
    assert said.out.count(" slower") == 4 + 1  # rows, and what the ratio means
    assert "A  a.json" in said.out
    assert said.err == ""


@pytest.mark.parametrize(("percent", "code"), [("5", 1), ("0", 1), ("30", 0)])
def test_a_slower_run_fails_where_that_was_asked_for(records, capsys, percent, code):
    assert main(["compare", "a.json", "b.json", "--fail-slower-than", percent]) == code
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (4 if code else 0)
    if code:
        assert said[0].startswith("error: edge-n fp32 engine is slower by at least 1")
        assert said[0].endswith(f" %, allowed {percent} %")


def test_a_quicker_run_never_fails(records):
    assert main(["compare", "b.json", "a.json", "--fail-slower-than", "0"]) == 0


def test_what_cannot_be_tested_does_not_pass_for_good(records, capsys):
    assert main(["compare", "run.json", "run.json", "--fail-slower-than", "5"]) == 2
    assert "nothing to judge" in capsys.readouterr().err


def test_json_is_one_line(records, capsys):
    assert main(["compare", "a.json", "b.json", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    content = json.loads(out)
    assert (content["kind"], content["schema"], content["of"]) == ("comparison", 1, "bench")
    assert content["a"]["path"] == "a.json"
    assert [row["verdict"] for row in content["rows"]] == ["slower"] * 4


def test_markdown_is_a_comment_for_a_pull_request(records, capsys):
    assert main(["compare", "a.json", "b.json", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("### crispstream bench: 4 slower (two runs")


def test_the_page_is_written_beside_what_is_printed(records, capsys):
    assert main(["compare", "a.json", "b.json", "--html", "c.html"]) == 0
    assert "edge-n fp32" in capsys.readouterr().out
    assert "edge-n fp32" in (records / "c.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.json", "profile.json"], "of kind bench and 'profile.json' of kind profile"),
        (["a.json", "none.json"], "'none.json' cannot be read (No such file or directory)"),
        (["a.json", "b.json", "--html", "./b.json"], "--html 'b.json' is one of the records; name"),
        (["a.json", "b.json", "--html", "none/c.html"], "the folder 'none' for --html does not"),
        (["a.json", "b.json", "--json", "--markdown"], "leave one out"),
        (["a.json", "b.json", "--fail-slower-than", "-1"], "--fail-slower-than is -1; give 0"),
        (["a.json", "b.json", "--fail-slower-than", "nan"], "--fail-slower-than is nan; give 0"),
    ],
)
def test_bad_requests_end_with_2_and_a_sentence(records, capsys, arguments, words):
    assert main(["compare", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""
    assert "Traceback" not in said.err


def test_a_comparison_is_no_record_to_compare(records, capsys):
    main(["compare", "a.json", "b.json", "--json"])
    (records / "c.json").write_text(capsys.readouterr().out)
    assert main(["compare", "c.json", "a.json"]) == 2
    assert "has the kind 'comparison', and a record is one of bench" in (capsys.readouterr().err)
