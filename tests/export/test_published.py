"""Networks of one frame size: the proof, what is shipped, and the bundle on the runtime."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from crispstream.core.bundle import Bundle
from crispstream.core.errors import ExportError, FrameError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.layers import sized
from crispstream.export import published, surgery
from crispstream.export.card import facts
from crispstream.export.check_frames import fitted
from crispstream.export.exporter import export_bundle
from crispstream.export.proof import prove, run_onnx, session_of
from crispstream.export.published import feed_of, prove_network
from crispstream.export.static import LEVELS, deployed, onnx_from_static, shape_of, static_graph
from crispstream.export.surgery import (
    differing_parts,
    simplified,
    widened,
    with_tensors,
    without_output,
)
from crispstream.runtime.restorer import Restorer
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe
from crispstream.train.restoring import restoring
from tests.helpers.networks import settled
from tests.helpers.pictures import soft_picture

WIDTH, HEIGHT = 20, 12
FRAMES = [soft_picture(3, HEIGHT, WIDTH), soft_picture(4, HEIGHT, WIDTH)]
CONV = "reconstruct.enlarge.image"


def untrained(name):
    torch.manual_seed(0)
    return build_network(name).eval()


def traced(network, precision="fp32"):
    """The graph of a network as it is, by the shortest way: no scaling, no simplification."""
    shape = shape_of(network, WIDTH, HEIGHT)
    graph = static_graph(deployed(network), shape, precision)
    return onnx_from_static(graph, [torch.from_numpy(FRAMES[0][None])])


def run(data, frame=FRAMES[0]):
    return run_onnx(session_of(data), {"frame": frame[None]})


def checkpoint_of(name, network):
    return Checkpoint(Recipe(name, steps=1), dict(network.state_dict()), 7, ("a.png",))


@pytest.fixture(scope="module")
def network():
    return untrained("srresnet-w16")


@pytest.fixture(scope="module", autouse=True)
def quickly():
    """No onnxsim, a second less for each graph (test_command.py has it), and one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "simplified", lambda data, fuse: None)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory):
    checkpoint = checkpoint_of("srresnet-w16", network)
    return export_bundle(
        checkpoint,
        tmp_path_factory.mktemp("export") / "toy",
        name="toy",
        licence="MIT",
        card=facts(checkpoint),
        frames=[("one", soft_picture(3, 40, 50)), ("two", soft_picture(4, 8, 8))],
        size=(WIDTH, HEIGHT),
    )


def test_an_untrained_network_is_proved_in_range_and_ships_its_own_weights(network, bundle):
    judged = bundle.certificate()["graphs"]
    for graph in bundle.graphs:
        data = bundle.graph_bytes(graph)
        figures = judged[sha256_of(data)]
        assert figures["passed"]
        assert figures["relative_error"] < 1e-5
        assert 0.01 < figures["inner_share"] < 0.99
        assert figures["last_conv_scaled_for_the_proof"]["conv"] == CONV
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        assert [output.name for output in model.graph.output] == ["restored"]
        weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        own = network.get_submodule(CONV).weight.detach().numpy()
        there = weights[f"network.{CONV}.weight"]
        assert np.array_equal(there, own.astype(there.dtype))


def test_what_is_shipped_equals_a_direct_export(network, bundle):
    direct = without_output(traced(network), LEVELS)
    shipped = bundle.graph_bytes(bundle.graph("fp32"))
    for _, frame in ((name, fitted(soft_picture(5, 30, 40), WIDTH, HEIGHT)) for name in "ab"):
        assert np.array_equal(run(shipped, frame)["restored"], run(direct, frame)["restored"])


def test_the_contract_of_a_static_bundle(bundle):
    loaded = Bundle.load(bundle.path)
    assert (loaded.scale, loaded.size_multiple, loaded.halo_px) == (4, 1, 38)
    assert loaded.frame_size == (WIDTH, HEIGHT)
    assert loaded.check_frames() == ("check/one.png", "check/two.png")
    head, blocks, last = 2 * 49 * 3 * 16 // 2, 16 * 2 * 9 * 16 * 16, 9 * 16 * 16
    up = 9 * 16 * 64 + 4 * 9 * 16 * 64
    at_hr = 16 * (9 * 16 * 16 + 9 * 16 * 3)
    assert loaded.graphs[0].macs_per_lr_pixel == head + blocks + last + up + at_hr
    for graph in loaded.graphs:
        layers = [sized(layer, WIDTH, HEIGHT) for layer in loaded.layers_of(graph).layers]
        assert sum(layer.macs for layer in layers) == graph.macs_per_lr_pixel * WIDTH * HEIGHT
    assert loaded.training["recipe"]["model"] == "srresnet-w16"


