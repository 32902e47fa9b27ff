"""From names to rungs, with tiny bundles in place of the shipped ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine import models
from crispstream.runtime.engine.available import Choice
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.ladder import rungs
from crispstream.runtime.stream.ladder.rungs import named_rungs, open_ladder
from tests.helpers.bundles import four_graphs, write_tiny_bundle

CPU, GPU = "onnxruntime", "tensorrt"
MACS = {"edge-big": 30, "edge-mid": 20, "edge-small": 10, "other": 5}


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three sizes of the family, of which the smallest has nothing certified, and another."""
    folder = tmp_path / "shipped"
    fast = {"int8-cpu": {"speed_over_fp32": 1.8}, "fp16": {}, "int8": {}}
    for name in MACS:
        judged = {} if name == "edge-small" else fast
        write_tiny_bundle(folder / name, four_graphs(), name=name, judged=judged)
    monkeypatch.setattr(models, "BUNDLES", folder)
    monkeypatch.setattr(rungs, "find_model", with_macs)
    return folder


def with_macs(name: str) -> Bundle:
    """The bundle, with the work that its name stands for."""
    bundle = models.find_model(name)
    macs = MACS.get(bundle.name, 0)
    graphs = tuple(replace(graph, macs_per_lr_pixel=macs) for graph in bundle.graphs)
    return replace(bundle, graphs=graphs)


def spelt(names: str, model: str = "edge-big", precision: str = "auto", on: str = CPU) -> list[str]:
    found = named_rungs(names, model, precision, on)
    return [f"{rung.model}:{rung.precision}" for rung in found]


def test_named_rungs_stay_in_their_order() -> None:
    assert spelt("edge-mid:fp32, edge-big ,bicubic,edge-small") == [
        "edge-mid:fp32",
        "edge-big:int8-cpu",
        "bicubic:auto",
        "edge-small:fp32",
    ]


def test_what_is_named_twice_is_one_rung() -> None:
    assert spelt("edge-big,edge-big:int8,edge-big:int8-cpu") == ["edge-big:int8-cpu"]


def test_auto_goes_down_from_the_model_that_was_asked_for() -> None:
    assert spelt("auto", "edge-big") == [
        "edge-big:fp32",
        "edge-big:int8-cpu",
        "edge-mid:int8-cpu",
        "edge-small:fp32",
        "bicubic:auto",
    ]
    assert spelt("auto", "edge-small") == ["edge-small:fp32", "bicubic:auto"]
    assert spelt("auto", "bicubic") == ["bicubic:auto"]


def test_auto_begins_with_the_precision_that_was_asked_for() -> None:
    assert spelt("auto", precision="int8")[:2] == ["edge-big:int8-cpu", "edge-mid:int8-cpu"]


def test_auto_on_a_gpu_leaves_fp32_out_where_fp16_is_certified() -> None:
    assert spelt("auto", on=GPU) == [
        "edge-big:fp16",
        "edge-big:int8",
        "edge-mid:fp16",
        "edge-small:fp32",
        "bicubic:auto",
    ]
    assert spelt("auto", precision="fp32", on=GPU)[0] == "edge-big:fp32"


def test_auto_takes_every_shipped_size_below_a_bundle_that_does_not_tell_its_own(
    tmp_path: Path,
) -> None:
    own = str(write_tiny_bundle(tmp_path / "a:b", name="own").path)
    assert spelt("auto", own) == [
        f"{own}:fp32",
        "edge-big:int8-cpu",
        "edge-mid:int8-cpu",
        "edge-small:fp32",
        "bicubic:auto",
    ]
    assert spelt(own) == [f"{own}:fp32"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("edge-bog,bicubic", "did you mean 'edge-big'"),
        ("edge-big:fp23", "did you mean 'fp32'"),
        ("bicubix", "did you mean 'bicubic'"),
        ("edge-big,,bicubic", "a rung of the ladder has no name"),
        ("", "a rung of the ladder has no name"),
        ("bicubic:fp32", "bicubic has no graph in fp32"),
        ("edge-small:int8", "was never verified"),
        ("edge-big:int8-cpu:fp32", "there is no model 'edge-big:int8-cpu'"),
    ],
)
def test_bad_names_are_refused(names: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        spelt(names)


def test_what_is_not_certified_may_be_named_with_leave() -> None:
    found = named_rungs("edge-small:int8", "edge-big", "auto", CPU, allow_uncertified=True)
    assert found[0].precision == "int8-cpu"


def test_a_ladder_opens_runs_and_closes() -> None:
    with open_ladder(
        "edge-big:fp32,edge-small,bicubic", "edge-big", budget_ms=1e6, backend=CPU, threads=1
    ) as ladder:
        ladder.reserve(24, 16)
        ladder.submit(np.full((16, 24, 3), 99, np.uint8))
        assert ladder.collect().shape == (64, 96, 3)
        assert ladder.rung == "edge-big fp32"
        assert [rung.name for rung in ladder.use().rungs] == [
            "edge-big fp32",
            "edge-small fp32",
            "bicubic",
        ]
    with pytest.raises(UsageError, match="closed"):
        ladder.restorers[0].submit(np.zeros((16, 24, 3), np.uint8))


def failing_if(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[str, str], bool]
) -> list[Restorer]:
    """Let opening fail for some (model, backend); return what is opened all the same."""
    opened: list[Restorer] = []
    open_restorer = Restorer.open

    def failing(model: str, precision: str, backend: str, **options: Any) -> Restorer:
        if fails(model, backend):
            raise EngineError("out of memory")
        opened.append(open_restorer(model, precision, backend, **options))
        return opened[-1]

    monkeypatch.setattr(Restorer, "open", failing)
    return opened


def test_a_rung_that_does_not_open_closes_those_that_did(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = failing_if(monkeypatch, lambda model, _backend: model == "bicubic")
    with pytest.raises(EngineError, match="out of memory"):
        open_ladder("edge-big,bicubic", "edge-big", budget_ms=33, backend=CPU, threads=1)
    with pytest.raises(UsageError, match="closed"):
        opened[0].submit(np.zeros((16, 24, 3), np.uint8))


def test_a_bad_budget_closes_what_was_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = failing_if(monkeypatch, lambda _model, _backend: False)
    with pytest.raises(UsageError, match="budget"):
        open_ladder("bicubic", "edge-big", budget_ms=-1, backend=CPU)
    with pytest.raises(UsageError, match="closed"):
        opened[0].submit(np.zeros((16, 24, 3), np.uint8))


def test_a_gpu_that_fails_leaves_the_whole_ladder_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing_if(monkeypatch, lambda _model, backend: backend == GPU)
    monkeypatch.setattr(rungs, "choose_backend", lambda _wanted: Choice(GPU, "a GPU"))
    with open_ladder("auto", "edge-small", budget_ms=33, threads=1) as ladder:
        assert {rung.name for rung in ladder.use().rungs} == {"edge-small fp32", "bicubic"}
    assert "runs on the CPU, for tensorrt failed: out of memory" in caplog.text
    with pytest.raises(EngineError):
        open_ladder("auto", "edge-small", budget_ms=33, backend=GPU, threads=1)
