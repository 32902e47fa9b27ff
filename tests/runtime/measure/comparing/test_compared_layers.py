import random

import pytest

from crispstream.runtime.measure.comparing.layers import (
    ADDED,
    ONLY,
    Part,
    joined,
    planned_parts,
    timed_parts,
)
from tests.helpers.compared import layer_time, planned


def times(rows) -> dict[str, tuple[float, float]]:
    return {row.name: (pytest.approx(row.a_ms), pytest.approx(row.b_ms)) for row in rows}


def test_what_one_engine_fused_is_compared_with_the_parts_of_the_other_together():
    fused = [Part(("conv", "relu", "add"), 5.0), Part(("tail",), 1.0)]
    split = [Part(("conv",), 3.0), Part(("relu",), 1.0), Part(("add",), 2.0), Part(("tail",), 1.5)]
    assert times(joined(fused, split).rows) == {"conv": (5.0, 6.0), "tail": (1.0, 1.5)}


def test_layers_that_share_nodes_through_others_are_one_step():
    a = [Part(("one", "two"), 1.0), Part(("three",), 1.0)]
    b = [Part(("two", "three"), 1.0), Part(("one",), 0.5)]
    assert times(joined(a, b).rows) == {"one": (2.0, 1.5)}


def test_a_node_that_an_engine_split_is_added_up():
    assert times(joined([Part(("conv",), 1.0)] * 3, [Part(("conv",), 2.0)]).rows) == {
        "conv": (3.0, 2.0)
    }


def test_a_step_is_called_after_the_first_node_that_both_have():
    a = [Part(("conv.quantised", "conv", "relu"), 1.0)]
    assert times(joined(a, [Part(("relu", "conv"), 2.0)]).rows) == {"conv": (1.0, 2.0)}


def test_what_both_do_not_share_makes_the_sides_whole():
    a = [Part(("conv",), 4.0), Part((), 0.5), Part((), 0.25), Part(("quantise",), 0.1)]
    b = [Part(("conv",), 6.0), Part(("pad",), 0.3), Part(("pad.2",), 0.3)]
    found = joined(a, b)
    assert times(found.rows) == {"conv": (4.0, 6.0)}
    assert times(found.rest) == {
        ADDED: (0.75, 0.0),
        ONLY.format("A"): (0.1, 0.0),
        ONLY.format("B"): (0.0, 0.6),
    }
    assert (found.only_a, found.only_b) == (("quantise",), ("pad", "pad.2"))


def test_every_layer_is_in_one_row_whatever_was_fused():
    for seed in range(50):
        chance = random.Random(seed)
        nodes = [f"n{number}" for number in range(12)]
        sides = []
        for _ in "ab":
            chosen = [node for node in nodes if chance.random() < 0.9]
            parts = []
            while chosen:
                cut = chance.randint(1, 3)
                parts.append(Part(tuple(chosen[:cut]), chance.random()))
                chosen = chosen[cut:]
            sides.append([*parts, Part((), chance.random())])
        found = joined(*sides)
        rows = [*found.rows, *found.rest]
        assert len({row.name for row in rows}) == len(rows)
        for side, of_side in zip(sides, ("a_ms", "b_ms"), strict=True):
            total_ms = sum(part.milliseconds for part in side)
            assert sum(getattr(row, of_side) for row in rows) == pytest.approx(total_ms)


def test_measured_times_are_told_where_every_layer_of_a_step_has_one():
    known = [Part(("conv",), 1.0, 2.0), Part(("conv",), 1.0, 3.0)]
    assert joined(known, known).rows[0].figures == {"measured_ms": (5.0, 5.0)}
    assert joined(known, [Part(("conv",), 1.0)]).rows[0].figures == {}
    assert joined(known, [*known, Part(("conv",), 1.0)]).rows[0].figures == {}


def test_nothing_joins_to_nothing():
    assert joined((), ()) == ([], [], (), ())


def test_parts_are_medians_of_a_profile_and_roofs_of_a_plan():
    assert timed_parts([layer_time("conv", 2.0)]) == [Part(("conv",), 2.0)]
    assert planned_parts([planned("conv", 2.0)]) == [Part(("conv",), 2.0, None)]