def test_a_static_bundle_pads_smaller_frames_and_is_too_small_to_be_a_tile(network, bundle):
    frame = soft_picture(6, HEIGHT, WIDTH)
    with Restorer.open(bundle.path) as restorer:
        restored = restorer.restore(frame).astype(int)
        assert np.abs(restored - restoring(network)(frame)).max() <= 1
        assert restorer.restore(frame[:7, :9]).shape == (28, 36, 3)
        with pytest.raises(FrameError, match=r"halo of 38 px; take tiles of 77x12 px.* --size"):
            restorer.restore(soft_picture(6, HEIGHT, WIDTH + 4))


@pytest.mark.slow
def test_tiles_of_an_exported_network_join_to_what_pytorch_gives_for_the_whole(network, tmp_path):
    checkpoint = checkpoint_of("srresnet-w16", network)
    exported = export_bundle(
        checkpoint,
        tmp_path / "toy",
        name="toy",
        licence="MIT",
        card=facts(checkpoint),
        frames=[("one", soft_picture(3, 78, 80))],
        size=(80, 78),
        precisions=["fp32"],
    )
    frame = soft_picture(6, 81, 91)
    with Restorer.open(exported.path) as restorer:
        restored = restorer.restore(frame).astype(int)
    assert np.abs(restored - restoring(network)(frame)).max() <= 1


def test_a_network_in_range_is_proved_with_its_own_weights():
    """settled weights: cnlrn-tiny's bytes are in range, and nothing is put back."""
    network = settled(build_network("cnlrn-tiny"), spread=0.8)
    shape = shape_of(network, 16, 8)
    (proved,) = prove_network(network, shape, [soft_picture(3, 8, 16)], ["fp32"])
    assert proved.proof.passed
    assert proved.proof.relative_error < 1e-5
    assert proved.as_certificate()["simplified_by_onnxsim"] is False


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_changed_weight_is_noticed(network, precision):
    """One of the very first layer, behind sixteen blocks."""
    shape = shape_of(network, WIDTH, HEIGHT)
    (proved,) = prove_network(network, shape, FRAMES, [precision])
    scaled = proved.scaling.applied(network)
    feeds = [feed_of(shape, frame) for frame in FRAMES]
    reference = static_graph(scaled, shape, precision).widened(torch.float32)
    assert prove(reference, traced(scaled, precision), feeds, size=shape.text).passed
    with torch.no_grad():
        scaled.features.head[0].weight[0, 0, 3, 3] += 0.1
    with pytest.raises(ExportError, match=r"differs from PyTorch by .* expected at most 0\.00"):
        prove(reference, traced(scaled, precision), feeds, size=shape.text)


def test_an_fp16_graph_is_compared_in_fp32_with_its_own_weights(network):
    """Widening changes types and no value: the weights are those that fp16 rounded."""
    model, wide = (
        onnx.load_model_from_string(data)
        for data in (traced(network, "fp16"), widened(traced(network, "fp16")))
    )
    onnx.checker.check_model(wide, full_check=True)
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert {tensor.data_type for tensor in model.graph.initializer} >= {half}
    assert half not in {tensor.data_type for tensor in wide.graph.initializer}
    for narrow, broad in zip(model.graph.initializer, wide.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(narrow), numpy_helper.to_array(broad))
    casts = [n.attribute[0].i for n in wide.graph.node if n.op_type == "Cast"]
    assert set(casts) == {single, onnx.TensorProto.UINT8}


def test_bytes_alone_would_prove_nothing(network):
    """Why the copy is scaled: other weights, the same bytes."""
    torch.manual_seed(0)
    other = build_network("srresnet-w16").eval()
    with torch.no_grad():
        other.features.head[0].weight[0, 0, 3, 3] *= 1.1
    a, b = run(traced(network)), run(traced(other))
    assert np.mean(a["restored"] != b["restored"]) < 0.01
    assert np.abs(a[LEVELS] - b[LEVELS]).max() > 5


