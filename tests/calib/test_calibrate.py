"""From a bundle and frames to a bundle with INT8 graphs: the whole way."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from crispstream.calib import calibrate as stage
from crispstream.calib.calibrate import PLAN_FILE, RANGES_FILE, Wanted, calibrate
from crispstream.core.bundle import Bundle
from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of
from crispstream.runtime.engine.choose import choose_graph
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import CARD, edge_graphs, measured_ranges, write_set, write_source

USUAL = ["/a/Conv", "/b/Conv", "/c/Conv"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, pairs):
    """One calibration that many tests look at."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        wanted = Wanted(write_set(folder / "set"))
        return calibrate(write_source(folder / "tiny"), wanted, pairs, folder / "new")


def content_of(bundle, name):
    return json.loads(bundle.file_bytes(name))


def test_the_new_bundle_has_both_graphs_beside_the_old_ones(made):
    bundle = Bundle.load(made.bundle.path)
    assert bundle == made.bundle
    assert [graph.precision for graph in bundle.graphs] == ["fp32", "fp16", "int8", "int8-cpu"]
    for graph in bundle.graphs:
        data = bundle.graph_bytes(graph)
        assert sha256_of(data) == graph.sha256
        assert onnx.load_model_from_string(data).opset_import[0].version == graph.opset
    assert bundle.graph_bytes(bundle.graph("fp32")) == edge_like()
    assert bundle.graph("int8").backends == ("tensorrt", "tensorrt-rtx")
    assert bundle.graph("int8-cpu").backends == ("onnxruntime",)
    assert bundle.file_bytes("check/a.png") == b"picture"
    precisions = [{one.precision for one in bundle.layers_of(g).layers} for g in bundle.graphs]
    assert ["int8" in told for told in precisions] == [False, False, True, True]


def test_the_bundle_that_was_read_is_as_it_was(source, pairs, frames, tmp_path):
    before = {path: path.read_bytes() for path in source.path.rglob("*") if path.is_file()}
    calibrate(source, Wanted(frames), pairs, tmp_path / "new")
    assert {path: path.read_bytes() for path in source.path.rglob("*") if path.is_file()} == before


def test_every_graph_is_certified_by_its_hash(made):
    assert made.verification.passed
    told = made.bundle.certificate()["graphs"]
    assert set(told) == {graph.sha256 for graph in made.bundle.graphs}
    assert all(made.bundle.certified(graph) for graph in made.bundle.graphs)
    entry = made.bundle.certificate_of(made.bundle.graph("int8"))
    assert (entry["int8_layers"], entry["kept_in_float"]) == (3, [])
    assert choose_graph(made.bundle, "int8", "tensorrt-rtx").file == "int8.onnx"
    assert choose_graph(made.bundle, "int8", "onnxruntime").file == "int8-cpu.onnx"


def test_the_plan_is_kept(made):
    content = content_of(made.bundle, PLAN_FILE)
    assert content["kind"] == "quantisation plan"
    assert content["graphs"] == {"int8": {"layers": USUAL}, "int8-cpu": {"layers": USUAL}}
    assert content["layers"]["/b/Conv"] == {"input": "a_active"}
    assert {name: list(form.int8_layers) for name, form in made.forms.items()} == {
        "int8": USUAL,
        "int8-cpu": USUAL,
    }


def test_the_ranges_are_kept_with_what_they_were_made_of(made):
    content = content_of(made.bundle, RANGES_FILE)
    assert content["kind"] == "ranges"
    assert content["graph_sha256"] == made.bundle.graph("fp32").sha256
    assert (content["method"], content["frames"]) == ("mse", 3)
    assert len(content["frame_hashes"]) == 3
    assert content["synthetic"] == []
    assert {"wide", "a_active", "b_active", "levels", "whole"} <= set(content["tensors"])


