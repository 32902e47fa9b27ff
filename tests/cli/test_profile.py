import json
from pathlib import Path
from typing import Any

import pytest

from crispstream.cli.main import main
from crispstream.core.errors import UsageError

SYNTH = "synth://pattern?size=32x16&frames=6"


def _profile(*words: str | Path) -> int:
    return main(["profile", *map(str, words)])


def _record(*words: str | Path, path: Path) -> dict[str, Any]:
    assert _profile(*words, "--report", path) == 0
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def test_a_profile_says_where_the_time_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = _record(SYNTH, "--no-layers", path=tmp_path / "p.json")

    assert (record["kind"], record["schema"]) == ("profile", 1)
    assert record["run"]["frames"] == 6
    assert {"decode", "wait", "copy_in", "infer", "copy_out", "write", "total"} <= set(
        record["stages"]
    )
    assert record["stages"]["infer"]["count"] == 6
    assert {depth["name"] for depth in record["depths"]} == {"slot", "queue"}
    assert record["layers"] is None
    said = capsys.readouterr().out
    for words in ("pipeline efficiency", "no frame was dropped", "profiling cost"):
        assert words in said


def test_layers_are_timed_and_joined_to_the_graph(tmp_path: Path) -> None:
    record = _record("synth://pattern?size=192x112&frames=3", path=tmp_path / "p.json")

    layers = record["layers"]
    joined = sum(layer["share"] for layer in layers["layers"] if layer["nodes"])
    assert joined > 0.5  # small frames: what the engine adds weighs more than in real ones
    assert any(layer["macs"] for layer in layers["layers"])
    assert layers["plain_ms"] > 0


def test_the_trace_has_a_life_for_each_frame(tmp_path: Path) -> None:
    assert _profile(SYNTH, "--no-layers", "--trace", tmp_path / "t.json") == 0

    entries = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    lives = {e["id"] for e in entries if e["ph"] == "b" and e["name"].startswith("frame ")}
    assert lives == set(range(6))
    assert any(e["ph"] == "C" for e in entries)


def test_layers_are_written_as_trtexec_does(tmp_path: Path) -> None:
    path = tmp_path / "layers.json"
    assert _profile(SYNTH, "--exportProfile", path) == 0

    count, *layers = json.loads(path.read_text())
    assert count["count"] > 0
    assert {"name", "timeMs", "averageMs", "medianMs", "percentage"} <= set(layers[0])


def test_what_the_layers_are_is_written_as_trtexec_does(tmp_path: Path) -> None:
    path = tmp_path / "info.json"
    assert _profile(SYNTH, "--exportLayerInfo", path) == 0

    info = json.loads(path.read_text())
    assert {"Layers", "Bindings"} <= set(info)
    assert any("[ONNX Layer: " in layer["Metadata"] for layer in info["Layers"])


def test_the_page_shows_the_roof_that_is_asked_for(tmp_path: Path) -> None:
    page = tmp_path / "p.html"
    assert _profile(SYNTH, "--html", page, "--roof", "cpu") == 0

    assert "roofline" in page.read_text().lower()


def test_a_file_is_judged_by_all_the_time_in_the_network(tmp_path: Path) -> None:
    record = _record(SYNTH, "--no-layers", path=tmp_path / "p.json")

    infer, run = record["stages"]["infer"], record["run"]
    spent = infer["mean_ms"] * infer["count"] / (1e3 * run["elapsed_seconds"])
    assert record["engine_busy"] == pytest.approx(spent)


def test_a_budget_is_said_to_bring_no_smaller_model(tmp_path: Path) -> None:
    live = "synth://pattern?size=32x16&frames=3&live=1&fps=50"
    record = _record(live, "--no-layers", "--budget-ms", "100", path=tmp_path / "p.json")

    assert any("no smaller model" in note for note in record["notes"])


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_tables_keep_their_numbers_on_narrow_terminals(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert _profile(SYNTH) == 0

    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert max(map(len, rows)) <= columns
    assert not [row for row in rows if row.rstrip("│ ").endswith("…")]


def test_the_page_is_written(tmp_path: Path) -> None:
    assert _profile(SYNTH, "--no-layers", "--html", tmp_path / "p.html") == 0

    assert "pipeline" in (tmp_path / "p.html").read_text().lower()


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _profile(SYNTH, "--no-layers", "--json") == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["kind"] == "profile"


def test_bicubic_has_stages_and_no_layers(tmp_path: Path) -> None:
    record = _record(SYNTH, "--model", "bicubic", path=tmp_path / "p.json")

    assert record["layers"] is None
    assert any(note.startswith("No layers") for note in record["notes"])
    assert record["graph_sha256"] == ""


def test_the_output_is_part_of_the_profile(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    record = _record(SYNTH, "--no-layers", "--sink", out, path=tmp_path / "p.json")

    assert record["run"]["sinks"][0]["written"] == 6
    assert out.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trace", "{folder}"), "is a folder"),
        (("--report", "{folder}/a.json", "--trace", "{folder}/a.json"), "name another file"),
        (("--trace", "{folder}/none/t.json"), "does not exist"),
        (("--no-layers", "--export-profile", "{folder}/l.json"), "leave out --no-layers"),
        (("--no-layers", "--export-layer-info", "{folder}/l.json"), "leave out --no-layers"),
        (("--roof", "orin-nano"), "--html"),
        (("--roof", "orin-nana", "--html", "{folder}/p.html"), "orin-nano"),
        (("--policy", "deadline"), "--budget-ms"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _profile(SYNTH, *(word.format(folder=tmp_path) for word in words))

    assert code == UsageError.exit_code
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_layers_of_bicubic_cannot_be_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "l.json"

    assert _profile(SYNTH, "--model", "bicubic", "--export-profile", path) == 1
    assert "no layers to write" in capsys.readouterr().err
    assert not path.exists()
