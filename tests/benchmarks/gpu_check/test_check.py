"""The GPU check from end to end, as far as it goes without a GPU: dry, refused, and in part."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import RESULTS
from benchmarks.gpu_check import check as check_module
from benchmarks.gpu_check.bench import Order
from benchmarks.gpu_check.check import DRY_PACE, check, main
from benchmarks.gpu_check.model import ModelCheck
from benchmarks.gpu_check.record import NOT_REACHED, TABLES, Judged, Row, faults
from benchmarks.gpu_check.steps import OUT_OF_TIME
from crispstream.runtime.engine.available import Probes
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.trust import recheck

GPU = {"name": "NVIDIA Test", "compute_capability": "8.9", "driver": "580", "memory_mib": 8192}
NO_GPU = Probes(find_gpu=lambda: "no NVIDIA driver")
DRY = ["--dry-run", "--models", "edge-n", "--size", "32x24"]
REAL = Order(("edge-n",), (32, 24), pace=DRY_PACE)
"""As on a machine with a GPU, where what needs one does not find it."""
DRY_ORDER = replace(REAL, device="cpu", compiler="eager")


def measured(content: dict[str, Any]) -> set[str]:
    """Return what has figures: what the rows run on, and the names of other tables."""
    return {
        entry.get("runs_on", table)
        for table in TABLES
        for entry in content[table]
        if "not_run" not in entry
    }


def reasons(content: dict[str, Any], runs_on: str) -> set[str]:
    rows = [entry for entry in content["rows"] if entry["runs_on"] == runs_on]
    return {entry["not_run"] for entry in rows}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_a_dry_run_goes_through_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "dry.json"
    assert main([*DRY, "--output", str(output)]) == 0
    content = read(output)
    assert faults(content) == []
    assert content["dry_run"] is True
    assert measured(content) == {"torch", "torch-compile", "onnxruntime-cpu"}
    assert reasons(content, "engine") == {"a dry run uses no GPU"}
    assert NOT_REACHED not in output.read_text(encoding="utf-8")
    assert content["warnings"] == []
    told = capsys.readouterr().out
    assert told.startswith("DRY RUN: nothing here was measured on a GPU")
    assert re.search(r"^roofs: [\d.e-]+ TFLOP/s in fp16, [\d.e-]+ GB/s copied$", told, re.MULTILINE)


@pytest.mark.parametrize("output", [[], ["--output", str(RESULTS / "gpu_check-x.json")]])
def test_a_dry_run_never_writes_among_the_results(
    output: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*DRY, *output])
    assert stopped.value.code == 2
    assert "outside of results/" in capsys.readouterr().err


def test_without_a_gpu_it_says_why_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "no NVIDIA driver: it was not found; install it, or choose --backend onnxruntime"
    monkeypatch.setattr(check_module, "gpu_facts", lambda: sentence)
    assert main(["--output", str(tmp_path / "x.json")]) == 2
    assert not list(tmp_path.iterdir())
    said = capsys.readouterr().err
    assert "no NVIDIA driver: it was not found; crispstream doctor tells" in said
    assert "--backend" not in said, "there is no such option here"
    assert "python -m benchmarks.gpu_check --dry-run --output" in said


@pytest.mark.parametrize(
    "wrong",
    [
        ["--size", "33x24"],
        ["--size", "big"],
        ["--models", "edge-z"],
        ["--minutes", "0"],
        ["--minutes", "-1"],
        ["--minutes", "nan"],
    ],
)
def test_what_cannot_be_checked_is_refused(wrong: list[str], tmp_path: Path) -> None:
    arguments = ["--dry-run", *wrong, "--output", str(tmp_path / "x.json")]
    try:
        code: Any = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert not list(tmp_path.iterdir())


def test_the_help_names_the_command_and_its_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("usage: python -m benchmarks.gpu_check")
    for default in ("7.5", "320x180", "edge-s edge-n", "gpu_check-GPU.json"):
        assert f"{default})" in told


def test_without_pytorch_and_tensorrt_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pytorch", "roofs", "engines"):
        monkeypatch.delitem(sys.modules, f"benchmarks.gpu_check.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    content = check(REAL, GPU, tmp_path / "x.json", NO_GPU).content()
    assert faults(content) == []
    assert read(tmp_path / "x.json") == content
    assert measured(content) == {"onnxruntime-cpu"}
    assert all("no NVIDIA driver" in reason for reason in reasons(content, "engine"))
    assert all("torch" in reason for reason in reasons(content, "torch"))
    assert all("CUDA" in reason for reason in reasons(content, "onnxruntime-cuda"))
    assert "torch" in content["roofs"]["not_run"]
    assert "no NVIDIA driver" in content["engine"]["not_run"]
    assert content["limits"] == {}


def test_without_onnxruntime_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = ("trust.recheck", "backends.onnxruntime", "backends.onnxruntime_states")
    for module in modules:
        monkeypatch.delitem(sys.modules, f"crispstream.runtime.engine.{module}", raising=False)
    monkeypatch.delitem(sys.modules, "benchmarks.gpu_check.ort", raising=False)
    monkeypatch.delattr("crispstream.runtime.engine.trust.recheck", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    content = check(DRY_ORDER, None, tmp_path / "x.json").content()
    assert faults(content) == []
    assert all("onnxruntime" in reason for reason in reasons(content, "onnxruntime-cpu"))
    # What cannot be judged is not timed either.
    assert all("onnxruntime" in reason for reason in reasons(content, "torch"))


def test_what_is_not_accurate_is_not_timed_and_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = recheck.Limits(psnr_db=200, largest_levels=0, changed_share=0)
    monkeypatch.setattr(recheck, "LIMITS", {**recheck.LIMITS, "fp16": strict})
    assert main([*DRY, "--output", str(tmp_path / "x.json")]) == 1
    content = read(tmp_path / "x.json")
    assert faults(content) == []
    assert all("its accuracy failed" in reason for reason in reasons(content, "torch"))
    judged = [entry for entry in content["accuracy"] if entry["runs_on"] == "torch"]
    assert judged[0]["dry_run_figures"]["passed"] is False


def test_when_the_time_is_up_the_rest_says_so(tmp_path: Path) -> None:
    record = check(replace(DRY_ORDER, minutes=0.0), None, tmp_path / "x.json")
    assert faults(record.content()) == []
    assert record.found("accuracy", Judged("edge-n", "torch", "fp16")) == OUT_OF_TIME
    assert record.found("rows", Row("edge-n", "copies", "torch", "fp16", False, 1)) == OUT_OF_TIME
    assert record.wrong == []


def test_what_was_measured_is_kept_when_the_check_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ModelCheck._time

    def interrupted(self: ModelCheck, regime: str) -> None:
        if regime == "copies":
            raise KeyboardInterrupt
        original(self, regime)

    monkeypatch.setattr(ModelCheck, "_time", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check(DRY_ORDER, None, tmp_path / "x.json")
    content = read(tmp_path / "x.json")
    assert faults(content) == []
    by_regime = {entry["regime"]: entry for entry in content["rows"] if entry["runs_on"] == "torch"}
    assert "dry_run_figures" in by_regime["resident"]
    assert by_regime["copies"]["not_run"] == NOT_REACHED


def test_onnxruntime_on_cuda_is_held_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = recheck.Limits(psnr_db=200, largest_levels=0, changed_share=0)
    monkeypatch.setattr(recheck, "LIMITS", {**recheck.LIMITS, "fp16": strict})
    monkeypatch.setattr(ModelCheck, "_onnxruntime", cpu_in_its_place)
    content = check(DRY_ORDER, None, tmp_path / "x.json").content()
    judged = [entry for entry in content["accuracy"] if entry["runs_on"] == "onnxruntime-cuda"]
    passed = {entry["precision"]: entry["dry_run_figures"]["passed"] for entry in judged}
    assert passed == {"fp16": False, "fp32": True}
    rows = [entry for entry in content["rows"] if entry["runs_on"] == "onnxruntime-cuda"]
    for row in rows:
        assert ("accuracy failed" in row["not_run"]) == (row["precision"] == "fp16")


def cpu_in_its_place(self: ModelCheck, precision: str) -> OnnxRuntimeBackend:
    graph_bytes = self._bundle.graph_bytes(self._bundle.graph(precision))
    return OnnxRuntimeBackend(graph_bytes, precision=precision, threads=1)
