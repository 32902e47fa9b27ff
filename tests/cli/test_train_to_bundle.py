"""From pictures to a bundle through the command line: train, evaluate, export, run."""

import json
from pathlib import Path

import pytest

from crispstream.cli.main import main
from crispstream.core.bundle import Bundle
from tests.helpers.pictures import write_picture


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and a checkpoint of three steps on them."""
    folder = tmp_path_factory.mktemp("user")
    for seed in range(2):
        write_picture(folder / "photos" / f"{seed}.png", seed, 260, 280)
    (folder / "photos" / "broken.png").write_text("left out by name")
    words = ["train", "edge-n-smoke", "--data", str(folder / "photos"), "--steps", "3"]
    words += ["--exclude", "nothing*", "--exclude", "brok*"]
    places = ["-o", str(folder / "run"), "--cache", str(folder / "cache"), "--workers", "0"]
    assert main([*words, *places]) == 0
    (folder / "photos" / "broken.png").unlink()
    return folder


@pytest.mark.slow
def test_what_was_left_out_is_in_the_checkpoint_and_a_run_is_not_replaced(
    trained: Path, capsys
) -> None:
    from crispstream.train.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(trained / "run" / "edge-n.safetensors")
    assert checkpoint.data == ("0.png", "1.png")
    assert checkpoint.recipe.pool.exclude[-2:] == ("nothing*", "brok*")
    assert "brighton_*" in checkpoint.recipe.pool.exclude
    words = ["train", "edge-n-smoke", "--data", str(trained / "photos"), "--steps", "3"]
    assert main([*words, "-o", str(trained / "run")]) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_is_judged_beside_bicubic(trained: Path, capsys) -> None:
    checkpoint = str(trained / "run" / "edge-n.safetensors")
    data = ["--data", str(trained / "photos")]
    assert main(["evaluate", checkpoint, "bicubic", *data, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert [score["model"] for score in scores] == [checkpoint, "bicubic"]
    assert scores[1]["gain_db"] == 0
    assert scores[0]["frames"] == 2
    assert main(["evaluate", "bicubic", *data]) == 0
    assert "over bicubic" in capsys.readouterr().out


@pytest.mark.slow
def test_a_checkpoint_becomes_a_bundle_that_restores(trained: Path, capsys) -> None:
    bundle = trained / "bundle"
    export = ["export", str(trained / "run" / "edge-n.safetensors"), "-o", str(bundle)]
    assert main([*export, "--json"]) == 0
    graphs = json.loads(capsys.readouterr().out)["graphs"]
    assert {figures["precision"] for figures in graphs.values()} == {"fp32", "fp16"}
    assert all(figures["passed"] for figures in graphs.values())
    assert "Quality was not measured" in (bundle / "CARD.md").read_text()
    exported = Bundle.load(bundle)
    assert all(exported.layers_of(graph).layers for graph in exported.graphs)
    assert main(export) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*export, "--overwrite"]) == 0
    photo, out = str(trained / "photos" / "0.png"), str(trained / "out.png")
    assert main(["run", photo, out, "--model", str(bundle)]) == 0
    assert Path(out).is_file()


def test_after_quantisation_aware_training_the_way_to_int8_is_told(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    asked: dict[str, object] = {}

    def learnt(recipe, data, output, **options):
        asked.update(options, quantised=recipe.quantised)
        return output / "edge-s.safetensors"

    monkeypatch.setattr("crispstream.train.loop.train", learnt)
    start = tmp_path / "start.safetensors"
    start.touch()
    words = ["train", "edge-s-qat-cpu", "--data", "photos", "-o", "out", "--from", str(start)]
    assert main([*words, "--calibration", "b/calibration"]) == 0
    assert (asked["calibration"], asked["quantised"]) == (Path("b/calibration"), "int8-cpu")
    assert asked["start"] == start
    told = " ".join(capsys.readouterr().out.split())
    assert "next: crispstream export out/edge-s.safetensors -o bundles/edge-s" in told
    files = "--ranges out/ranges.json --layers out/plan.json"
    assert f"then: crispstream calibrate bundles/edge-s {files} -o bundles/edge-s-int8" in told


def test_mistakes_are_one_sentence_and_exit_code_two(tmp_path: Path, capsys) -> None:
    nowhere = str(tmp_path / "nowhere")
    out = ["-o", str(tmp_path / "out")]
    for words, said in (
        (["train", "edge-x", "--data", str(tmp_path), *out], "no recipe 'edge-x'"),
        (["train", "edge-n", "--data", nowhere, *out], "does not exist"),
        (["train", "edge-n", "--data", str(tmp_path), *out], "no training media"),
        (["train", "edge-n-qat", "--data", str(tmp_path), *out], "--calibration the folder"),
        (["train", "edge-n", "--data", nowhere, "--calibration", nowhere, *out], "leave it out"),
        (["export", nowhere, *out], "does not exist"),
        (["evaluate", "bicubic", "--data", nowhere], "does not exist"),
        (["evaluate", "edge-x", "--data", str(tmp_path)], "edge-x"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
