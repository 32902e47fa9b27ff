import json
from dataclasses import replace

import numpy as np
import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.comparing.compare import compare_records, slower_than
from crispstream.runtime.measure.comparing.record import Comparison
from crispstream.runtime.measure.comparing.rows import MOST_BLOCKS
from crispstream.runtime.measure.figures import Misses
from crispstream.runtime.measure.from_json import from_json
from crispstream.runtime.measure.records import RunRecord
from tests.helpers import compared
from tests.helpers.compared import SETTINGS, STEADY, bench, plan, profile, run_content

N, S = STEADY["edge-n fp32"], STEADY["edge-s fp32"]


def run(**changed):
    return from_json(RunRecord, run_content(**changed))


def compare(a, b) -> Comparison:
    return compare_records(a, b, "a.json", "b.json")


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {f"{row.name} {row.scope}".strip(): row.verdict for row in comparison.rows}


def times(series, by: float) -> list[float]:
    return [by * value for value in series]


def test_variants_are_joined_by_name_whatever_their_order():
    comparison = compare(
        bench({"edge-n fp32": N, "edge-s fp32": S}),
        bench({"edge-s fp32": S, "edge-n fp32": times(N, 1.2)}),
    )
    assert verdicts(comparison) == {
        "edge-n fp32 engine": "slower",
        "edge-n fp32 end_to_end": "slower",
        "edge-s fp32 engine": "no difference",
        "edge-s fp32 end_to_end": "no difference",
    }
    first = comparison.rows[0]
    assert first.ratio == first.tested.median == pytest.approx(1.2)
    assert first.tested.low < 1.2 < first.tested.high
    assert first.tested.confidence == 0.99
    assert (first.a_ms, first.b_ms) == (pytest.approx(10.0), pytest.approx(12.0))


def test_b_is_compared_with_a_and_not_the_other_way_round():
    slow, quick = bench({"edge-n fp32": times(N, 1.2)}), bench({"edge-n fp32": N})
    assert set(verdicts(compare(slow, quick)).values()) == {"faster"}
    assert set(verdicts(compare(quick, slow)).values()) == {"slower"}


def test_what_only_one_has_is_named():
    comparison = compare(bench({"edge-n fp32": N, "edge-s fp32": S}), bench({"edge-n fp32": N}))
    assert comparison.only_a == ("edge-s fp32 engine", "edge-s fp32 end_to_end")
    assert comparison.only_b == ()
    assert [row.name for row in comparison.rows] == ["edge-n fp32"] * 2


def test_the_surer_of_two_confidences_is_kept():
    a, b = bench(), bench(settings=replace(SETTINGS, confidence=0.9))
    assert compare(a, b).rows[0].tested.confidence == 0.99
    assert compare(b, b).rows[0].tested.confidence == 0.9


@pytest.mark.parametrize("rounds", [N[:7], (*N[:7], 0.0)])
def test_what_is_too_short_or_took_no_time_is_not_tested(rounds):
    comparison = compare(bench({"edge-n fp32": N}), bench({"edge-n fp32": rounds}))
    row = comparison.rows[0]
    assert (row.verdict, row.tested) == ("not tested", None)
    assert row.ratio == pytest.approx(row.b_ms / row.a_ms)


def test_a_time_of_nothing_has_no_ratio():
    zero = bench({"edge-n fp32": [0.0] * 8})
    assert compare(zero, bench({"edge-n fp32": N})).rows[0].ratio is None


def test_a_long_bench_is_tested_on_as_many_blocks_as_a_short_one():
    rng = np.random.default_rng(0)
    long = [float(value) for value in rng.uniform(9, 11, 12 * MOST_BLOCKS + 5)]
    row = compare(bench({"edge-n fp32": long}), bench({"edge-n fp32": times(long, 1.03)})).rows[0]
    assert row.tested.pairs <= MOST_BLOCKS
    assert row.ratio == pytest.approx(1.03)
    assert row.verdict == "slower"


