"""Ranges of activations: what is measured, the file, and the cache."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.histogram import Histogram
from crispstream.calib.quantise.methods import Range
from crispstream.calib.quantise.ranges import (
    Ranges,
    cache_folder,
    cached,
    digest_of,
    hash_of_pixels,
    measure,
    ranges_as_json,
    ranges_from,
    read_ranges,
)
from crispstream.core.errors import UsageError
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture

GRAPH = "a" * 64
RANGES = Ranges(
    GRAPH,
    "5" * 64,
    "mse",
    8,
    {"wide": Range(3.0, 0.0, 3.0), "sum": Range(2.5, -2.5, 1.0)},
    ("synth://noise",),
    {"measured_on": "calibration set", "figures": {"noise": {"mean": 1.5}}},
    ("0123456789abcdef",),
)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_measuring_sees_all_values_of_all_frames():
    frames = [soft_picture(seed, 16, 24) for seed in range(3)]
    told = []
    found = measure(
        GraphView(edge_like()), ["levels", "wide"], iter(frames), lambda: told.append(1)
    )
    assert len(told) == 3
    assert found["levels"].values == 3 * 16 * 24 * 3
    assert (found["levels"].low, found["levels"].high) == (0, max(f.max() for f in frames))
    assert found["wide"].values == 3 * 16 * 24 * 16
    assert found["wide"].low == 0


def test_each_tensor_gets_the_range_of_the_method():
    seen = {"a": Histogram(), "zeros": Histogram()}
    seen["a"].add("a", np.array([-1, 2], np.float32))
    seen["zeros"].add("zeros", np.zeros(3, np.float32))
    found = ranges_from(seen, "max")
    assert found["a"] == Range(2, -1, 2)
    assert found["zeros"].low < found["zeros"].high


def test_a_range_that_was_not_measured_names_the_tensor():
    assert RANGES.of("sum") == Range(2.5, -2.5, 1.0)
    with pytest.raises(UsageError, match="have none for the tensor 'other'"):
        RANGES.of("other")


def test_the_file_brings_everything_back(tmp_path):
    path = write(tmp_path / "ranges.json", ranges_as_json(RANGES))
    assert read_ranges(path, GRAPH) == RANGES
    content = json.loads(path.read_text())
    assert (content["schema"], content["kind"]) == (1, "ranges")
    assert content["tensors"]["sum"] == {"amax": 2.5, "low": -2.5, "high": 1.0}


def test_ranges_of_another_graph_are_refused_and_fine_tuned_ones_fit_any(tmp_path):
    path = write(tmp_path / "ranges.json", ranges_as_json(RANGES))
    with pytest.raises(UsageError, match=r"another graph .*aaaaaaaaaaaa.*bbbbbbbbbbbb.*--set"):
        read_ranges(path, "b" * 64)
    tuned = replace(RANGES, graph_sha256=None)
    assert read_ranges(write(path, ranges_as_json(tuned)), "b" * 64) == tuned


def without(name):
    return {key: value for key, value in ranges_as_json(RANGES).items() if key != name}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a file of the kind 'ranges'"),
        ({"kind": "quantisation plan", "schema": 1}, "is not a file of the kind 'ranges'"),
        ({**without("schema"), "schema": 2}, "has schema 2, this kit reads 1"),
        (without("tensors"), "holds no ranges"),
        (without("set_sha256"), "holds no ranges"),
        ({**without("tensors"), "tensors": {"a": {"amax": 1}}}, "holds no ranges"),
        ({**without("tensors"), "tensors": ["a"]}, "holds no ranges"),
        ({**without("tensors"), "tensors": {"a": "wide"}}, "holds no ranges"),
        ({**without("frames"), "frames": "many"}, "holds no ranges"),
    ],
)
def test_files_that_hold_none_are_refused(tmp_path, content, words):
    with pytest.raises(UsageError, match=words):
        read_ranges(write(tmp_path / "ranges.json", content), GRAPH)


@pytest.mark.parametrize(
    ("amax", "low", "high"), [(0, -1, 1), (-1, -1, 1), (1, 0.5, 1), (1, -1, -0.5), (1, 0, 0)]
)
def test_empty_ranges_are_refused_by_name(tmp_path, amax, low, high):
    odd = {"wide": {"amax": amax, "low": low, "high": high}}
    path = write(tmp_path / "ranges.json", {**ranges_as_json(RANGES), "tensors": odd})
    with pytest.raises(UsageError, match="range of wide is empty"):
        read_ranges(path, GRAPH)


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be read .*calibration/ranges\.json"):
        read_ranges(tmp_path / "none.json", GRAPH)


class Maker:
    """Makes ranges and counts how often."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return RANGES


def test_ranges_of_a_digest_are_made_once(cache_home):
    make = Maker()
    assert cached("abc", make) == (RANGES, False)
    assert cached("abc", make) == (RANGES, True)
    assert cached("other", make) == (RANGES, False)
    assert make.times == 2
    assert cache_folder() == cache_home / "crispstream" / "ranges"
    assert sorted(path.name for path in cache_folder().iterdir()) == ["abc.json", "other.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"tensors": {"a": {"amax": 0}}}'])
def test_a_damaged_cache_is_made_again(content):
    make = Maker()
    cached("abc", make)
    (cache_folder() / "abc.json").write_text(content)
    assert cached("abc", make) == (RANGES, False)
    assert cached("abc", make) == (RANGES, True)


def test_a_cache_that_cannot_be_written_is_done_without(cache_home):
    cache_home.write_text("a file where the folder should be")
    assert cached("abc", Maker()) == (RANGES, False)


def test_without_xdg_the_cache_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache/crispstream/ranges"


def test_the_digest_tells_graph_set_method_and_tensors_apart():
    base = ("a", "b", "mse", ["x", "y"])
    changed = [
        ("A", "b", "mse", ["x", "y"]),
        ("a", "B", "mse", ["x", "y"]),
        ("a", "b", "max", ["x", "y"]),
        ("a", "b", "mse", ["x"]),
    ]
    assert digest_of(*base) == digest_of("a", "b", "mse", ["y", "x"])
    assert len({digest_of(*parts) for parts in [base, *changed]}) == 5


def test_a_frame_is_named_by_its_pixels():
    frame = soft_picture(0, 8, 8)
    assert hash_of_pixels(frame) == hash_of_pixels(frame[:, ::-1].copy()[:, ::-1])
    assert hash_of_pixels(frame) != hash_of_pixels(frame + 1)
