"""`crispstream evaluate` and `import`: protocols, ensemble, groups of maps, what is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from crispstream.cli.evaluate import PROTOCOLS
from crispstream.cli.main import main
from crispstream.core.bicubic import downscale_x4, upscale_x4
from crispstream.core.metrics import CONVENTIONS, psnr_db, ssim
from crispstream.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from crispstream.train.models.registry import build_network
from crispstream.train.recipes.registry import build_recipe
from tests.helpers.pictures import soft_picture, write_picture

ROOT = Path(__file__).parents[2]
HR = soft_picture(3, 80, 112)


def write(path: Path, image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write(tmp_path / "pairs/lr/a.png", downscale_x4(HR))
    write(tmp_path / "pairs/hr/a.png", HR)
    return tmp_path / "pairs"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """One picture, the same in five groups, with Cityscapes' labels."""
    folder = tmp_path / "bsr/test"
    labels = np.full(HR.shape[:2], 3, np.uint8)
    labels[:4] = 255
    write(folder / "GT/a.png", HR)
    write(folder / "semseg/a.png", labels)
    for group in range(1, 6):
        write(folder / f"Group{group}/LRx4/a.png", downscale_x4(HR))
        write(folder / f"Group{group}/blur/a.png", np.full(HR.shape, 20, np.uint16))
    return folder.parent


def checkpoint_of(name: str, folder: Path) -> str:
    torch.manual_seed(0)
    recipe = replace(build_recipe("edge-n"), model=name)
    path = folder / f"{name}.safetensors"
    save_checkpoint(path, Checkpoint(recipe, dict(build_network(name).state_dict()), 0, ()))
    return str(path)


def judged(capsys, *words: str) -> list[dict]:
    assert main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_without_a_protocol_figures_are_the_kits_own(pairs: Path, capsys) -> None:
    (score,) = judged(capsys, "bicubic", "--data", str(pairs))
    keys = "model frames psnr_db ssim gain_db worst worst_gain_db true_maps protocol ensemble data"
    assert list(score) == keys.split()
    assert (score["protocol"], score["ensemble"], score["data"]) == ("plain", False, str(pairs))
    assert score["psnr_db"] == psnr_db(upscale_x4(downscale_x4(HR)), HR)


@pytest.mark.parametrize("protocol", ["gfn", "cnlrn", "cmos", "cmsc"])
def test_a_protocol_decides_the_figures_and_is_named(protocol: str, pairs: Path, capsys) -> None:
    (score,) = judged(capsys, "bicubic", "--data", str(pairs), "--protocol", protocol)
    restored = upscale_x4(downscale_x4(HR))
    assert score["protocol"] == protocol
    assert score["psnr_db"] == psnr_db(restored, HR, CONVENTIONS[protocol])
    assert score["ssim"] == ssim(restored, HR, CONVENTIONS[protocol])
    assert main(["evaluate", "bicubic", "--data", str(pairs), "--protocol", protocol]) == 0
    assert f"protocol {protocol}" in capsys.readouterr().out


def test_every_convention_is_a_protocol_and_described_as_it_is() -> None:
    assert set(PROTOCOLS) == set(CONVENTIONS) - {"plain"}
    for name, words in PROTOCOLS.items():
        convention = CONVENTIONS[name]
        assert words.startswith({"rgb": "RGB", "y": "luma"}[convention.colour])
        assert (f"{convention.crop_px} px" in words) == (convention.crop_px > 0)
        assert ("volume" in words) == (convention.ssim == "volume")


def test_an_ensemble_is_of_checkpoints(pairs: Path, tmp_path: Path, capsys) -> None:
    checkpoint = checkpoint_of("edge-n", tmp_path)
    data = ["--data", str(pairs), "--protocol", "cnlrn"]
    (once,) = judged(capsys, checkpoint, *data)
    eight, bicubic = judged(capsys, checkpoint, "bicubic", *data, "--ensemble")
    assert eight["psnr_db"] != once["psnr_db"]
    assert (eight["ensemble"], once["ensemble"]) == (True, False)
    assert bicubic["gain_db"] == 0
    assert main(["evaluate", "edge-n", *data, "--ensemble"]) == 2
    assert "gives bytes" in capsys.readouterr().err