def test_the_rest_of_the_distribution_is_kept_and_misses_as_shares():
    figures = compare(bench(), bench()).rows[0].figures
    assert figures["p99_ms"] == (pytest.approx(13.0), pytest.approx(13.0))
    assert "missed_share" not in figures
    missing = bench({"edge-n fp32": N})
    scopes = missing.variants[0].scopes
    scopes["engine"] = replace(scopes["engine"], misses=Misses(10.0, 3, 12, 2))
    scopes["end_to_end"] = replace(scopes["end_to_end"], misses=Misses(10.0, 0, 0, 0))
    engine, whole = compare(missing, missing).rows
    assert engine.figures["missed_share"] == (0.25, 0.25)
    assert whole.figures["missed_share"] == (0.0, 0.0)


def test_a_bench_says_that_the_two_were_not_interleaved_and_what_each_had_to_note():
    a, b = replace(bench(), notes=("it was throttled",)), bench()
    said = compare(a, b).notes
    assert "not measured in turns" in said[0]
    assert "crispstream bench" in said[0]
    assert said[1:] == ("A: it was throttled",)
    assert compare(a, a).notes[-1] == "A and B: it was throttled"
    assert "A and B are the same record" in compare(b, bench()).notes


def test_of_a_profile_the_whole_way_is_tested_over_time():
    way = (15.0, 15.2, 14.9, 15.1, 15.0, 14.8, 15.1, 15.0)
    layers = {"conv": 4.0, "add": 1.0, "gone": 2.0}
    comparison = compare(
        profile(way, layers_ms=layers),
        profile(times(way, 1.1), infer_ms=11.0, layers_ms={"add": 1.1, "conv": 4.9, "new": 2.0}),
    )
    assert verdicts(comparison) == {"infer": "not tested", "total": "slower"}
    assert comparison.rows[0].ratio == pytest.approx(1.1)
    layers = {row.name: (row.a_ms, row.b_ms) for row in comparison.layers}
    assert layers == {
        "(nodes of A alone)": (2.0, 0),
        "(nodes of B alone)": (0, 2.0),
        "conv": (4.0, 4.9),
        "add": (1.0, 1.1),
    }
    assert list(layers)[2:] == ["conv", "add"]
    assert {row.verdict for row in comparison.layers} == {"not tested"}
    assert (comparison.only_a, comparison.only_b) == (("layer gone",), ("layer new",))
    assert comparison.figures["engine_ms"] == (10.0, 11.0)
    assert comparison.figures["run.frames_per_second"] == (66.0, 66.0)
    assert "efficiency" in comparison.figures


def test_a_mere_rest_of_a_run_is_no_stretch_to_test():
    whole, short = profile(), profile()
    rest = replace(whole.timeline[0], count=3, mean_ms=900.0)
    longer = replace(whole, timeline=(*whole.timeline, rest))
    assert compare(longer, short).rows[1].tested == compare(whole, short).rows[1].tested


def test_profiles_without_layers_have_none_and_without_a_time_line_no_test():
    comparison = compare(profile(), replace(profile(layers_ms={"conv": 1.0}), timeline=()))
    assert comparison.layers == ()
    assert set(verdicts(comparison).values()) == {"not tested"}


def test_plans_are_joined_by_layer():
    comparison = compare(plan({"/conv": 0.5, "/add": 0.1}), plan({"/conv": 0.2, "/mul": 0.3}))
    conv = next(row for row in comparison.layers if row.name == "/conv")
    assert (conv.a_ms, conv.b_ms, conv.ratio) == (0.5, 0.2, pytest.approx(0.4))
    assert verdicts(comparison) == {"whole graph": "not tested"}
    assert (comparison.only_a, comparison.only_b) == (("layer /add",), ("layer /mul",))
    assert comparison.figures["macs"] == (2000, 2000)


def test_reports_of_runs_are_joined_by_stage_and_nothing_is_tested():
    comparison = compare(run(), run(frames_per_second=33.0))
    assert verdicts(comparison) == dict.fromkeys(("decode", "infer", "total"), "not tested")
    assert comparison.figures["frames_per_second"] == (66.0, 33.0)
    assert "nothing is tested" in comparison.notes[0]


