"""What a bench says at a terminal."""

from dataclasses import replace

import pytest
from rich.console import Console

from crispstream.runtime.measure.bench.record import BenchRecord
from crispstream.runtime.measure.bench.summary import lines_of, print_bench, table_of
from crispstream.runtime.measure.figures import Ratio, Reading
from tests.helpers.records import bench_record


def printed(record: BenchRecord) -> str:
    console = Console(width=80, record=True, quiet=False, force_terminal=False)
    with console.capture() as captured:
        print_bench(record, console)
    return captured.get()


def test_it_fits_80_columns() -> None:
    lines = printed(bench_record()).splitlines()
    assert max(map(len, lines)) <= 80
    assert "frames of 320x180 px" in lines[0]


def test_a_table_has_the_percentiles_and_a_line_for_each_variant() -> None:
    head, rule, *rows = table_of(bench_record(), "engine")
    assert head.split() == [
        *("engine", "alone", "p50", "p90", "p95", "p99", "max", "jitter", "frames/s")
    ]
    assert set(rule) == {"-"}
    assert [" ".join(row.split()[:2]) for row in rows] == [
        "edge-s fp32",
        "edge-s int8-cpu",
        "edge-m int8-cpu",
    ]
    assert len({len(row) for row in rows}) == 1


def test_a_percentile_that_was_asked_for_is_in_the_table() -> None:
    record = bench_record()
    first = record.variants[0]
    engine = first.scopes["engine"]
    told = {**engine.spread.percentiles_ms, "99.5": 31.4, "75": 21.0}
    engine = replace(engine, spread=replace(engine.spread, percentiles_ms=told))
    variants = (replace(first, scopes={"engine": engine}), *record.variants[1:])
    head, _, row, *_ = table_of(replace(record, variants=variants), "engine")
    assert head.split()[2:9] == ["p50", "p75", "p90", "p95", "p99", "p99.5", "max"]
    assert "31.4" in row


def test_a_name_that_is_too_long_has_a_line_of_its_own() -> None:
    record = bench_record()
    long = "edge-s fp32 (/a/long/way/to/a/bundle/of/that/name/edge-s)"
    variants = (replace(record.variants[0], name=long), *record.variants[1:])
    lines = table_of(replace(record, variants=variants), "copies", width=80)
    assert lines[2] == long
    assert max(map(len, lines)) <= 80


def test_comparisons_have_an_interval_and_a_verdict() -> None:
    record = bench_record()
    level, slower = Ratio(1.01, 0.98, 1.03, 29), Ratio(1.2, 1.1, 1.3, 29)
    ratios = {
        "edge-s int8-cpu": {"engine": Ratio(0.52, 0.51, 0.53, 29)},
        "edge-m int8-cpu": {"engine": level, "copies": slower},
    }
    lines = lines_of(replace(record, ratios=ratios))
    assert lines[0] == "time over that of edge-s fp32, 99 % interval, 29 rounds:"
    assert lines[1:4] == [
        "  engine alone edge-s int8-cpu 0.520 (0.510 to 0.530) faster",
        "               edge-m int8-cpu 1.010 (0.980 to 1.030) no difference",
        "  with copies  edge-m int8-cpu 1.200 (1.100 to 1.300) slower",
    ]


def test_misses_are_told_where_there_is_a_deadline() -> None:
    assert "frames over 33 ms:" in lines_of(bench_record(deadline_ms=33.0))
    assert not any("frames over" in line for line in lines_of(bench_record(deadline_ms=None)))


def test_scopes_warm_up_and_the_cost_of_measuring_are_told() -> None:
    said = "\n".join(lines_of(bench_record()))
    assert "engine alone: the network alone" in said
    assert "Beside trtexec: GPU Compute Time of trtexec 10 and 11" in said
    assert "18 frames untimed" in said
    assert "240 frames of each variant and scope" in said
    assert "measuring took 0.04 % of the shortest median" in said


def test_notes_come_before_the_explanations() -> None:
    lines = lines_of(replace(bench_record(), notes=("the GPU was throttled",)))
    assert lines.index("note: the GPU was throttled") < lines.index("")


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        ((), "the machine tells nothing of its clocks"),
        ((Reading(0.0, {"cpu_clock_mhz": 2596.0}),), "the machine (once): CPU clock 2596 MHz"),
        (
            (
                Reading(0.0, {"gpu_clock_mhz": 1500.0, "gpu_throttle": ""}),
                Reading(1.0, {"gpu_clock_mhz": 1755.0, "gpu_throttle": "power cap"}),
            ),
            "GPU clock 1500 to 1755 MHz; the GPU was throttled in 1 of 2 readings",
        ),
        (
            (Reading(0.0, {"gpu_name": "NVIDIA L4", "gpu_driver": "580.1"}),),
            "GPU NVIDIA L4, driver",
        ),
    ],
)
def test_what_the_machine_told_is_summed_up(readings: tuple[Reading, ...], words: str) -> None:
    assert words in lines_of(replace(bench_record(), readings=readings))[-1]
