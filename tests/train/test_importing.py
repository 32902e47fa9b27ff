"""Published weights: matched by order and shape, turned to BGR, and files that are refused."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
import torch

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.checkpoint import load_checkpoint
from crispstream.train.importing import (
    PUBLISHED,
    converted,
    import_checkpoint,
    read_state_dict,
)
from crispstream.train.models.registry import build_network

GFN = PUBLISHED["gfn"]
GFN_W16 = replace(
    GFN, network="gfn-w16", reads=(("deblur.head.0", 0), ("features.head.0", 0), ("gate.mix.0", 16))
)
CNLRN_TINY = replace(PUBLISHED["cnlrn"], network="cnlrn-tiny")
ORDER = ("deblur", "features", "gate", "reconstruct")
"""Modules of GFN in the order of the authors' code."""


def untrained(name):
    """A network whose biases are not all zero: zeros look the same either way round."""
    torch.manual_seed(0)
    network = build_network(name).eval()
    for key, parameter in network.named_parameters():
        if key.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return network


def foreign(network, prefix=""):
    """The network's tensors under names of somebody else's, module for module."""
    state = network.state_dict()
    assert list(dict.fromkeys(name.split(".")[0] for name in state)) == list(ORDER)
    return {
        f"{prefix}part{ORDER.index(name.split('.')[0])}.layer{k}.{name.split('.')[-1]}": tensor
        for k, (name, tensor) in enumerate(state.items())
    }


def as_rgb_weights_do(network, x_bgr):
    """Run a network as if its weights were for RGB."""
    outputs = network(x_bgr.flip(1))
    return outputs.restored().flip(1), outputs.lr.flip(1)


