import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from crispstream.runtime.measure.comparing.compare import compare_records
from crispstream.runtime.measure.comparing.markdown import markdown
from crispstream.runtime.measure.comparing.tables import MOST_LAYERS
from crispstream.runtime.measure.comparing.text import print_comparison
from tests.helpers.compared import HOST, SETTINGS, STEADY, bench, plan, profile

ODD = "my|odd`<b>net*_[x](y) \\ @me #1 $z$"
SLOWER = {name: [1.2 * value for value in rounds] for name, rounds in STEADY.items()}


def compare(a, b):
    return compare_records(a, b, "a.json", "b.json")


def text(comparison, width: int = 80) -> str:
    stream = io.StringIO()
    print_comparison(comparison, Console(file=stream, width=width, force_terminal=False))
    return stream.getvalue()


def cells(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table, as GitHub cuts it: at pipes not escaped."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def tables(shown: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\|\n?)+", shown, re.MULTILINE)
    return [[cells(line) for line in block.splitlines()] for block in blocks]


@pytest.mark.parametrize("record", [bench(), profile(layers_ms={"conv": 1.0}), plan()])
def test_eighty_columns_hold_everything(record):
    shown = text(compare(record, record))
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


def test_what_else_differs_comes_before_the_times():
    b = bench(SLOWER, settings=replace(SETTINGS, threads=1))
    for shown in (text(compare(bench(), b)), markdown(compare(bench(), b))):
        assert shown.index("may be the reason") < shown.index("settings.threads")
        assert shown.index("settings.threads") < shown.index("B / A (99 %)")


def test_the_terminal_tells_ratio_interval_verdict_and_notes():
    shown = text(compare(bench(), bench(SLOWER)))
    row = next(line for line in shown.splitlines() if "edge-n fp32" in line)
    assert re.search(r"engine +10\.00 +12\.00 +1\.200 \(1\.1\d\d-1\.2\d\d\) +slower", row)
    assert "not measured in turns" in shown
    assert "may be the reason" not in shown


def test_names_are_shown_as_they_are_in_a_terminal():
    rounds = {"edge [bold]n[/] fp32": STEADY["edge-n fp32"]}
    assert "edge [bold]n[/] fp32" in text(compare(bench(rounds), bench(rounds)), width=120)


def test_a_line_stays_a_line_in_a_terminal():
    rounds = {"edge\nn fp32": STEADY["edge-n fp32"]}
    noted = replace(bench(rounds), notes=("all is well\nerror: it is not",))
    told = text(compare(noted, noted), width=120)
    assert "edge n fp32" in told
    assert "A and B: all is well error: it is not" in told


def test_markdown_has_as_many_cells_in_each_line_of_a_table():
    rounds = {"edge-n fp32": STEADY["edge-n fp32"], ODD: STEADY["edge-s fp32"]}
    host = replace(HOST, processor=ODD)
    shown = markdown(compare(bench(rounds), bench(rounds, host=host)))
    found = tables(shown)
    assert len(found) == 3
    for table in found:
        assert {len(row) for row in table} == {len(table[0])}


def test_nothing_in_a_name_is_markdown_html_or_a_mention():
    rounds = {ODD: STEADY["edge-s fp32"]}
    shown = markdown(compare(bench(rounds), bench(rounds)))
    row = next(line for line in shown.splitlines() if "my" in line)
    name = cells(row)[0]
    assert name.startswith("<code>my&#124;odd&#96;&#60;b&#62;net&#42;&#95;&#91;x&#93;(y) &#92; ")
    assert not set(name.removeprefix("<code>").removesuffix("</code>")) & set("<>|`*_[]\\@$")


def test_a_note_is_plain_text_in_markdown():
    shown = markdown(compare(replace(bench(), notes=("see <img> @me *now*",)), bench()))
    assert "- A: see &#60;img&#62; &#64;me &#42;now&#42;" in shown


def test_markdown_begins_with_how_it_came_out_and_folds_the_rest_away():
    mixed = {**STEADY, "edge-n fp32": SLOWER["edge-n fp32"]}
    shown = markdown(compare(bench(), bench(mixed)))
    assert shown.startswith(
        "### crispstream bench: 2 slower, 2 no difference (two runs, not in turns)\n"
    )
    assert markdown(compare(plan(), plan())).startswith("### crispstream plan: 1 not tested\n")
    main, distributions = tables(shown)
    assert main[0] == ["variant", "scope", "A", "B", "B / A (99 %)", "verdict"]
    assert [row[-1] for row in main[2:]] == ["**slower**"] * 2 + ["no difference"] * 2
    assert distributions[0][2:] == ["p50", "p90", "p95", "p99", "p99.9", "max", "jitter"]
    assert shown.count("<details>\n<summary>") == shown.count("\n\n</details>") == 1


def test_the_comment_stays_short_however_much_differs():
    layers = {f"/body/convolution_{n}/Conv": 1.0 + n for n in range(300)}
    packages = {f"package-{n}": "1" for n in range(200)}
    slower = {name: 1.1 * middle_ms for name, middle_ms in layers.items()}
    b = replace(profile(layers_ms=slower), host=replace(HOST, packages=packages))
    shown = markdown(compare(profile(layers_ms=layers), b))
    assert len(shown) < 10_000
    assert "may be the reason:** (and 172 more)" in shown
    assert shown.count("| `/body/") == MOST_LAYERS
    assert "Layers that changed most, 10 of 300, by ONNX node" in shown
    other = profile(layers_ms={"/other": 1.0})
    assert ", 294 more\n" in text(compare(profile(layers_ms=layers), other))


def test_what_only_one_has_is_listed():
    a = bench({**STEADY, "edge-m fp32": STEADY["edge-s fp32"]})
    assert "only in A: edge-m fp32 engine, edge-m fp32 end_to_end" in text(compare(a, bench()))
    assert "Only in B: `edge-m fp32 engine`, `edge" in markdown(compare(bench(), a))