@pytest.mark.slow
def test_groups_are_judged_on_frames_and_maps(
    groups: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    names = ("cmos-tiny", "rrdb-sft-tiny", "blindsr-tiny")
    models = [*(checkpoint_of(name, tmp_path) for name in names), "bicubic"]
    words = [*models, "--data", str(groups), "--protocol", "cmos"]
    estimator, upper_bound, joined, bicubic = judged(capsys, *words)
    frames, maps = {"psnr_db", "ssim", "gain_db"}, {"sigma_psnr_db", "sigma_ssim", "mean_iou"}
    assert (maps | frames) & set(estimator) == maps
    assert (maps | frames) & set(upper_bound) == frames
    assert frames | maps <= set(joined)
    assert bicubic["gain_db"] == 0
    assert {row["frames"] for row in (estimator, upper_bound, joined, bicubic)} == {5}
    assert {row["protocol"] for row in (estimator, bicubic)} == {"cmos"}
    rows = (estimator, upper_bound, joined, bicubic)
    assert [row["true_maps"] for row in rows] == [False, True, False, False]
    assert {row["data"] for row in rows} == {str(groups / "test")}
    assert main(["evaluate", *words]) == 0
    table = capsys.readouterr().out
    assert "mIoU" in table
    (marked,) = (line for line in table.splitlines() if "(true maps given)" in line)
    assert "rrdb-sft-tiny.safetensors" in marked
    assert "true maps given: blur" in table


def test_what_cannot_be_judged_is_one_sentence(
    pairs: Path, groups: Path, tmp_path: Path, capsys
) -> None:
    write_picture(tmp_path / "photos/a.png")
    for words, said in (
        (["--data", str(pairs), "--protocol", "ntire"], "known: gfn, cnlrn, cmos, cmsc"),
        (["--data", str(pairs), "--protocol", "CMOS"], "did you mean 'cmos'?"),
        (["--data", str(groups)], "/test' with --protocol cmos"),
        (["--data", str(tmp_path / "photos"), "--protocol", "gfn"], "given pairs only"),
        (["--data", str(groups), "--protocol", "cmos", "--ensemble"], "leave out --ensemble"),
        (["--data", str(tmp_path / "none"), "--protocol", "cmos"], "does not exist"),
    ):
        assert main(["evaluate", "bicubic", *words]) == 2
        error = capsys.readouterr().err
        assert said in " ".join(error.split())
        assert "Traceback" not in error


def test_equal_images_are_null_in_json(pairs: Path, capsys) -> None:
    write(pairs / "hr/a.png", upscale_x4(downscale_x4(HR)))
    (score,) = judged(capsys, "bicubic", "--data", str(pairs))
    assert (score["psnr_db"], score["gain_db"], score["worst_gain_db"]) == (None, 0, 0)
    assert main(["evaluate", "bicubic", "--data", str(pairs)]) == 0
    assert "inf" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bicubic", "edge-n"])
def test_neither_bicubic_nor_a_bundle_needs_torch(model: str, pairs: Path, groups: Path) -> None:
    program = "import sys; sys.modules['torch'] = None; from crispstream.cli.main import main\n"
    program += "sys.exit(main(sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "build/links")}
    for data, protocol in ((pairs, "gfn"), (groups, "cmos")):
        words = ["evaluate", model, "--data", str(data), "--protocol", protocol]
        command = [sys.executable, "-c", program, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_published_weights_are_imported_and_judged(pairs: Path, tmp_path: Path, capsys) -> None:
    state = build_network("gfn").state_dict()
    small = {f"module.{k}": tensor * 0.1 for k, tensor in enumerate(state.values())}
    torch.save({"state_dict": small}, tmp_path / "GFN.pth")
    out = tmp_path / "gfn.safetensors"
    words = ["import", "gfn", str(tmp_path / "GFN.pth"), "-o", str(out)]
    assert main(words) == 0
    assert "--protocol gfn" in capsys.readouterr().out
    assert load_checkpoint(out).recipe.model == "gfn"
    (score,) = judged(capsys, str(out), "--data", str(pairs), "--protocol", "gfn")
    assert score["frames"] == 1
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
