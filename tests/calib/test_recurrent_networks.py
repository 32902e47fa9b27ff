"""A recurrent network all the way: exported, calibrated, certified, and run on a clip.

What is remembered is carried in fp32 and in INT8, changes what comes out, and can be forgotten.
"""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from crispstream.calib import calibrate as stage
from crispstream.calib.calibrate import Wanted, calibrate
from crispstream.calib.certify import verify as verify_stage
from crispstream.calib.certify.pairs import read_pairs
from crispstream.calib.certify.verify import subject_of, verify, write_verified
from crispstream.calib.pages import verification_page
from crispstream.calib.quantise.graph import GraphView
from crispstream.core.bundle import Bundle, StateTensor
from crispstream.core.errors import UsageError
from crispstream.core.layers import sized
from crispstream.core.metrics import psnr_db
from crispstream.core.sequences import FRAMES, moving, results
from crispstream.core.tensors import RESTORED
from crispstream.runtime.restorer import Restorer
from tests.helpers.pictures import soft_picture
from tests.helpers.recurrent import (
    SHEET,
    clip,
    stepped,
    tiny_recurrent,
    write_recurrent_network,
)
from tests.helpers.sets import write_pairs, write_set

pytestmark = pytest.mark.slow

STATES = (StateTensor("memory", channels=8, divisor=2),)


@pytest.fixture(scope="module")
def network():
    return tiny_recurrent()


