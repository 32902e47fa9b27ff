"""`crispstream export` of the published networks."""

import json

import pytest
import torch

from crispstream.cli.main import main
from crispstream.train.checkpoint import Checkpoint, save_checkpoint
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe


@pytest.fixture
def saved(tmp_path):
    def save(name):
        torch.manual_seed(0)
        weights = dict(build_network(name).state_dict())
        path = tmp_path / f"{name}.safetensors"
        save_checkpoint(path, Checkpoint(Recipe(name, steps=1), weights, 1, ("a.png",)))
        return str(path)

    return save


@pytest.mark.slow
def test_a_restoring_network_becomes_a_bundle_of_the_size_asked_for(saved, tmp_path, capsys):
    words = ["export", saved("srresnet-w16"), "-o", str(tmp_path / "b"), "--size", "24x16"]
    assert main([*words, "--precision", "fp32", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (figures,) = told["graphs"].values()
    assert told["bundle"] == str(tmp_path / "b")
    assert (figures["size"], figures["frames"], figures["passed"]) == ("24x16", 4, True)
    assert not (tmp_path / "b" / "fp16.onnx").exists()
    assert main(["inspect", str(tmp_path / "b")]) == 0
    assert "relative error" in capsys.readouterr().out


@pytest.mark.slow
def test_any_other_network_becomes_a_folder_of_onnx(saved, tmp_path, capsys):
    words = ["export", saved("predeblur-tiny"), "-o", str(tmp_path / "p"), "--size", "24x16"]
    assert main([*words, "--precision", "fp32"]) == 0
    said = capsys.readouterr().out
    assert "floats," in said
    assert "crispstream run" not in said
    assert (tmp_path / "p" / "fp32.onnx").is_file()


def test_mistakes_are_one_sentence_and_exit_code_two(saved, tmp_path, capsys):
    out = ["-o", str(tmp_path / "x")]
    for words, said in (
        ([saved("gfn-w16"), "--size", "22x16"], "do not divide by 4"),
        ([saved("gfn-w16"), "--size", "big"], "not WIDTHxHEIGHT"),
        ([saved("gfn-w16"), "--precision", "int8", "--size", "16x16"], "int8 cannot be exported"),
        ([saved("edge-n"), "--size", "320x180"], "leave out --size"),
    ):
        assert main(["export", *words, *out]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
