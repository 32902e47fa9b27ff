"""The architecture search: what candidates cost, how logs become results, the chart."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from benchmarks import architectures
from benchmarks.architectures_network import BASES, Candidate, Shape
from benchmarks.architectures_plot import Point, chart, front
from benchmarks.architectures_training import Training, gain_db, restored, train_candidate
from benchmarks.architectures_variants import VARIANTS
from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import UsageError
from crispstream.export.graph import ByteGraph, macs_per_lr_pixel
from crispstream.train.evaluate import Sample
from tests.helpers.pictures import soft_picture

SMALL = Shape(8, 8, 8, sharpen=0, encode=0, bottom=1, decode=0)
CHANGES = (
    {},
    {"quarter": 0},
    {"gate": False, "up": "shuffle"},
    {"up": "shuffle"},
    {"head": "unshuffle"},
    {"tail": 1, "post": 1, "narrow": 4},
    {"base": "bicubic", "rep": False},
    {"base": "nearest", "bound": 0.25, "sharpen": 1, "encode": 1, "decode": 1},
)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "-".join(changes) or "plain")
def test_the_cost_is_that_of_the_deployed_graph(changes: dict[str, Any]) -> None:
    shape = replace(SMALL, **changes)
    base = BASES[shape.base]().numel()
    counted = macs_per_lr_pixel(Candidate(shape).deployed()) - base  # type: ignore[arg-type]
    assert counted == pytest.approx(1e3 * shape.kmac_per_lr_pixel(), abs=1)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "-".join(changes) or "plain")
def test_the_deployed_graph_restores_as_the_candidate_does(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    candidate = Candidate(replace(SMALL, **changes)).eval()
    with torch.no_grad():
        for parameter in candidate.tail.layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    frame = soft_picture(0, 16, 24)
    graph = ByteGraph(candidate.deployed(), "fp32")  # type: ignore[arg-type]
    deployed = graph(torch.from_numpy(frame)[None])[0][0].numpy()
    wanted = restored(candidate, frame)
    assert np.abs(deployed.astype(int) - wanted).max() <= 1
    assert (wanted != upscale_x4(frame)).mean() > 0.5


def test_a_bound_holds() -> None:
    bounded = Candidate(replace(SMALL, bound=0.125))
    with torch.no_grad():
        bounded.tail.layer.conv.weight.mul_(1e5)
    x = torch.rand(1, 3, 16, 16)
    largest = float(bounded.residual(x).detach().abs().max())
    assert 0.12 < largest <= 0.125


def test_the_bicubic_base_is_the_one_bicubic() -> None:
    candidate = Candidate(replace(SMALL, base="bicubic"))
    with torch.no_grad():
        for parameter in candidate.tail.parameters():
            parameter.zero_()
    frame = soft_picture(3, 16, 16)
    inside = slice(12, -12)  # at the border bicubic mirrors, the base repeats
    off = restored(candidate, frame)[inside, inside].astype(int) - upscale_x4(frame)[inside, inside]
    assert np.abs(off).max() <= 1


def test_every_candidate_is_another_one() -> None:
    assert len(set(VARIANTS.values())) == len(VARIANTS)


class Crops:
    """Samples in memory: sharp crops and every fourth pixel of them."""

    names = ("a",)

    def __len__(self) -> int:
        return 4

    def sample(self, index: int) -> dict[str, Any]:
        hr = soft_picture(index, 64, 64)
        return {"lr": hr[1::4, 1::4], "hr": hr}


def test_a_candidate_learns_and_is_judged() -> None:
    training = Training(steps=20, batch=2, patch_px=8, learning_rate=5e-3)
    done = train_candidate(lambda: Candidate(SMALL), Crops(), training)
    torch.manual_seed(training.seed)
    fresh = Candidate(SMALL).eval()
    pairs = [Sample("a", **Crops().sample(number)) for number in range(4)]
    assert gain_db(done.network, iter(pairs)) > gain_db(fresh, iter(pairs))
    with pytest.raises(UsageError, match="adam"):
        Training(optimizer="sgd")


GAINS = {"weak": 0.6, "medium": 0.5, "strong": 0.4, "still": 0.5, "noisy": 0.3, "real": 0.2}


def row(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "kmac": 1, "steps": 3000, "cpu": 154, "wall": 155, **GAINS, **changes}


def test_a_log_becomes_figures() -> None:
    rows = [
        row("s-A"),
        row("4-P2_muon_0.05", weak=0.9),
        row("4-P2_muon_0.05"),
        {"name": "warm", "kmac": 46.4, "steps": 60, "cpu": 4, "wall": 5, "weak": -0.5},
        row("F", series="muon 0.02, 100 steps", shape=asdict(SMALL)),
    ]
    figures = architectures.taken(rows)
    assert list(figures) == ["s-A", "4-P2_muon_0.05", "F"]
    first = figures["s-A"]
    assert (first["variant"], first["series"], first["steps"]) == ("A", "s: adam 0.002", 3000)
    assert Shape(**first["shape"]) == VARIANTS["A"]
    assert first["kmac_per_lr_pixel"] == 46.4
    assert first["gain_db"] == {**GAINS, "synthetic": 0.5}
    assert figures["4-P2_muon_0.05"]["gain_db"]["weak"] == 0.6
    assert figures["4-P2_muon_0.05"]["shape"]["rep"] is False
    assert figures["F"]["series"] == "muon 0.02, 100 steps"
    assert figures["F"]["shape"] == asdict(SMALL)
    json.dumps(figures)


def test_the_front_is_what_nothing_beats() -> None:
    costs_gains = [(1, 0.1), (2, 0.1), (2, 0.3), (3, 0.2), (4, 0.3), (5, 0.4), (1, 0.05)]
    points = [Point(f"{cost}", "", cost, gain) for cost, gain in costs_gains]
    best = [(point.cost, point.gain_db) for point in front(points)]
    assert best == [(1, 0.1), (2, 0.3), (5, 0.4)]
    assert front([]) == []


def test_the_chart_has_a_mark_for_each_candidate_and_a_panel_for_each_cost() -> None:
    figures = architectures.taken([row("s-A"), row("s-F"), row("4-P2_muon_0.05", weak=0.7)])
    only = ElementTree.fromstring(architectures.drawn(figures))
    space = "{http://www.w3.org/2000/svg}"
    assert len(only.findall(f".//{space}title")) == 3
    assert len(only.findall(f".//{space}text[@class='title']")) == 1
    figures["s-A"]["cpu_ms"] = 20.0
    both = chart(figures, architectures.COSTS, "synthetic")
    assert len(ElementTree.fromstring(both).findall(f".//{space}text[@class='title']")) == 2
    assert "milliseconds" in both


def test_without_a_result_there_is_nothing_to_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architectures, "RESULTS", tmp_path)
    with pytest.raises(UsageError, match="--take"):
        architectures._committed()


def test_shapes_travel_as_json() -> None:
    for shape in VARIANTS.values():
        assert Shape(**json.loads(json.dumps(asdict(shape)))) == shape
