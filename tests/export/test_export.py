"""Exports: the byte graph, its parity with PyTorch, and the bundle that comes out."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from crispstream.core.bundle import Bundle
from crispstream.core.errors import ExportError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.layers import sized
from crispstream.export.card import facts
from crispstream.export.check_frames import read_frames, shipped_frames
from crispstream.export.exporter import export_bundle
from crispstream.export.graph import (
    FLOAT_OUTPUT,
    ByteGraph,
    macs_per_lr_pixel,
    onnx_from_network,
)
from crispstream.export.parity import check_parity, same_outputs, sequences_of
from crispstream.export.surgery import simplified, without_output
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.registry import build_recipe
from crispstream.train.restoring import restoring
from tests.helpers.pictures import soft_picture

FRAMES = [soft_picture(3, 24, 32), soft_picture(4, 16, 20)]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("edge-n").eval()


@pytest.fixture(scope="module")
def fp32(network):
    return onnx_from_network(network, "fp32")


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory):
    checkpoint = Checkpoint(build_recipe("edge-n"), dict(network.state_dict()), 7, ("a.png",))
    return export_bundle(
        checkpoint,
        tmp_path_factory.mktemp("export") / "toy",
        name="toy",
        licence="CC-BY-4.0",
        card=facts(checkpoint),
        frames=[("one", FRAMES[0]), ("two", FRAMES[1])],
    )


def test_the_byte_graph_gives_the_bytes_of_the_network(network):
    """Bytes of the graph against the training network, padded and rounded outside of it."""
    by_graph = ByteGraph(network, "fp32")(torch.from_numpy(FRAMES[0][None]))[0][0].numpy()
    by_network = restoring(network)(FRAMES[0])
    difference = np.abs(by_graph.astype(int) - by_network)
    assert difference.max() <= 1
    assert np.mean(difference != 0) < 1e-3


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_graph_matches_pytorch_on_floats_and_bytes(network, precision):
    parity = check_parity(network, onnx_from_network(network, precision), precision, FRAMES)
    assert parity.passed
    assert parity.float_largest < {"fp32": 1e-2, "fp16": 1.0}[precision]
    assert parity.bytes_largest <= {"fp32": 1, "fp16": 2}[precision]


def test_a_graph_of_other_weights_is_refused(fp32):
    torch.manual_seed(1)
    with pytest.raises(ExportError, match="do not ship it"):
        check_parity(build_network("edge-n").eval(), fp32, "fp32", FRAMES)


def test_weights_that_are_not_finite_are_refused(network):
    sick = build_network("edge-n").eval()
    sick.load_state_dict(network.state_dict())
    with torch.no_grad():
        sick.tail.bias[0] = float("nan")
    with pytest.raises(ExportError, match="do not ship it"):
        check_parity(sick, onnx_from_network(sick, "fp32"), "fp32", FRAMES)


def test_white_and_black_stay_so(fp32):
    """Clip before cast: a cast alone would wrap 256 round to 0."""
    session = onnxruntime.InferenceSession(fp32, providers=["CPUExecutionProvider"])
    for level in (0, 255):
        frame = np.full((1, 16, 16, 3), level, np.uint8)
        restored = session.run(["restored"], {"frame": frame})[0]
        assert np.abs(restored.astype(int) - level).max() < 100


def test_a_simplified_graph_is_kept_only_if_it_matches(fp32, network):
    simple = simplified(fp32)
    assert simple is not None
    shown = sequences_of(network, FRAMES)
    assert same_outputs(fp32, simple, shown)
    torch.manual_seed(1)
    assert not same_outputs(fp32, onnx_from_network(build_network("edge-n"), "fp32"), shown)
    assert not same_outputs(fp32, b"junk", shown)
    assert simplified(b"junk") is None


def test_macs_are_those_worked_by_hand(network):
    """edge-n: kernel x in x out, a fourth of it at half size, a sixteenth at a quarter."""
    lr = 9 * (3 * 16 + 16 * 48 + 3 * 48)  # head, tail, base
    half = 9 * (16 * 32 + 32 * 32) + 2 * 32 * 16  # down, decode, up and gate
    quarter = 9 * 3 * 32 * 32 + 32 * 32  # down, bottom, up
    assert macs_per_lr_pixel(network) == lr + half // 4 + quarter // 16


def test_the_bundle_holds_what_a_device_needs(bundle):
    loaded = Bundle.load(bundle.path)
    assert [graph.precision for graph in loaded.graphs] == ["fp32", "fp16"]
    assert (loaded.scale, loaded.size_multiple, loaded.halo_px) == (4, 4, 18)
    assert loaded.check_frames() == ("check/one.png", "check/two.png")
    assert loaded.training["steps_done"] == 7
    judged = loaded.certificate()["graphs"]
    for graph in loaded.graphs:
        data = loaded.graph_bytes(graph)
        assert judged[sha256_of(data)]["passed"]
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        assert [output.name for output in model.graph.output] == ["restored"]


def test_the_layers_in_the_bundle_do_the_work_that_it_tells_of(bundle):
    for graph in bundle.graphs:
        layers = [sized(layer, 20, 12) for layer in bundle.layers_of(graph).layers]
        assert sum(layer.macs for layer in layers) == graph.macs_per_lr_pixel * 20 * 12


def test_the_shipped_graphs_take_free_sizes(bundle):
    session = onnxruntime.InferenceSession(
        bundle.graph_bytes(bundle.graph("fp32")), providers=["CPUExecutionProvider"]
    )
    for height, width in ((8, 12), (20, 16)):
        frame = np.zeros((1, height, width, 3), np.uint8)
        assert session.run(None, {"frame": frame})[0].shape == (1, 4 * height, 4 * width, 3)


def test_only_a_bundle_is_overwritten_and_only_when_asked(network, bundle, tmp_path):
    checkpoint = Checkpoint(build_recipe("edge-n"), dict(network.state_dict()), 7, ())
    words = {"name": "x", "licence": "MIT", "card": "", "frames": [("a", FRAMES[0])]}
    with pytest.raises(UsageError, match="--overwrite"):
        export_bundle(checkpoint, bundle.path, **words)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is no bundle"):
        export_bundle(checkpoint, tmp_path / "mine", **words, overwrite=True)


def test_an_output_can_be_dropped(fp32):
    shorter = onnx.load_model_from_string(without_output(fp32, FLOAT_OUTPUT))
    assert [output.name for output in shorter.graph.output] == ["restored"]


def test_the_kit_brings_frames_to_check_on():
    frames = shipped_frames()
    assert len(frames) == 4
    assert all(image.shape == (180, 320, 3) for _, image in frames)


def test_a_folder_without_frames_is_said(tmp_path):
    with pytest.raises(UsageError, match="no PNG frames"):
        read_frames(tmp_path)
    (tmp_path / "x.png").write_text("text")
    with pytest.raises(UsageError, match="not an image"):
        read_frames(tmp_path)