def test_an_imported_network_does_for_bgr_what_the_authors_does_for_rgb():
    theirs, ours = untrained("gfn-w16"), build_network("gfn-w16").eval()
    ours.load_state_dict(converted(GFN_W16, foreign(theirs)))
    theirs, ours = theirs.double(), ours.double()
    x = torch.rand(1, 3, 8, 12, dtype=torch.float64)
    with torch.no_grad():
        (hr, lr), found = as_rgb_weights_do(theirs, x), ours(x)
        unturned = theirs(x)
    torch.testing.assert_close(found.restored(), hr, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.lr, lr, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(unturned.restored(), hr, rtol=1e-2)
    assert not torch.allclose(unturned.lr, lr, rtol=1e-2)


def foreign_attention(network, words):
    """Tensors under other names, the three convolutions of an attention in an order of `words`."""
    state = network.state_dict()
    names = {name: name.replace("restore.", "second.part_") for name in state}
    renamed = {}
    for name, other in names.items():
        role = next((word for word in words if f".{word}." in name), None)
        if role is None:
            renamed[other] = state[name]
        elif role == "query" and name.endswith("weight"):
            stem = name.removesuffix("query.weight")
            for word in words:
                for part in ("weight", "bias"):
                    tensor = state[f"{stem}{word}.{part}"]
                    renamed[f"{names[name].removesuffix('query.weight')}{word}_x.{part}"] = tensor
    return renamed


@pytest.mark.parametrize("words", [("query", "key", "value"), ("query", "value", "key")])
def test_query_key_and_value_are_told_apart_by_name(words):
    theirs, ours = untrained("cnlrn-tiny"), build_network("cnlrn-tiny").eval()
    ours.load_state_dict(converted(CNLRN_TINY, foreign_attention(theirs, words)))
    theirs, ours = theirs.double(), ours.double()
    x = torch.rand(1, 3, 8, 12, dtype=torch.float64)
    with torch.no_grad():
        expected, found = theirs(x.flip(1)).restored().flip(1), ours(x).restored()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_an_attention_whose_names_say_nothing_is_refused():
    state = untrained("cnlrn-tiny").state_dict()
    nameless = {f"layer{k}": tensor for k, tensor in enumerate(state.values())}
    with pytest.raises(TrainError, match="query, key and value"):
        converted(CNLRN_TINY, nameless)


def test_every_image_of_a_published_network_is_turned():
    """Whatever reads or makes three channels is in the table; nothing else is."""
    for published in PUBLISHED.values():
        with torch.device("meta"):
            weights = build_network(published.network).state_dict()
        read = {name for name, _ in published.reads}
        for name, first in published.reads:
            assert weights[f"{name}.weight"].shape[1] >= first + 3
        three_in = {n for n, w in weights.items() if w.ndim == 4 and w.shape[1] in (3, 131)}
        three_out = {n for n, w in weights.items() if w.ndim == 4 and w.shape[0] == 3}
        assert three_in == {f"{name}.weight" for name in read}
        assert three_out == {f"{name}.weight" for name in published.makes}


@pytest.mark.parametrize("envelope", [None, "state_dict", "params", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_envelopes_and_prefixes_are_taken_off(tmp_path, envelope, prefix):
    state = {f"{prefix}a.weight": torch.ones(2), f"{prefix}b.weight": torch.zeros(1)}
    content = state if envelope is None else {"epoch": 3, envelope: state}
    torch.save(content, tmp_path / "w.pth")
    assert list(read_state_dict(tmp_path / "w.pth")) == ["a.weight", "b.weight"]


@pytest.mark.slow
def test_a_file_of_gfn_becomes_a_checkpoint(tmp_path):
    theirs = untrained("gfn")
    torch.save({"state_dict": foreign(theirs, "module.")}, tmp_path / "GFN.pth")
    out = import_checkpoint("gfn", tmp_path / "GFN.pth", tmp_path / "gfn.safetensors")
    checkpoint = load_checkpoint(out)
    assert (checkpoint.recipe.model, checkpoint.steps_done) == ("gfn", 0)
    assert checkpoint.data == ("imported: GFN.pth",)
    state, found = theirs.state_dict(), checkpoint.network().state_dict()
    turned = {name for name in state if not torch.equal(state[name], found[name])}
    assert turned == {
        *(f"{name}.weight" for name, _ in GFN.reads),
        *(f"{name}.{part}" for name in GFN.makes for part in ("weight", "bias")),
    }
    gate = state["gate.mix.0.weight"]
    assert torch.equal(found["gate.mix.0.weight"][:, 64:67], gate[:, [66, 65, 64]])
    assert torch.equal(found["gate.mix.0.weight"][:, 67:], gate[:, 67:])
    with pytest.raises(UsageError, match="--overwrite"):
        import_checkpoint("gfn", tmp_path / "GFN.pth", out)


def test_the_first_tensor_that_does_not_fit_is_named():
    state = foreign(build_network("gfn-w16"))
    names = list(state)
    swapped = {name: state[name] for name in [*names[:4], names[5], names[4], *names[6:]]}
    with pytest.raises(TrainError, match=rf"tensor 5 .*'{names[5]}'.*\[16\].*\[16, 16, 3, 3\]"):
        converted(GFN_W16, swapped)
    with pytest.raises(TrainError, match=f"{len(names) - 1} tensors.*has {len(names)}"):
        converted(GFN_W16, {name: state[name] for name in names[:-1]})
    with pytest.raises(TrainError, match=f"{len(names) + 1} tensors"):
        converted(GFN_W16, state | {"extra": torch.zeros(1)})
    with pytest.raises(TrainError, match=r"torch\.int64"):
        converted(GFN_W16, {name: tensor.long() for name, tensor in state.items()})


class Calls:
    """What a file with code holds: opening it as a pickle calls a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("modern", [True, False])
def test_code_in_a_file_is_not_run_and_means_harm(tmp_path, modern):
    content = {"a.weight": torch.ones(2), "b": Calls(os.mkdir, str(tmp_path / "ran"))}
    torch.save(content, tmp_path / "w.pkl", _use_new_zipfile_serialization=modern)
    with pytest.raises(TrainError, match=r"\.mkdir.*Delete it") as caught:
        read_state_dict(tmp_path / "w.pkl")
    assert "torch.load" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "w.pkl", weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("function", [os.system, eval, subprocess.call, shutil.rmtree])
def test_no_recipe_is_given_for_files_that_mean_harm(tmp_path, function):
    torch.save({"a": Calls(function, "1")}, tmp_path / "w.pth")
    with pytest.raises(TrainError, match=r"would call [\w.]+ when opened") as caught:
        read_state_dict(tmp_path / "w.pth")
    assert "weights_only=False" not in str(caught.value)


def test_a_whole_network_is_refused_by_its_name_and_the_way_out_is_said(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "w.pkl")
    with pytest.raises(TrainError, match=r"torch\.nn\.modules\.conv\.Conv2d") as caught:
        read_state_dict(tmp_path / "w.pkl")
    assert f"torch.load('{tmp_path / 'w.pkl'}', weights_only=False" in str(caught.value)
    assert "torch.save(m.state_dict()" in str(caught.value)


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
def test_tensors_that_are_not_finite_are_refused_by_name(figure):
    state = foreign(build_network("gfn-w16"))
    names = list(state)
    for name in names[4:7:2]:
        state[name] = torch.full_like(state[name], figure)
    with pytest.raises(TrainError, match=f"tensor 5 of the file, '{names[4]}', holds NaN"):
        converted(GFN_W16, state)


def test_weights_of_another_system_are_told_by_their_number():
    state = build_network("gfn-w16").state_dict()
    with pytest.raises(TrainError, match=f"the file has {len(state)} tensors and network 'cnlrn"):
        converted(CNLRN_TINY, state)


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    torch.save(foreign(untrained("gfn")), tmp_path / "w.pth")
    (tmp_path / "file").write_text("")
    (tmp_path / "taken.safetensors").mkdir()
    for out in ("file/out.safetensors", "taken.safetensors", "x" * 243 + ".safetensors"):
        with pytest.raises(TrainError, match=r"cannot write the checkpoint.*make room"):
            import_checkpoint("gfn", tmp_path / "w.pth", tmp_path / out, overwrite=True)
    assert not list(tmp_path.glob(".*.part"))


def test_other_mistakes(tmp_path):
    out = tmp_path / "out.safetensors"
    with pytest.raises(UsageError, match="gfn"):
        import_checkpoint("edge-s", tmp_path / "w.pth", out)
    with pytest.raises(UsageError, match="did you mean 'gfn'"):
        import_checkpoint("GFN", tmp_path / "w.pth", out)
    with pytest.raises(UsageError, match="is a folder"):
        import_checkpoint("gfn", tmp_path, out)
    with pytest.raises(UsageError, match="does not exist"):
        import_checkpoint("gfn", tmp_path / "w.pth", out)
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        import_checkpoint("gfn", tmp_path / "w.pth", tmp_path / "out.pth")
    for name, match in (("w.safetensors", "order of their names"), ("w.zip", "no file of weights")):
        (tmp_path / name).write_bytes(b"0")
        with pytest.raises(UsageError, match=match):
            read_state_dict(tmp_path / name)
    for content in (b"", b"hello", b"PK\x03\x04 not a zip", bytes(range(256))):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(TrainError, match="not a file that torch"):
            read_state_dict(tmp_path / "w.pth")
    for kept in ({}, {"epoch": 3}, [torch.ones(1)], {"params": {"a": torch.ones(1), "b": 2}}):
        torch.save(kept, tmp_path / "w.pth")
        with pytest.raises(TrainError, match="no plain state dict"):
            read_state_dict(tmp_path / "w.pth")