def test_a_proof_on_saturated_bytes_is_refused(network, monkeypatch):
    monkeypatch.setattr(published, "scaling_for", lambda *_: None)
    shape = shape_of(network, WIDTH, HEIGHT)
    with pytest.raises(ExportError, match=r"% of the bytes of the proof lie within 1 to 254"):
        prove_network(network, shape, FRAMES, ["fp32"])


def test_weights_beyond_fp16_are_said_and_fp32_is_proposed():
    network = untrained("gfn-w16")
    shape = shape_of(network, WIDTH, HEIGHT)
    with pytest.raises(ExportError, match=r"'reconstruct\..*--precision fp32"):
        prove_network(network, shape, FRAMES, ["fp16"])
    (proved,) = prove_network(network, shape, FRAMES, ["fp32"])
    names = {tensor.name for tensor in onnx.load_model_from_string(proved.data).graph.initializer}
    assert "network.deblur.features.weight" in names
    assert not any(name.startswith("network.deblur.image") for name in names)  # the LR head


def test_batch_norms_are_folded_and_the_proof_is_against_the_network_with_them():
    network = settled(build_network("cmsc-fast"), spread=0.5)
    shape = shape_of(network, 16, 8)
    (proved,) = prove_network(network, shape, [soft_picture(3, 8, 16)], ["fp32"])
    kinds = {node.op_type for node in onnx.load_model_from_string(proved.data).graph.node}
    assert proved.proof.passed
    assert "BatchNormalization" not in kinds


def test_sizes_that_cannot_be_are_refused(bundle, tmp_path):
    checkpoint = checkpoint_of("gfn-w16", untrained("gfn-w16"))
    words = {"name": "x", "licence": "MIT", "card": "", "frames": [("a", FRAMES[0])]}
    with pytest.raises(UsageError, match=r"do not divide by 4.*--size 24x20"):
        export_bundle(checkpoint, tmp_path / "x", **words, size=(21, 18))
    edge = checkpoint_of("edge-n", build_network("edge-n"))
    with pytest.raises(UsageError, match="any size; leave out --size"):
        export_bundle(edge, tmp_path / "x", **words, size=(320, 180))
    with pytest.raises(UsageError, match="fp64 cannot be exported; give fp32 or fp16"):
        export_bundle(edge, tmp_path / "x", **words, precisions=["fp64"])
    estimator = checkpoint_of("predeblur-tiny", untrained("predeblur-tiny"))
    with pytest.raises(ExportError, match="makes no bundle"):
        export_bundle(estimator, tmp_path / "x", **words, size=(16, 8))


def test_weights_are_put_back_only_where_they_stand_alone(network):
    data = traced(network)
    name = f"network.{CONV}.weight"
    own = network.get_submodule(CONV).weight.detach().numpy()
    other = with_tensors(data, {name: (own, own + 1)})
    assert differing_parts(data, other) == {name}
    assert with_tensors(other, {name: (own + 1, own)}) == data
    with pytest.raises(ExportError, match="does not hold the scaled weights"):
        with_tensors(data, {name: (own + 1, own)})
    with pytest.raises(ExportError, match="'nowhere' 0 times"):
        with_tensors(data, {"nowhere": (own, own)})
    model = onnx.load_model_from_string(data)
    model.graph.node[0].name = "renamed"
    assert differing_parts(data, model.SerializeToString()) == {"graph"}


def test_weights_that_onnxsim_writes_beside_its_graph_are_taken_back(network, monkeypatch):
    """It does so with large ones; the graph alone would be of no use."""
    data = traced(network)

    def onnxsim(command, **_):
        model = onnx.load_model_from_string(data)
        place = {"save_as_external_data": True, "location": "after.onnx.data"}
        onnx.save(model, command[4], **place, size_threshold=1000)

    monkeypatch.setattr(surgery.subprocess, "run", onnxsim)
    whole = simplified(data, fuse=False)
    assert np.array_equal(run(whole)["restored"], run(data)["restored"])


def test_frames_are_cut_from_the_middle_and_mirrored_where_too_small():
    frame = soft_picture(3, 10, 12)
    assert np.array_equal(fitted(frame, 6, 4), frame[3:7, 3:9])
    larger = fitted(frame, 14, 11)
    assert np.array_equal(larger[:10, :12], frame)
    assert np.array_equal(larger[:10, 12:], frame[:, [10, 9]])
    assert np.array_equal(fitted(frame, 12, 10), frame)