@pytest.fixture(scope="module")
def source(network, tmp_path_factory):
    return write_recurrent_network(tmp_path_factory.mktemp("source") / "tiny-r", network)


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """The bundle calibrated on three pictures, with what else came of it."""
    folder = tmp_path_factory.mktemp("made")
    frames = write_set(folder / "set", [soft_picture(10 + n, 24, 32) for n in range(3)])
    judged_on = read_pairs(write_pairs(folder / "pairs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(verify_stage, "SPEED_SIZE", (32, 24))
        return calibrate(source, Wanted(frames), judged_on, folder / "tiny-r-int8")


def open_model(bundle, precision):
    return Restorer.open(bundle.path, precision, threads=1, allow_uncertified=True)


def session(bundle, precision):
    data = bundle.graph_bytes(bundle.graph(precision))
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def test_the_bundle_names_its_states_and_keeps_the_contact_sheet(source, made):
    for bundle in (source, made.bundle):
        loaded = Bundle.load(bundle.path)
        assert loaded.states == STATES
        assert loaded.file_bytes("contact-sheet.jpg") == SHEET
        for graph in loaded.graphs:
            layers = loaded.layers_of(graph).layers
            read = {tensor.name: tensor.shape for layer in layers for tensor in layer.reads}
            assert read["state_in_memory"] == (1, 8, "H/2", "W/2")
            work = sum(sized(layer, 64, 48).macs for layer in layers)
            assert work == graph.macs_per_lr_pixel * 64 * 48
    assert [graph.precision for graph in made.bundle.graphs] == ["fp32", "fp16", "int8", "int8-cpu"]


@pytest.mark.parametrize("frames_in_flight", [1, 3])
def test_the_restorer_gives_what_pytorch_gives_step_by_step(source, network, frames_in_flight):
    frames = clip()
    with Restorer.open(source.path, "fp32", threads=1, frames_in_flight=frames_in_flight) as run:
        assert run.recurrent
        made = [run.restore(frame).copy() for frame in frames]
        run.reset()
        again = [run.restore(frame).copy() for frame in frames[2:]]
    for restored, expected in zip(made, stepped(network, frames), strict=True):
        assert np.abs(restored.astype(int) - expected).max() <= 1
    for restored, expected in zip(again, stepped(network, frames[2:]), strict=True):
        assert np.abs(restored.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("precision", ["fp32", "int8-cpu"])
def test_a_clip_is_restored_with_what_is_remembered(made, precision):
    frames = clip()
    with open_model(made.bundle, precision) as run:
        assert run.precision == precision
        first, second = (run.restore(frame).copy() for frame in frames[:2])
        run.reset()
        np.testing.assert_array_equal(run.restore(frames[0]), first)
        run.reset()
        alone = run.restore(frames[1]).copy()
        assert np.abs(second.astype(int) - alone).mean() > 1
        # Frames of another size begin anew too, and so do those of the first size after them.
        run.restore(np.ascontiguousarray(frames[2][:, :28]))
        np.testing.assert_array_equal(run.restore(frames[0]), first)


def test_int8_follows_fp32_through_a_long_sequence(made):
    frames = list(moving(soft_picture(30, 24, 32), 3 * FRAMES))
    exact, found = (
        [restored[0] for restored in results(session(made.bundle, one), frames, [RESTORED])]
        for one in ("fp32", "int8-cpu")
    )
    gaps_db = [psnr_db(a, b) for a, b in zip(exact, found, strict=True)]
    assert min(gaps_db) > 35
    assert min(gaps_db[-3:]) > gaps_db[0] - 6


def test_the_state_that_int8_gives_is_exactly_what_its_bytes_stand_for(made):
    """And what comes back from the frame before rounds to the same bytes."""
    view = GraphView(made.bundle.graph_bytes(made.bundle.graph("int8-cpu")))
    (last,) = [node for node in view.nodes if "state_out_memory" in node.output]
    (first,) = view.readers("state_in_memory")
    assert (first.op_type, last.op_type) == ("QuantizeLinear", "DequantizeLinear")
    scale, zero = (view.constants[name] for name in last.input[1:])
    assert [view.constants[name] for name in first.input[1:]] == [scale, zero]
    frames = clip()
    ways = results(session(made.bundle, "int8-cpu"), frames, ["state_out_memory"])
    whole = next(ways)[0] / scale
    assert whole.max() > 1
    assert np.abs(whole - np.round(whole)).max() < 1e-3


def test_states_are_floats_of_the_graphs_own_type_between_frames(made):
    kinds = {"fp32": "float", "fp16": "float16", "int8": "float16", "int8-cpu": "float"}
    for precision, kind in kinds.items():
        graph = session(made.bundle, precision)
        ends = (*graph.get_inputs(), *graph.get_outputs())
        states = {end.name: end.type for end in ends if end.name.startswith("state_")}
        assert states == dict.fromkeys(("state_in_memory", "state_out_memory"), f"tensor({kind})")


def test_what_reads_and_makes_the_memory_is_quantised_like_the_rest(made):
    for flavour in ("int8", "int8-cpu"):
        layers = made.forms[flavour].int8_layers
        assert {"/recall/Conv", "/remember/Conv"} <= set(layers)


def test_ranges_are_those_of_a_network_that_runs_steadily(made, source):
    """The memory's range covers what it holds after a while, not its zeros at the start."""
    frames = list(moving(soft_picture(10, 24, 32)))
    held = [one[0].max() for one in results(session(source, "fp32"), frames, ["state_out_memory"])]
    for tensor in ("state_in_memory", "state_out_memory"):
        span = made.ranges.of(tensor)
        assert span.high > 0.5 * max(held)
    assert made.ranges.frames == 3


def test_the_certificate_tells_of_later_frames_first_frames_and_what_lies_between(made):
    for precision in ("fp16", "int8", "int8-cpu"):
        entry = made.verification.entries[precision]
        by_place = entry["psnr_to_fp32_by_place_db"]
        assert entry["sequence_frames"] == len(by_place) == FRAMES
        assert entry["psnr_to_fp32_db"] == pytest.approx(by_place[-1], abs=1e-4)
        assert entry["first_frame"]["psnr_to_fp32_db"] == pytest.approx(by_place[0], abs=1)
        assert entry["first_frame"]["psnr_db"] != entry["psnr_db"]
        assert entry["inside"]["not_finite"] == 0
    assert made.verification.entries["int8-cpu"]["speed_over_fp32"] > 0


def test_verifying_again_judges_the_same_and_keeps_all_files(made, tmp_path, monkeypatch):
    monkeypatch.setattr(verify_stage, "SPEED_SIZE", (32, 24))
    pairs = read_pairs(write_pairs(tmp_path / "pairs"))
    subject = subject_of(made.bundle)
    found = verify(subject, pairs)
    for precision in ("fp16", "int8"):
        before = made.verification.entries[precision]
        assert found.entries[precision]["psnr_db"] == pytest.approx(before["psnr_db"], abs=1e-3)
    written = write_verified(made.bundle, found, tmp_path / "again")
    assert written.states == STATES
    assert set(written.files) == set(made.bundle.files)
    assert written.file_bytes("contact-sheet.jpg") == SHEET
    page = verification_page(subject, found, pairs)
    assert page.count("the worst frame") == 3
    card = made.bundle.file_bytes("CARD.md").decode()
    for told in (page, card):
        assert f"each after {FRAMES - 1} frames that lead up to it" in told


def test_a_graph_that_forgets_is_not_certified(made, tmp_path):
    """Equal to fp32 in every first frame, and another network after it."""
    model = onnx.load_model_from_string(made.bundle.graph_bytes(made.bundle.graph("fp32")))
    for tensor in model.graph.initializer:
        if tensor.name == "body.recall.weight":
            tensor.raw_data = bytes(len(tensor.raw_data))
    subject = subject_of(made.bundle)
    forgetful = {"fp32": subject.graphs["fp32"], "int8": model.SerializeToString()}
    pairs = read_pairs(write_pairs(tmp_path / "pairs"))
    entry = verify(replace(subject, graphs=forgetful), pairs).entries["int8"]
    assert not entry["passed"]
    assert "in a first frame" not in entry["reason"]
    assert entry["first_frame"]["psnr_to_fp32_db"] is None  # equal
    assert entry["psnr_to_fp32_by_place_db"][0] is None
    assert entry["psnr_to_fp32_by_place_db"][-1] < 45


def test_layers_are_chosen_by_what_they_do_to_later_frames(source, made, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(stage, "TRIAL_FRAMES", 1)
    monkeypatch.setattr(
        "crispstream.calib.quantise.sensitivity.arriving",
        lambda frame: shown.append(frame.shape) or moving(frame, 2),
    )
    frames = write_set(tmp_path / "set", [soft_picture(10 + n, 24, 32) for n in range(2)])
    view, half = (GraphView(source.graph_bytes(source.graph(one))) for one in ("fp32", "fp16"))
    wanted = Wanted(frames, plan=True, keep_db=20)
    found = stage._sensitivities(source, view, half, made.ranges, wanted, lambda *_: None)
    assert len(shown) > 2
    names = [loss.name for loss in found[0].losses]
    assert "/recall/Conv" in names


def test_the_contract_survives_json(source):
    told = json.loads((source.path / "bundle.json").read_text())
    assert told["states"] == [{"name": "memory", "channels": 8, "divisor": 2}]


def test_a_recurrent_model_is_not_cut_into_tiles(source):
    with pytest.raises(UsageError, match="recurrent and cannot be cut into tiles"):
        Restorer.open(source.path, tile=(16, 16))
