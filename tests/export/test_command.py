"""`crispstream export` of the published networks."""

import json
from pathlib import Path

import pytest
import torch

from crispstream.cli.main import main
from crispstream.core.bundle import Bundle
from crispstream.export.card import card_with_sheet
from crispstream.train.checkpoint import Checkpoint, save_checkpoint
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.recipe import Recipe
from tests.helpers.pictures import write_picture


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


@pytest.mark.slow
def test_card_and_contact_sheet_beside_the_checkpoint_go_into_the_bundle(saved, tmp_path, capsys):
    path, out = saved("edge-n"), tmp_path / "b"
    sheet = b"\xff\xd8\xff, a made-up picture"
    Path(path).with_suffix(".jpg").write_bytes(sheet)
    Path(path).with_suffix(".md").write_text("# edge-n\n\n![frames](edge-n.jpg)\n")
    (tmp_path / "frames").mkdir()
    write_picture(tmp_path / "frames" / "a.png", height=16, width=16)
    words = ["export", path, "-o", str(out), "--precision", "fp32"]
    assert main([*words, "--frames", str(tmp_path / "frames")]) == 0
    capsys.readouterr()
    bundle = Bundle.load(out)
    assert bundle.file_bytes("contact-sheet.jpg") == sheet
    assert bundle.file_bytes("CARD.md") == b"# edge-n\n\n![frames](contact-sheet.jpg)\n"


def test_what_is_no_jpeg_is_no_contact_sheet(saved, tmp_path, capsys):
    path = saved("edge-n")
    Path(path).with_suffix(".jpg").write_bytes(b"text")
    assert main(["export", path, "-o", str(tmp_path / "b")]) == 2
    assert "is no JPEG file" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_card_without_a_link_gets_one():
    assert card_with_sheet("# x\n", "x.jpg") == (
        "# x\n\n## Pictures\n\n![Frames before and after](contact-sheet.jpg)\n"
    )


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