def test_the_bundle_knows_how_the_frames_looked(made):
    statistics = made.bundle.input_statistics
    assert (statistics["measured_on"], statistics["frames"]) == ("calibration set", 3)
    assert statistics["set_sha256"] == content_of(made.bundle, RANGES_FILE)["set_sha256"]
    brightness = statistics["figures"]["brightness"]
    assert brightness["low"] <= brightness["mean"] <= brightness["high"]


def test_the_card_has_a_section_and_keeps_the_rest(made):
    card = made.bundle.file_bytes("CARD.md").decode()
    assert card.startswith(CARD.decode())
    assert card.count("## INT8") == 1
    assert "Calibrated on 3 frames by the method mse" in card
    for precision in ("fp32", "fp16", "int8", "int8-cpu"):
        assert card.count(f"| {precision} |") == 1
    assert card.endswith("| yes |\n")
    assert "-0.000 " not in card


def test_the_card_does_not_certify_fp32_unless_export_did(pairs, frames, tmp_path):
    source = write_tiny_bundle(tmp_path / "tiny", edge_graphs())
    made = calibrate(source, Wanted(frames), pairs, tmp_path / "new")
    card = made.bundle.file_bytes("CARD.md").decode()
    assert card.startswith("## INT8\n")  # there was no card
    assert not made.verification.passed
    (row,) = [line for line in card.splitlines() if line.startswith("| fp32 |")]
    assert "by export" not in row


def test_calibrating_again_replaces_graphs_section_and_certificate(made, pairs, frames, tmp_path):
    wanted = Wanted(frames, method="max")
    again = calibrate(made.bundle, wanted, pairs, tmp_path / "again")
    assert [g.precision for g in again.bundle.graphs] == ["fp32", "fp16", "int8", "int8-cpu"]
    assert again.bundle.graph("int8").sha256 != made.bundle.graph("int8").sha256
    card = again.bundle.file_bytes("CARD.md").decode()
    assert card.count("## INT8") == 1
    assert "by the method max" in card
    assert card.startswith(CARD.decode())
    assert len(again.bundle.certificate()["graphs"]) == 4
    assert set(again.bundle.files) == set(made.bundle.files)


def test_a_second_run_finds_the_ranges_and_makes_the_same(
    source, pairs, frames, tmp_path, monkeypatch
):
    first = calibrate(source, Wanted(frames), pairs, tmp_path / "first")
    monkeypatch.setattr(stage, "measure", lambda *_: pytest.fail("the graph was run again"))
    second = calibrate(source, Wanted(frames), pairs, tmp_path / "second")
    assert (first.cache_hit, second.cache_hit) == (False, True)
    assert second.ranges == first.ranges
    for precision in ("int8", "int8-cpu"):
        assert second.bundle.graph(precision).sha256 == first.bundle.graph(precision).sha256


def test_another_method_is_measured_again(source, pairs, frames, tmp_path):
    calibrate(source, Wanted(frames), pairs, tmp_path / "first")
    other = calibrate(source, Wanted(frames, method="percentile"), pairs, tmp_path / "second")
    assert not other.cache_hit
    assert other.ranges.method == "percentile"


def test_ranges_of_a_bundle_make_the_same_graphs(made, source, pairs, tmp_path):
    found = calibrate(source, Wanted(ranges=made.bundle.path / RANGES_FILE), pairs, tmp_path / "n")
    assert found.ranges == made.ranges
    assert found.bundle.graph("int8").sha256 == made.bundle.graph("int8").sha256
    assert found.bundle.input_statistics == made.bundle.input_statistics


def test_layers_are_those_that_a_plan_names(made, source, pairs, frames, tmp_path):
    content = content_of(made.bundle, PLAN_FILE)
    content["graphs"] = {"int8": {"layers": ["/c/Conv"]}, "int8-cpu": {"layers": ["/up/Conv"]}}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    wanted = Wanted(frames, layers=tmp_path / "plan.json")
    found = calibrate(source, wanted, pairs, tmp_path / "new")
    assert found.forms["int8"].int8_layers == ("/c/Conv",)
    assert found.forms["int8-cpu"].int8_layers == ("/up/Conv",)
    assert content_of(found.bundle, PLAN_FILE) == content


