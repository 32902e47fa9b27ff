"""Every graph of a bundle beside its fp32 graph, and the bundle that keeps what was found."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from crispstream.calib.certify import judge, speed
from crispstream.calib.certify import verify as stage
from crispstream.calib.certify.verify import (
    against_origin,
    subject_of,
    verify,
    write_verified,
)
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.ranges import hash_of_pixels, ranges_as_json
from crispstream.core.bundle import CERTIFICATE, Bundle
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.errors import BundleError, EngineError, UsageError
from crispstream.core.layers import LAYERS
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import edge_graphs, made_up_ranges

BY_EXPORT = {"judged_by": "parity with PyTorch", "psnr_db": 76.0}
GRAPHS = edge_graphs()


@pytest.fixture
def bundle(tmp_path):
    judged = dict.fromkeys(GRAPHS, BY_EXPORT)
    return write_tiny_bundle(tmp_path / "tiny", GRAPHS, judged=judged)


def with_weights(onnx_bytes, name, change):
    """The graph with a weight changed: its first node then computes something else."""
    model = onnx.load_model_from_string(onnx_bytes)
    tensor = next(one for one in model.graph.initializer if one.name == name)
    values = np.asarray(change(onnx.numpy_helper.to_array(tensor).copy()))
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
    return model.SerializeToString()


def verified(bundle, pairs):
    return verify(subject_of(bundle), pairs)


def test_a_sound_bundle_passes(bundle, pairs):
    told = []
    found = verify(subject_of(bundle), pairs, told.append)
    assert found.passed
    assert told == ["judging fp32", "judging fp16"]
    entry = found.entries["fp16"]
    assert (entry["passed"], entry["judged_by"]) == (True, "verification")
    assert (entry["frames"], entry["pairs_sha256"]) == (2, pairs.digest)
    assert abs(entry["psnr_loss_db"]) < 0.01
    assert found.fp32.psnr_loss_db == 0


def test_fp32_keeps_what_export_found_and_fp16_too(bundle, pairs):
    entries = verified(bundle, pairs).entries
    by_export = {"precision": "fp32", "passed": True, **BY_EXPORT}
    assert entries["fp32"] == by_export
    assert entries["fp16"]["parity"] == {**by_export, "precision": "fp16"}


def test_parity_survives_a_second_verification(bundle, pairs, tmp_path):
    once = write_verified(bundle, verified(bundle, pairs), tmp_path / "once")
    again = verified(once, pairs)
    assert again.entries["fp16"]["parity"]["psnr_db"] == 76.0
    assert "parity" not in again.entries["fp16"]["parity"]


def test_without_a_certificate_fp32_is_not_certified(tmp_path, pairs):
    found = verified(write_tiny_bundle(tmp_path / "tiny", GRAPHS), pairs)
    assert found.entries["fp32"] == {}
    assert found.entries["fp16"]["passed"]
    assert not found.passed


def test_the_copy_holds_all_files_and_the_certificate(bundle, pairs, tmp_path):
    payload = {f"{graph.precision}.onnx": bundle.graph_bytes(graph) for graph in bundle.graphs}
    payload |= {"check/a.png": b"picture", "CARD.md": b"# card", CERTIFICATE: b"{}"}
    full = write_bundle(tmp_path / "full", replace(bundle, files={}), payload)
    copy = write_verified(full, verified(full, pairs), tmp_path / "copy")
    assert Bundle.load(copy.path) == copy
    assert set(copy.files) == {"check/a.png", "CARD.md", CERTIFICATE, LAYERS}
    assert all(copy.layers_of(graph).layers for graph in copy.graphs)  # which the older one lacks
    for name in ("check/a.png", "CARD.md"):
        assert copy.file_bytes(name) == payload[name]
    assert copy.graphs == full.graphs
    assert full.file_bytes(CERTIFICATE) == b"{}"  # the one that was read is as it was
    assert copy.certified(copy.graph("fp16"))
    assert not full.certified(full.graph("fp16"))


def test_the_copy_replaces_a_bundle_only_when_told(bundle, pairs, tmp_path):
    found = verified(bundle, pairs)
    write_verified(bundle, found, tmp_path / "copy")
    with pytest.raises(UsageError, match="--overwrite"):
        write_verified(bundle, found, tmp_path / "copy")
    write_verified(bundle, found, tmp_path / "copy", overwrite=True)


def test_a_graph_that_looks_other_fails_with_reasons(tmp_path, pairs):
    brighter = with_weights(edge_like(half=True), "base_b", lambda b: b + 2)
    judged = {"fp32": BY_EXPORT}
    bundle = write_tiny_bundle(tmp_path / "b", {**GRAPHS, "fp16": brighter}, judged=judged)
    found = verified(bundle, pairs)
    entry = found.entries["fp16"]
    assert not found.passed
    assert not entry["passed"]
    assert "colours drift by " in entry["reason"]
    drifts = list(entry["colour_drift_levels"].values())
    assert drifts == pytest.approx([2, 2, 2], abs=0.3)  # less where the picture is white
    copy = write_verified(bundle, found, tmp_path / "copy")
    assert not copy.certified(copy.graph("fp16"))
    assert copy.certificate_of(copy.graph("fp16"))["reason"] == entry["reason"]


def test_values_that_fp16_may_not_hold_fail_by_the_ranges_of_fp32(tmp_path, pairs):
    # Nothing reads what `up` becomes behind a closed gate, so the pictures are the same.
    graphs = {}
    for name, data in GRAPHS.items():
        loud = with_weights(data, "up_b", lambda b: b + 20_000)
        graphs[name] = with_weights(loud, "gate_b", lambda b: b - 10_000)
    found = verified(write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT}), pairs)
    entry = found.entries["fp16"]
    assert entry["psnr_to_fp32_db"] is None or entry["psnr_to_fp32_db"] > 60
    assert "up reaches 20" in entry["reason"]
    assert "fp16 is safe below 16000" in entry["reason"]


def test_the_fp32_tail_may_hold_more_than_fp16_can(tmp_path, pairs):
    graphs = {
        name: with_weights(data, "base_b", lambda b: b + 20_000) for name, data in GRAPHS.items()
    }
    found = verified(write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT}), pairs)
    assert found.entries["fp16"]["passed"]


def test_nan_behind_white_pixels_is_found(tmp_path, pairs):
    def spoil(values):
        values[0] = np.nan
        return values

    spoilt = with_weights(edge_like(), "tail_b", spoil)
    graphs = {"fp32": edge_like(), "int8": spoilt}
    found = verified(write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT}), pairs)
    assert "values inside are NaN or infinite" in found.entries["int8"]["reason"]


def test_tensorrts_graph_is_computed_as_it_stands_and_the_cpus_as_it_runs(
    tmp_path, pairs, monkeypatch
):
    graphs = {**GRAPHS, "int8": edge_like(seed=1), "int8-cpu": edge_like(seed=2)}
    literal = {}

    def restorer_of(onnx_bytes, *, literally):
        name = next(name for name, data in graphs.items() if data == onnx_bytes)
        literal[name] = literally
        return judge.restorer_of(onnx_bytes, literally=literally)

    monkeypatch.setattr(stage, "restorer_of", restorer_of)
    verified(write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT}), pairs)
    assert literal == {"fp32": False, "fp16": False, "int8": True, "int8-cpu": False}


def test_speed_is_that_of_the_graph_over_that_of_fp32(monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)

    def session_that_takes(seconds, *, threads):
        assert threads == 1

        def run(names, feed):
            clock.now += seconds

        given = SimpleNamespace(name="frame", shape=[1, 8, 12, 3])
        return SimpleNamespace(run=run, get_inputs=lambda: [given])

    monkeypatch.setattr(speed, "time", clock)
    monkeypatch.setattr(speed, "session_of", session_that_takes)
    assert speed.speed_ratio(2, 6, soft_picture(0, 8, 12)) == 3


def test_only_the_cpus_graph_has_a_speed(tmp_path, pairs):
    graphs = {**GRAPHS, "int8": edge_like(half=True), "int8-cpu": edge_like()}
    found = verified(write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT}), pairs)
    with_speed = [name for name, entry in found.entries.items() if "speed_over_fp32" in entry]
    assert with_speed == ["int8-cpu"]
    assert found.entries["int8-cpu"]["speed_over_fp32"] > 0
    assert list(found.entries) == ["fp32", "fp16", "int8", "int8-cpu"]


def test_static_graphs_are_verified_at_their_size(tmp_path, pairs):
    graphs = {"fp32": edge_like(16, 24), "int8-cpu": edge_like(16, 24)}
    found = verified(write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT}), pairs)
    assert found.entries["int8-cpu"]["psnr_to_fp32_db"] is None  # exact
    assert found.entries["int8-cpu"]["reason"] == "it is not known what it was calibrated on"


def test_a_pair_that_was_calibrated_with_is_refused(bundle, pairs):
    used = hash_of_pixels(pairs.pairs[1].lr)
    subject = replace(subject_of(bundle), frame_hashes=("0" * 16, used))
    with pytest.raises(UsageError, match=r"frame '1' of '.*pairs' was calibrated with"):
        verify(subject, pairs)


def test_synthetic_calibration_fails_int8_and_not_fp16(tmp_path, pairs):
    graphs = {**GRAPHS, "int8-cpu": edge_like()}
    bundle = write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT})
    against = against_origin(("synth://",))
    entries = verify(replace(subject_of(bundle), origin=against), pairs).entries
    assert entries["fp16"]["passed"]
    assert "no camera took (synth://)" in entries["int8-cpu"]["reason"]


def test_what_calibration_left_in_the_bundle_is_read(bundle, tmp_path):
    hashes = ("0123456789abcdef",)
    ranges = replace(
        made_up_ranges(GraphView(edge_like())), synthetic=("synth://",), frame_hashes=hashes
    )
    subject = subject_of(with_ranges(bundle, tmp_path / "full", ranges_as_json(ranges)))
    assert subject.origin == against_origin(("synth://",))
    assert subject.frame_hashes == hashes


@pytest.mark.parametrize("about", [{}, [], None, {"tensors": 3}])
def test_ranges_that_cannot_be_read_are_not_known(bundle, tmp_path, about):
    subject = subject_of(with_ranges(bundle, tmp_path / "odd", about))
    assert subject.origin == ("it is not known what it was calibrated on",)


def with_ranges(bundle, folder, about):
    payload = {f"{graph.precision}.onnx": bundle.graph_bytes(graph) for graph in bundle.graphs}
    payload["calibration/ranges.json"] = json.dumps(about).encode()
    return write_bundle(folder, bundle, payload)


def test_what_int8_holds_in_fp16_is_judged_by_ranges_too(tmp_path, pairs):
    loud = {n: with_weights(d, "up_b", lambda b: b + 20_000) for n, d in GRAPHS.items()}
    graphs = {n: with_weights(d, "gate_b", lambda b: b - 10_000) for n, d in loud.items()}
    graphs = {"fp32": graphs["fp32"], "int8": graphs["fp16"]}
    found = verified(write_tiny_bundle(tmp_path / "b", graphs, judged={"fp32": BY_EXPORT}), pairs)
    assert "fp16 is safe below 16000" in found.entries["int8"]["reason"]


def test_a_tampered_graph_is_not_judged(bundle):
    data = bytearray((bundle.path / "fp16.onnx").read_bytes())
    data[-1] ^= 1
    (bundle.path / "fp16.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"fp16\.onnx' is not the file"):
        subject_of(Bundle.load(bundle.path))


def test_a_tampered_file_is_not_copied(bundle, pairs, tmp_path):
    found = verified(bundle, pairs)
    payload = {f"{graph.precision}.onnx": bundle.graph_bytes(graph) for graph in bundle.graphs}
    full = write_bundle(tmp_path / "full", bundle, {**payload, "CARD.md": b"# card"})
    (full.path / "CARD.md").write_bytes(b"# another")
    with pytest.raises(BundleError, match="copy the bundle again"):
        write_verified(full, found, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_without_fp32_there_is_nothing_to_stand_beside(tmp_path, pairs):
    bundle = write_tiny_bundle(tmp_path / "b", {"fp16": edge_like(half=True)})
    with pytest.raises(BundleError, match="has no fp32 graph, beside which"):
        verified(bundle, pairs)


def test_a_graph_that_does_not_run_says_so(tmp_path, pairs):
    broken = onnx.load_model_from_string(edge_like(half=True))
    broken.graph.node[0].op_type = "Cats"
    graphs = {**GRAPHS, "fp16": broken.SerializeToString()}
    with pytest.raises(EngineError, match="ONNX Runtime refused the graph"):
        verified(write_tiny_bundle(tmp_path / "b", graphs), pairs)
