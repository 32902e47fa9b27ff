"""The dashboard and the page on metrics speak of metrics that there are, and of all of them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from crispstream.runtime.measure.metrics.buckets import EDGES_SECONDS
from crispstream.runtime.measure.metrics.families import CAMERA, FAMILIES, SINGLE, Family
from crispstream.runtime.measure.metrics.samples import STAGES_TOLD
from crispstream.runtime.stream.ledger import CAUSES
from crispstream.runtime.stream.watched import WATCHED_STATES

ROOT = Path(__file__).parents[4]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "examples/grafana-dashboard.json").read_text())
PAGE = (ROOT / "docs/metrics.md").read_text()
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
ALERTS = re.findall(r"expr: (.+)", PAGE)
OF_PROMETHEUS = {"instance", "job", "le"}
ROWS = dict(re.findall(r"^\| `(crispstream_\w+)` \|(.+)\|$", PAGE, re.MULTILINE))


def series(family: Family) -> set[str]:
    """The names that a metric has in queries."""
    if family.kind != "histogram":
        return {family.name}
    return {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}


SERIES = {name: family for family in FAMILIES for name in series(family)}


def selections(query: str) -> list[tuple[str, str]]:
    """The metrics of a query, each with what its braces select."""
    return re.findall(r"(crispstream_\w+)(?:\{([^}]*)\})?", query)


@pytest.mark.parametrize("query", [*QUERIES, *ALERTS])
def test_queries_ask_for_metrics_and_labels_that_there_are(query: str) -> None:
    told = {CAMERA, *OF_PROMETHEUS}
    for name, chosen in selections(query):
        family = SERIES[name]
        labels = set(re.findall(r"(\w+)(?:=|!)", chosen))
        assert labels <= {CAMERA, *family.labels, *OF_PROMETHEUS}
        told |= set(family.labels)
    for grouped in re.findall(r"(?:by|on) \(([^)]*)\)", query):
        assert set(grouped.split(", ")) <= told


@pytest.mark.parametrize("query", [*QUERIES, *ALERTS])
def test_queries_choose_values_that_there_are(query: str) -> None:
    known = {
        "state": {*WATCHED_STATES},
        "cause": {"source", *CAUSES, "sink"},
        "stage": {*STAGES_TOLD},
        "rung": {"bicubic"},
    }
    chosen = re.findall(r'(state|cause|stage|rung)[=!]~?"([^"]*)"', query)
    for label, values in chosen:
        assert set(values.split("|")) <= known[label]


@pytest.mark.parametrize("query", [*QUERIES, *ALERTS])
def test_counters_are_asked_for_as_rates_and_gauges_are_not(query: str) -> None:
    for name, _ in selections(query):
        rated = re.search(rf"(?:rate|increase)\({name}\b", query) is not None
        assert rated == (SERIES[name].kind != "gauge"), name


def test_the_dashboard_shows_every_metric_but_those_it_has_better() -> None:
    shown = {SERIES[name].name for query in QUERIES for name, _ in selections(query)}
    beside = {
        "crispstream_frames_per_second",  # as the rate of a counter, over what is looked at
        "crispstream_written_frames_total",
        "crispstream_drift_alarms_total",
    }
    assert shown == {family.name for family in FAMILIES} - beside


def test_every_query_heeds_what_is_chosen_at_the_top() -> None:
    for query in QUERIES:
        for _, chosen in selections(query):
            assert chosen.startswith('instance=~"$instance",camera=~"$camera"')
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "instance", "camera"]
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("instance", "camera"):
        assert re.fullmatch(
            rf"label_values\(crispstream_camera_state(\{{.*\}})?, {name}\)",
            variables[name]["query"]["query"],
        )


def test_the_dashboard_is_of_the_form_that_grafana_imports() -> None:
    assert DASHBOARD["id"] is None  # Grafana gives it one
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert DASHBOARD["schemaVersion"] >= 36  # data sources as type and uid
    identities = [panel["id"] for panel in PANELS]
    assert identities == list(range(1, len(PANELS) + 1))
    kinds = {"stat", "timeseries", "state-timeline", "table"}
    for panel in PANELS:
        assert panel["type"] in kinds
        assert panel["title"]
        assert {"defaults", "overrides"} == set(panel["fieldConfig"])
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert references == sorted(set(references))
    text = json.dumps(DASHBOARD)
    chosen = '"datasource": {"type": "prometheus", "uid": "${datasource}"}'
    assert text.count('"datasource": ') == text.count(chosen) > len(PANELS)


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(0 <= x < 24 for x, _ in cells), panel["title"]
        taken |= cells


def test_states_are_mapped_to_the_numbers_of_their_query() -> None:
    (panel,) = (one for one in PANELS if one["title"] == "State of each camera")
    (query,) = (target["expr"] for target in panel["targets"])
    found = re.findall(r'(\d+) \* crispstream_camera_state\{[^}]*state="(\w+)"\}', query)
    numbers = {state: number for number, state in found}
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    mapped = {one["text"]: number for number, one in mapping["options"].items()}
    assert mapped == numbers
    assert set(numbers) == set(WATCHED_STATES)


def test_the_page_has_a_row_for_each_metric() -> None:
    assert list(ROWS) == [family.name for family in FAMILIES]
    for family in FAMILIES:
        kind, labels, meaning = (cell.strip() for cell in ROWS[family.name].split("|", 2))
        assert (kind, re.findall(r"`(\w+)`", labels)) == (family.kind, list(family.labels))
        assert meaning


def test_the_page_names_states_causes_stages_and_edges() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {*WATCHED_STATES, "source", *CAUSES, "sink", *STAGES_TOLD, SINGLE, CAMERA} <= named
    (edges,) = re.findall(r"edges at ([\d., and]+) ms and ([\d., and]+) s", PAGE)
    numbers = [re.findall(r"\d+(?:\.\d+)?", part) for part in edges]
    told = [float(one) / 1e3 for one in numbers[0]] + [float(one) for one in numbers[1]]
    assert told == pytest.approx(list(EDGES_SECONDS))