def test_a_plan_by_sensitivity_is_the_chosen_point(source, pairs, frames, tmp_path):
    told = []
    found = calibrate(
        source,
        Wanted(frames, plan=True, keep_db=58),
        pairs,
        tmp_path / "new",
        progress=lambda *step: told.append(step),
    )
    assert [one.flavour for one in found.sensitivities] == ["int8", "int8-cpu"]
    for one in found.sensitivities:
        assert one.chosen.kept_db >= 58
        assert found.plan.chosen[one.flavour] == one.chosen.layers
        assert found.forms[one.flavour].int8_layers == one.chosen.layers
    done, counts = zip(*(step[1:] for step in told if step[0] == "trying layers"), strict=True)
    assert list(done) == list(range(1, len(done) + 1))
    assert len(done) <= counts[0] == counts[-1]
    assert ("measuring ranges", 3, 3) in told


def test_a_graph_that_fails_keeps_the_evidence_and_is_not_offered(source, pairs, tmp_path):
    fp32 = source.graph("fp32")
    ranges = measured_ranges(stage.GraphView(source.graph_bytes(fp32)))
    narrow = {n: replace(r, amax=r.amax / 200, low=r.low / 200, high=r.high / 200)
              for n, r in ranges.tensors.items()}  # fmt: skip
    file = tmp_path / "ranges.json"
    file.write_text(json.dumps(stage.ranges_as_json(replace(ranges, tensors=narrow))))
    made = calibrate(source, Wanted(ranges=file), pairs, tmp_path / "new")
    assert not made.verification.passed
    cpu = made.bundle.graph("int8-cpu")
    entry = made.bundle.certificate_of(cpu)
    assert (entry["passed"], made.bundle.certified(cpu)) == (False, False)
    assert "is allowed" in entry["reason"]
    assert entry["inside"]["saturated_share"] > 0.5
    assert entry["psnr_db"] > 20
    assert made.bundle.certified(made.bundle.graph("fp16"))
    assert choose_graph(made.bundle, "auto", "onnxruntime").precision == "fp32"
    with pytest.raises(UsageError, match="failed its verification"):
        choose_graph(made.bundle, "int8", "onnxruntime")
    card = made.bundle.file_bytes("CARD.md").decode()
    assert "| no |" in card
    assert f"int8-cpu failed: {entry['reason']}" in card


def test_synthetic_frames_make_no_certified_int8_graph(source, pairs, tmp_path):
    frames = write_set(tmp_path / "drawn", synthetic=(1,))
    made = calibrate(source, Wanted(frames), pairs, tmp_path / "new")
    assert not made.bundle.certified(made.bundle.graph("int8"))
    assert not made.bundle.certified(made.bundle.graph("int8-cpu"))
    assert "no camera took (camera1.mp4)" in made.verification.entries["int8"]["reason"]


def test_static_graphs_are_calibrated_on_the_middle_of_the_frames(pairs, tmp_path):
    source = write_source(tmp_path / "static", edge_graphs(16, 24))
    pictures = [np.full((32, 40, 3), 255, np.uint8) for _ in range(2)]
    for level, picture in enumerate(pictures, 100):
        picture[8:24, 8:32] = level
    frames = write_set(tmp_path / "framed", pictures)
    made = calibrate(source, Wanted(frames, method="max"), pairs, tmp_path / "new")
    assert made.ranges.of("levels").high == 101
    assert made.bundle.graph("int8-cpu").sha256 in made.bundle.certificate()["graphs"]


def test_frames_are_mirrored_to_the_size_multiple(pairs, tmp_path):
    source = write_source(tmp_path / "coarse", size_multiple=12)
    frames = write_set(tmp_path / "odd", [soft_picture(seed, 30, 41) for seed in (0, 1)])
    assert calibrate(source, Wanted(frames), pairs, tmp_path / "new").ranges.frames == 2