def test_two_kinds_are_refused():
    with pytest.raises(
        UsageError, match=r"'a.json' is of kind bench and 'b.json' of kind run.*two"
    ):
        compare(bench(), run())


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (
            bench({"edge-n fp32": N}),
            bench({"edge-s fp32": S}),
            "no variants and scopes of one name: edge-n fp32 engine, .* share a name",
        ),
        (plan({"a": 1.0}), plan({"b": 1.0}), "no layers of one name: a in the first, b in the"),
        (run(), run(stages={"x": {"p50_ms": 1.0}}), "no stages of one name"),
        (
            plan({f"l{n}": 1.0 for n in range(9)}),
            plan({"b": 1.0}),
            "l0, l1, l2, l3 and 5 more in the first",
        ),
    ],
)
def test_nothing_in_common_is_refused_with_what_each_has(a, b, words):
    with pytest.raises(UsageError, match=words):
        compare(a, b)


def test_slower_than_wants_the_whole_interval_above():
    comparison = compare(bench({"edge-n fp32": N}), bench({"edge-n fp32": times(N, 1.12)}))
    engine, whole = comparison.rows
    assert 1.05 < whole.tested.low < engine.tested.low < 1.12
    assert slower_than(comparison, 0) == slower_than(comparison, 5) == [engine, whole]
    assert slower_than(comparison, 100 * (whole.tested.low - 1) + 0.01) == [engine]
    assert slower_than(comparison, 12) == []


def test_slower_than_looks_at_no_copies_and_only_at_the_whole_way_of_a_profile():
    a, b = (bench({"edge-n fp32": series}) for series in (N, times(N, 2)))
    for record in (a, b):
        scopes = record.variants[0].scopes
        scopes["copies"] = scopes.pop("end_to_end")
    assert [row.scope for row in slower_than(compare(a, b), 5)] == ["engine"]
    assert slower_than(compare(profile(infer_ms=1.0), profile(infer_ms=9.0)), 5) == []


@pytest.mark.parametrize("record", [plan(), run(), bench({"edge-n fp32": N[:4]})])
def test_slower_than_does_not_pass_where_nothing_could_be_tested(record):
    with pytest.raises(UsageError, match="--fail-slower-than has nothing to judge"):
        slower_than(compare(record, record), 5)


def test_the_record_of_a_comparison_is_json_and_says_what_it_is():
    for record in (bench(), profile(layers_ms={"a": 1.0}), plan(), run()):
        content = json.loads(json.dumps(compare(record, record).as_json(), allow_nan=False))
        assert list(content)[:2] == ["kind", "schema"]
        assert (content["kind"], content["schema"], content["of"]) == ("comparison", 1, record.kind)


def drifting(seed: int, rounds: int, by: float = 1.0) -> list[float]:
    """Return rounds of 10 ms: 2 % of noise, and 3 % of drift that lasts a twentieth of the run."""
    rng = np.random.default_rng(seed)
    keeps = np.exp(-20 / rounds)
    drift = [rng.normal()]
    for _ in range(rounds - 1):
        drift.append(keeps * drift[-1] + np.sqrt(1 - keeps**2) * rng.normal())
    noise = np.abs(rng.normal(size=rounds))
    return [float(ms) for ms in 10 * by * np.exp(0.03 * np.array(drift) + 0.02 * noise)]


@pytest.mark.slow
def test_two_runs_of_one_thing_that_drift_inside_differ_in_at_most_5_of_100():
    found = []
    for seed in range(100):
        series = [compared.measured(drifting(2 * seed + side, 40)) for side in (0, 1)]
        records = [_of_engine(measured) for measured in series]
        found.append(compare(*records).rows[0].verdict)
    assert found.count("no difference") >= 95


def _of_engine(measured):
    made = bench({"edge-n fp32": N})
    return replace(made, variants=(replace(made.variants[0], scopes={"engine": measured}),))


def test_a_drift_between_two_runs_cannot_be_told_from_a_slower_network():
    steady = {"edge-n fp32": N}
    hot = {"edge-n fp32": times(N, 1.1)}
    assert compare(bench(steady), bench(hot)).rows[0].verdict == "slower"
