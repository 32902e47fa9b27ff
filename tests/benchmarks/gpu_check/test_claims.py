"""What the GPU check claims, and how the record reads."""

from typing import Any

from benchmarks.gpu_check.claims import claim, comparisons
from benchmarks.gpu_check.page import page
from benchmarks.gpu_check.record import Built, Judged, Record, Row
from benchmarks.gpu_check.timing import Timed

GPU = {"name": "NVIDIA Test", "driver": "580"}
ROOFS = {"fp16_tflops": 123.456, "copy_gb_per_second": 456.0, "matrix_side": 8192, "copied_mib": 1}
FACTS: dict[str, Any] = {
    "gpu": GPU,
    "engine": {"flavour": "tensorrt"},
    "roofs": {"figures": ROOFS},
    "warnings": [],
}
ENGINE = Row("edge-s", "resident", "engine", "fp16", True, 1)
COMPILED = Row("edge-s", "resident", "torch-compile", "fp16", False, 1)
IN_GRAPH = COMPILED._replace(cuda_graph=True)


def timed(ms: float) -> Timed:
    return Timed(100, "cuda events", dict.fromkeys(range(5), ms))


def record_of(rows: dict[Row, Timed | str]) -> Record:
    record = Record(dry_run=False, models=("edge-s",), facts=FACTS)
    for row, found in rows.items():
        record.fill("rows", row, found if isinstance(found, str) else found.figures(0.05))
    record.comparisons += comparisons("edge-s", "resident", rows)
    return record


def test_the_claim_is_over_the_faster_compiled_form() -> None:
    record = record_of({ENGINE: timed(0.2), COMPILED: timed(0.6), IN_GRAPH: timed(0.25)})
    claim(record, "edge-s")
    limit = record.limits["edge-s_over_torch_compile"]
    assert (limit.value, limit.met) == (1.25, True)
    record = record_of({ENGINE: timed(0.2), COMPILED: timed(0.6), IN_GRAPH: timed(0.1)})
    claim(record, "edge-s")
    assert not record.limits["edge-s_over_torch_compile"].met


def test_what_was_not_measured_is_not_claimed() -> None:
    record = record_of({ENGINE: "no TensorRT", COMPILED: timed(0.6)})
    claim(record, "edge-s")
    assert record.limits == {}
    assert record.comparisons == []


def test_another_regime_claims_nothing() -> None:
    rows: dict[Row, Timed | str] = {
        ENGINE._replace(regime="copies"): timed(0.2),
        COMPILED._replace(regime="copies"): timed(0.6),
    }
    record = Record(dry_run=False, models=("edge-s",), facts=FACTS)
    record.comparisons += comparisons("edge-s", "copies", rows)
    assert len(record.comparisons) == 1
    claim(record, "edge-s")
    assert record.limits == {}


def test_opening_may_take_a_second_beyond_the_library() -> None:
    record = record_of({})
    spread = {"median": 2.0, "lowest": 2.0, "highest": 2.0, "repeats": 5}
    figures = {"native_seconds": spread, "kit_seconds": spread, "beyond_seconds": 1.2}
    record.fill("opening", Built("edge-s", "fp16"), figures)
    claim(record, "edge-s")
    assert not record.limits["edge-s_opening_seconds"].met


def test_the_page_tells_figures_failures_and_each_reason_once() -> None:
    record = record_of({ENGINE: timed(0.2), COMPILED: timed(0.6)})
    for precision in ("fp16", "fp32", "int8"):
        record.fill("engines", Built("edge-s", precision), "no TensorRT")
    bad = {"passed": False, "psnr_to_fp32_db": 20.5, "reason": "the frame dog is 20.5 dB"}
    record.fill("accuracy", Judged("edge-s", "torch", "fp16"), bad)
    claim(record, "edge-s")
    text = page(record)
    assert text.startswith("NVIDIA Test, driver 580\n")
    assert "\nroofs: 123.5 TFLOP/s in fp16, 456 GB/s copied\n" in text
    assert "edge-s engine fp16 graph x1 resident: 0.200 ms, 5000 frames/s, 25% of the roof" in text
    assert "accuracy edge-s torch fp16: 20.5 dB to fp32, FAILED: the frame dog is 20.5 dB" in text
    assert "is 3.00 times as fast as edge-s torch-compile fp16 x1 resident" in text
    assert "edge-s_over_torch_compile: 3, at least 1: met" in text
    assert text.count("no TensorRT") == 1
    assert "3 entries from 'engines edge-s fp16' on: no TensorRT" in text


def test_the_page_tells_why_there_are_no_roofs() -> None:
    record = record_of({})
    record.facts = {**FACTS, "roofs": {"not_run": "no PyTorch"}}
    assert "\nroofs: not measured, no PyTorch" in page(record)
