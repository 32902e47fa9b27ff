"""`crispstream plan`: what it prints and writes, and what it refuses."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from crispstream.cli.plan import plan
from crispstream.cli.plan_text import print_plan, summary_lines
from crispstream.core.errors import CrispstreamError, SinkError, UsageError
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.plan import cpu
from crispstream.runtime.measure.plan.record import Device, PlanRecord
from crispstream.runtime.measure.records import read_record, write_record
from tests.helpers.layer_records import plan_record, profile_record

CPU = Device("cpu", "A CPU, 2 cores", {"fp32": 0.2, "int8": 0.5}, 20.0, 8.0, 5.0, (), True, "cpu")
app = typer.Typer()
app.command()(plan)


@pytest.fixture(autouse=True)
def _narrow_and_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(cpu, "measured_cpu", lambda: CPU)


def run(*arguments: object) -> str:
    """Run the command; return its standard output, raise what it raises."""
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def error_of(*arguments: object) -> CrispstreamError:
    with pytest.raises(CrispstreamError) as caught:
        run(*arguments)
    return caught.value


def facts_of(*arguments: object) -> dict[str, Any]:
    return dict(json.loads(run(*arguments, "--json")))


def test_the_summary_comes_first_and_says_what_a_roof_is() -> None:
    lines = run("edge-s", "--device", "orin-nano").splitlines()
    assert lines[0].startswith("edge-s fp16 on Jetson Orin Nano 8 GB, Super mode 25 W")
    assert "at the roof, a lower bound: 0.90" in lines[1]
    assert "expected, at 30 % of the roof (an assumption)" in lines[2]
    assert "what sets it: memory 7" in lines[3]
    assert "2.80 GMAC" in lines[4]
    assert lines[5].startswith("memory: ")


def test_the_tables_fit_a_terminal_and_no_figure_is_cut() -> None:
    shown = run("edge-s", "--device", "rtx-4090", "--size", "960x540")
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in shown
    assert "/tail/Conv" in shown
    assert "others" in shown
    assert any(line.startswith("│ edge-n int8") for line in lines)
    assert "source: NVIDIA Ada GPU Architecture whitepaper" in shown


def test_json_is_one_line_with_everything() -> None:
    facts = facts_of("edge-n", "--device", "L4", "--precision", "int8", "--size", "320x180")
    assert (facts["kind"], facts["schema"]) == ("plan", 1)
    assert (facts["model"], facts["precision"], facts["size"]) == ("edge-n", "int8", [320, 180])
    assert facts["device"]["name"] == "l4"
    assert facts["roof_ms"] == pytest.approx(sum(one["roof_ms"] for one in facts["layers"]))


def test_the_record_reads_back_and_the_page_is_written(tmp_path: Path) -> None:
    report, html = tmp_path / "plan.json", tmp_path / "plan.html"
    run("edge-n", "--device", "t4", "--report", report, "--html", html)
    record = read_record(report)
    assert isinstance(record, PlanRecord)
    assert record.device.name == "t4"
    assert "NVIDIA T4" in html.read_text(encoding="utf-8")


def test_a_cpu_is_planned_with_the_graph_that_runs_there() -> None:
    shown = run("edge-n", "--device", "cpu")
    assert shown.startswith("edge-n int8-cpu on A CPU, 2 cores")
    assert "estimate: " in shown
    assert "at the roof" not in shown


def profile_of(folder: Path, **changes: Any) -> Path:
    path = folder / "profile.json"
    sha256 = find_model("edge-s").graph("fp16").sha256
    profile = profile_record()
    of_a_gpu = {"graph_sha256": sha256, "run": {**profile.run, "backend": "tensorrt"}}
    write_record(replace(profile, **{**of_a_gpu, **changes}), path)
    return path


def test_with_a_profile_it_tells_what_is_lost_and_where(tmp_path: Path) -> None:
    path = profile_of(tmp_path)
    shown = run("edge-s", "--device", "l4", "--profile", path)
    assert "steps have a time of their own" in shown.replace("\n", " ")
    assert "steps that lose most, ms" in shown
    assert "reached" in shown
    layers = facts_of("edge-s", "--device", "l4", "--profile", path)["layers"]
    tail = next(layer for layer in layers if layer["name"] == "/tail/Conv")
    assert tail["achieved"] == pytest.approx(tail["roof_ms"] / tail["measured_ms"])


def test_a_profile_of_something_else_is_refused(tmp_path: Path) -> None:
    path = profile_of(tmp_path)
    other = error_of("edge-n", "--device", "l4", "--profile", path)
    assert "edge-n fp16" in str(other)
    size = error_of("edge-s", "--device", "l4", "--size", "640x360", "--profile", path)
    assert "add --size 320x180" in str(size)
    device = error_of("edge-s", "--device", "cpu", "--precision", "fp32", "--profile", path)
    assert "the profile is of a GPU (tensorrt on a GPU" in str(device)
    write_record(plan_record(), path)
    kind = error_of("edge-s", "--device", "l4", "--profile", path)
    assert "is a plan record; give --profile what crispstream profile" in str(kind)
    assert {type(error) for error in (other, size, device, kind)} == {UsageError}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["edge-n"], "--device is missing; give one of orin-nano"),
        (["edge-n", "--device", "l5"], "there is no device 'l5'"),
        (["edge-m", "--device", "l4"], "there is no model 'edge-m'"),
        (["edge-n", "--device", "l4", "--size", "big"], "--size: "),
        (["edge-n", "--device", "l4", "--precision", "int4"], "there is no precision 'int4'"),
        (["edge-n", "--device", "l4", "--precision", "int8-cpu"], "not for tensorrt"),
        (["edge-n", "--device", "l4", "--profile", "/nowhere.json"], "/nowhere.json"),
        (["edge-n", "--device", "l4", "--report", "/no/folder/p.json"], "does not exist"),
    ],
)
def test_bad_requests_say_what_to_do(arguments: list[str], told: str) -> None:
    error = error_of(*arguments)
    assert isinstance(error, UsageError)
    assert told in str(error)


def test_a_report_never_replaces_the_profile(tmp_path: Path) -> None:
    path = profile_of(tmp_path)
    error = error_of("edge-s", "--device", "l4", "--profile", path, "--report", path)
    assert "name another file" in str(error)


def test_a_report_that_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crispstream.runtime.measure.records.write_record", refuse)
    error = error_of("edge-n", "--device", "l4", "--report", tmp_path / "p.json")
    assert isinstance(error, SinkError)
    assert "No space left on device" in str(error)


def test_a_plan_without_times_of_layers_still_has_a_summary() -> None:
    lines = summary_lines(replace(plan_record(), profile="p.json"))
    assert lines[-1].startswith("'p.json': 0 of")


def shown(record: PlanRecord) -> str:
    stream = io.StringIO()
    print_plan(record, Console(file=stream, width=80))
    return stream.getvalue()


def timed(*times_ms: float) -> PlanRecord:
    """A plan with a profile, each of whose steps should take 1 ms."""
    first = plan_record().layers[0]
    steps = (replace(first, roof_ms=1.0, measured_ms=ms, achieved=1 / ms) for ms in times_ms)
    return replace(plan_record(), layers=tuple(steps), profile="p.json")


def test_beside_an_estimate_a_profile_is_no_share_of_a_roof() -> None:
    record = timed(0.5)
    told = shown(replace(record, device=CPU))
    assert ("measured /" in told, "reached" in told) == (True, False)
    assert "50 %" in told
    assert "200 %" in shown(record)
    for device in (CPU, record.device):  # long ones are whole
        lines = shown(replace(timed(999.999, 999.999), device=device)).splitlines()
        assert max(map(len, lines)) <= 80
        assert any("999.999 " in line and "998.999 " in line for line in lines)


def test_steps_that_are_faster_than_planned_make_up_for_no_others() -> None:
    told = shown(timed(*[3.0] * 12, 1.5, 0.25))  # the last two are the others
    assert re.search(r"2 others .* 2\.000 .* 1\.750 .* 0\.500 ", told)


def test_nothing_in_a_name_reaches_the_terminal_as_more_than_text() -> None:
    record = plan_record()
    layers = (replace(record.layers[0], name="\x1b[31mred", op="[bold]x[/nothing]"),)
    told = shown(replace(record, model="m\x1b[2J", layers=layers, notes=("a\x07",)))
    assert not set("\x1b\x07") & set(told)
    assert "\\x1b[31mred" in told
    assert "[bold]x[/noth" in told
