"""Committed results have one form, and their claims hold; speed itself is never tested here."""

import itertools
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from benchmarks import common

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = sorted(
    path
    for path in (BENCHMARKS / "results").glob("*.json")
    if not path.name.startswith("gpu_check-")  # of another form, with tests of its own
)


def faults(content: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a result; empty for a good one."""
    keys = {"schema", "benchmark", "created", "host", "settings", "figures", "limits"}
    if set(content) != keys:
        return [f"keys {sorted(set(content) ^ keys)} are missing or too many"]
    found = []
    if content["schema"] != common.SCHEMA:
        found.append(f"schema is {content['schema']}")
    if datetime.fromisoformat(content["created"]).utcoffset() is None:
        found.append("created has no time zone")
    missing = {"processor", "cores", "system", "python", "packages", "load_average"}
    found += [f"host lacks {key}" for key in sorted(missing - set(content["host"]))]
    found += [] if content["figures"] else ["no figures"]
    for name, limit in content["limits"].items():
        bounds = set(limit) - {"value", "met"}
        if not bounds or bounds - {"at_most", "at_least"}:
            found.append(f"limit {name} has keys {sorted(limit)}")
        elif limit["met"] != common.Limit(limit["value"], **{k: limit[k] for k in bounds}).met:
            found.append(f"limit {name} says met = {limit['met']} wrongly")
    return found


def example(value: float) -> dict[str, Any]:
    limits = {"ratio": common.Limit(value, 1.1)}
    return common.result("x", settings={"n": 1}, figures={"y_ms": 2.0}, limits=limits)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_committed_results_keep_the_form(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert faults(content) == []
    assert content["benchmark"] == path.stem
    assert (BENCHMARKS / f"{path.stem}.py").is_file()


def test_new_results_have_the_form() -> None:
    made = json.loads(json.dumps(example(1.0)))
    assert faults(made) == []
    assert made["limits"]["ratio"] == {"value": 1.0, "at_most": 1.1, "met": True}
    assert example(1.2)["limits"]["ratio"]["met"] is False
    assert common.Limit(0.5, at_least=0.5).met
    assert not common.Limit(0.4, at_least=0.5).met


def test_a_result_that_boasts_is_found() -> None:
    boasting = example(1.2)
    boasting["limits"]["ratio"]["met"] = True
    assert faults(boasting) == ["limit ratio says met = True wrongly"]
    assert faults({**example(1.0), "schema": 2}) == ["schema is 2"]
    assert faults({"schema": 1})


def test_paired_ratio_takes_out_what_both_felt() -> None:
    slow_minutes = np.array([1.0, 5.0, 1.0, 3.0, 1.0])
    ratio = common.paired_ratio((1.2 * slow_minutes).tolist(), slow_minutes.tolist())
    assert ratio.median == pytest.approx(1.2)
    assert ratio.low == pytest.approx(1.2)
    assert ratio.high == pytest.approx(1.2)


def test_interval_holds_the_median_and_widens_with_the_spread() -> None:
    rng = np.random.default_rng(3)
    narrow = common.paired_ratio((1 + 0.01 * rng.standard_normal(15)).tolist(), [1.0] * 15)
    wide = common.paired_ratio((1 + 0.2 * rng.standard_normal(15)).tolist(), [1.0] * 15)
    assert narrow.low <= narrow.median <= narrow.high
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_looped_sample_repeats_the_sample(tmp_path: Path) -> None:
    common.write_looped_sample(tmp_path / "long.mp4", 2)
    with av.open(str(tmp_path / "long.mp4")) as container:
        pictures = [(frame.pts, frame.to_ndarray()) for frame in container.decode(video=0)]
    times = [pts for pts, _ in pictures]
    assert len(times) == 60
    assert len({later - earlier for earlier, later in itertools.pairwise(times)}) == 1
    for place in (0, 9, 29):
        np.testing.assert_array_equal(pictures[place][1], pictures[30 + place][1])
