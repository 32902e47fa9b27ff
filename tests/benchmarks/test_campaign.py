"""Sessions of the quality campaign: packs, what goes home, and what they may import."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks import campaign
from benchmarks.campaign_judge import gains, judge_folder, middle
from benchmarks.campaign_pack import MEBIBYTE, is_pool, pack, png, unpack
from benchmarks.campaign_return import HALVED, NONE, WHOLE, bring_home
from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import write_json_atomically
from crispstream.core.metrics import psnr_db
from crispstream.train.data.pool import PoolPlan, open_pool
from crispstream.train.evaluate import Sample, read_pairs
from tests.helpers.pictures import soft_picture

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / "pool"
    folder.mkdir()
    hr = np.stack([soft_picture(seed, 64, 64) for seed in range(12)])
    np.save(folder / "hr.npy", hr)
    np.save(folder / "lr.npy", hr[:, 1::4, 2::4])
    write_json_atomically(folder / "pool.json", {"pairs": 12, "files": ["a.jpg"], "plan": {}})
    return folder


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    folder = tmp_path / "judge"
    for side, size in (("lr", 16), ("hr", 64)):
        (folder / side).mkdir(parents=True)
        for number in range(2):
            picture = soft_picture(number, size, size)
            (folder / side / f"real.{number:02d}.png").write_bytes(png(picture))
    return folder


def test_a_pack_gives_back_a_pool(pool: Path, judge: Path, tmp_path: Path) -> None:
    start = tmp_path / "edge-n.safetensors"
    start.write_bytes(b"weights")
    made = pack(pool, tmp_path / "p.zip", max_bytes=MEBIBYTE, judge=judge, start=start)
    assert (made.crops, made.crops_of_pool) == (12, 12)
    there = unpack(tmp_path / "p.zip", tmp_path / "there")
    assert is_pool([there])
    lr, hr = open_pool(there)
    old_lr, old_hr = open_pool(pool)
    order = [int(np.abs(old_lr.astype(int) - crop).sum((1, 2, 3)).argmin()) for crop in lr]
    assert sorted(order) == list(range(12))
    np.testing.assert_array_equal(lr, old_lr[order])  # what the network sees is kept as it is
    assert min(psnr_db(a, b) for a, b in zip(hr, old_hr[order], strict=True)) > 38
    assert (there / "start.safetensors").read_bytes() == b"weights"
    for path in sorted((judge / "hr").iterdir()):
        np.testing.assert_array_equal(
            cv2.imread(str(there / "judge/hr" / path.name)), cv2.imread(str(path))
        )


def test_a_pack_keeps_its_limit_and_draws_its_crops(pool: Path, tmp_path: Path) -> None:
    few = [pack(pool, tmp_path / f"{seed}.zip", max_bytes=24_000, seed=seed) for seed in (1, 2)]
    for made in few:
        assert 2 <= made.crops < 12
        assert made.size_bytes <= 24_000
    first, other = (open_pool(unpack(tmp_path / f"{s}.zip", tmp_path / f"{s}"))[0] for s in (1, 2))
    assert first.shape != other.shape or (first != other).any()


def test_a_pack_too_small_to_learn_from_is_refused(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mb"):
        pack(pool, tmp_path / "p.zip", max_bytes=2_000)
    assert not (tmp_path / "p.zip").exists()


def test_what_is_no_pack_is_refused(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"PK")
    with pytest.raises(TrainError, match="not a pack"):
        unpack(tmp_path / "p.zip", tmp_path / "there")
    with pytest.raises(UsageError, match="does not exist"):
        unpack(tmp_path / "q.zip", tmp_path / "there")


def suite_of(folder: Path) -> Path:
    for part in ("real", "motion-weak"):
        for side, scale in (("lr", 1), ("hr", 4)):
            (folder / part / side).mkdir(parents=True)
            for number in range(5):
                picture = soft_picture(number, 66 * scale, 70 * scale)
                (folder / part / side / f"{number}.png").write_bytes(png(picture))
    (folder / "clips/0/lr").mkdir(parents=True)
    return folder


def test_a_few_middles_of_each_part_of_the_suite_are_judged_on(tmp_path: Path) -> None:
    suite = suite_of(tmp_path / "suite")
    folder = judge_folder(tmp_path / "judge", suite, [], PoolPlan())
    samples = list(read_pairs(folder))
    assert len(samples) == 8
    assert {sample.lr.shape for sample in samples} == {(64, 64, 3)}
    wanted = middle("", Sample("", soft_picture(1, 66, 70), soft_picture(1, 264, 280)))
    assert any(np.array_equal(sample.hr, wanted.hr) for sample in samples)
    suite.rename(tmp_path / "away")
    assert judge_folder(folder, suite, [], PoolPlan()) == folder


def test_media_that_training_leaves_out_are_judged_on(tmp_path: Path) -> None:
    for name in ("seen.png", "held.png"):
        (tmp_path / name).write_bytes(png(soft_picture(1, 512, 512)))
    folder = judge_folder(tmp_path / "judge", None, [tmp_path], PoolPlan(exclude=("held*",)))
    assert [path.name for path in (folder / "lr").iterdir()] == ["held-out.00.png"]


def test_without_anything_to_judge_on_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(soft_picture(1, 512, 512)))
    with pytest.raises(UsageError, match="--suite"):
        judge_folder(tmp_path / "judge", None, [tmp_path], PoolPlan())


def test_gains_are_by_part_and_their_mean(judge: Path) -> None:
    samples = list(read_pairs(judge))
    dark = [Sample("dark.00.png", samples[0].lr, samples[0].hr)]
    found = gains(upscale_x4, [*samples, *dark])
    assert (dict(found.parts), found.mean_db, found.frames) == ({"real": 0, "dark": 0}, 0, 3)


def state_of(path: Path) -> torch.optim.Adam:
    weights = torch.nn.Parameter(torch.linspace(-1, 1, 20_000))
    optimizer = torch.optim.Adam([weights])
    weights.sum().backward()
    optimizer.step()
    torch.save({"state_dict": {"w": weights}, "optimizer_states": [optimizer.state_dict()]}, path)
    return optimizer


@pytest.mark.parametrize(("room", "form"), [(300_000, WHOLE), (220_000, HALVED), (90_000, NONE)])
def test_the_state_goes_home_as_far_as_there_is_room(room: int, form: str, tmp_path: Path) -> None:
    weights = tmp_path / "edge-n.safetensors"
    weights.write_bytes(bytes(10_000))
    optimizer = state_of(tmp_path / "last.ckpt")
    went = bring_home(weights, tmp_path / "last.ckpt", tmp_path / "home", room)
    assert went.state == form
    assert sum(went.files.values()) <= room
    assert set(went.files) == {"edge-n.safetensors", *(["last.ckpt"] if form != NONE else [])}
    if form != NONE:
        state = torch.load(tmp_path / "home/last.ckpt", weights_only=True)["optimizer_states"][0]
        before = optimizer.state_dict()["state"][0]["exp_avg"]
        optimizer.load_state_dict(state)
        after = optimizer.state_dict()["state"][0]["exp_avg"]
        assert after.dtype == torch.float32
        torch.testing.assert_close(after, before, rtol=4e-3, atol=0)


def test_weights_that_are_too_large_are_not_lost(tmp_path: Path) -> None:
    weights = tmp_path / "edge-n.safetensors"
    weights.write_bytes(bytes(100))
    with pytest.raises(TrainError, match="mb"):
        bring_home(weights, tmp_path / "last.ckpt", tmp_path / "home", 99)
    assert weights.exists()


def test_another_network_learns_alike_from_the_same_crops() -> None:
    edge, other = (campaign.recipe_for("edge-s", name, 50) for name in (None, "srresnet"))
    assert (edge.model, other.model) == ("edge-s", "srresnet")
    assert (edge.steps, edge.pool, edge.phases()) == (other.steps, other.pool, other.phases())
    with pytest.raises(UsageError, match="edge-s"):
        campaign.recipe_for("edge-s-qat", "srresnet", None)


def test_the_newest_weights_of_a_run_are_taken(tmp_path: Path) -> None:
    recipe = campaign.recipe_for("edge-n", None, None)
    ended, limited = tmp_path / "edge-n.safetensors", tmp_path / campaign.SO_FAR
    limited.touch()
    assert campaign.weights_so_far(tmp_path, recipe) == limited
    ended.touch()
    os.utime(limited, (1, 1))
    assert campaign.weights_so_far(tmp_path, recipe) == ended


BLOCKED = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def there(cls, name, path=None, target=None):
    return None if name.split(".")[0] in {names} else find(name, path, target)
PathFinder.find_spec = classmethod(there)
import benchmarks.campaign
"""


@pytest.mark.slow
def test_a_sitting_needs_neither_video_nor_graphs_nor_engines() -> None:
    names = ("av", "onnx", "onnxruntime", "onnxsim", "onnxscript", "tensorrt", "tensorrt_rtx")
    paths = os.pathsep.join([str(ROOT / "build/links"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(names=set(names))],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
