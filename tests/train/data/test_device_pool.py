"""Batches cut on the device: the same cut through every field, every turn, in a fixed order."""

import numpy as np
import pytest
import torch

from crispstream.train.data import device_pool
from crispstream.train.data.device_pool import (
    DeviceLoader,
    bytes_held,
    cut_patches,
    device_loader,
    drawn_for,
    servable,
)
from crispstream.train.data.patches import Batches, PatchSet
from crispstream.train.schedules import Phase

CPU = torch.device("cpu")
NEEDS = ("lr", "hr")
PHASES = (Phase(3, 8, 8), Phase(4, 12, 2))


class Crops:
    """Samples in memory: crops of noise."""

    names = ("a",)

    def __init__(self, count=5, side=12, channels=3):
        rng = np.random.default_rng(0)
        self.lr = rng.integers(0, 256, (count, side, side, channels), np.uint8)
        self.hr = self.lr.repeat(4, axis=1).repeat(4, axis=2)

    def __len__(self):
        return len(self.lr)

    def sample(self, index):
        return {"lr": self.lr[index], "hr": self.hr[index]}


def steps_of(samples, first_step=0):
    patches = PatchSet(samples, NEEDS, items=32, patch_px=8, augment="dihedral", seed=1)
    return Batches(patches, PHASES, first_step)


def loader(samples, first_step=0, **changes):
    settings = {"augment": "dihedral", "seed": 1, **changes}
    batches = steps_of(samples, first_step)
    return DeviceLoader(samples, NEEDS, batches, CPU, first_step=first_step, **settings)


@pytest.mark.parametrize("flipped", [0, 1])
@pytest.mark.parametrize("turned", range(4))
def test_a_patch_is_cut_turned_and_flipped(turned, flipped):
    crops = Crops()
    rows = torch.tensor([[3, 1, 4, turned, flipped], [0, 0, 0, 0, 0]])
    wanted = np.rot90(crops.hr[3, 4:36, 16:48], turned)
    wanted = wanted[:, ::-1] if flipped else wanted
    patches = cut_patches(torch.from_numpy(crops.hr), rows, 8, 4)
    np.testing.assert_array_equal(patches[0].permute(1, 2, 0).numpy(), wanted)
    np.testing.assert_array_equal(patches[1].permute(1, 2, 0).numpy(), crops.hr[0, :32, :32])
    assert patches.is_contiguous(memory_format=torch.channels_last)


def test_whole_crops_are_taken_where_no_size_is_asked_for():
    crops = Crops()
    patches = cut_patches(torch.from_numpy(crops.hr), torch.tensor([[2, 0, 0, 0, 0]]), 0, 4)
    np.testing.assert_array_equal(patches[0].permute(1, 2, 0).numpy(), crops.hr[2])


@pytest.mark.parametrize("channels", [3, 6])
def test_batches_are_of_their_phases_and_all_fields_are_cut_alike(channels):
    batches = list(loader(Crops(channels=channels)))
    assert [tuple(batch["lr"].shape) for batch in batches] == [
        *[(8, channels, 8, 8)] * 3,
        *[(2, channels, 12, 12)] * 4,
    ]
    for batch in batches:
        assert batch["lr"].dtype == batch["hr"].dtype == torch.uint8
        torch.testing.assert_close(batch["hr"][:, :, ::4, ::4], batch["lr"])


def test_batches_are_those_of_the_ordinary_loader_in_form():
    crops = Crops()
    for mine, ordinary in zip(
        loader(crops), map(steps_of(crops).__getitem__, range(7)), strict=True
    ):
        assert {n: (t.shape, t.dtype) for n, t in mine.items()} == {
            n: (t.shape, t.dtype) for n, t in ordinary.items()
        }


def test_every_pass_sees_every_crop_once_in_another_order():
    drawn = [drawn_for(1, turn, 50, True) for turn in (0, 1)]
    for part in drawn:
        assert sorted(part.order) == list(range(50))
        assert 0 <= part.places.min() < 0.2
        assert 0.8 < part.places.max() < 1
        assert {tuple(way) for way in part.ways} == {(t, f) for t in range(4) for f in (0, 1)}
    assert (drawn[0].order != drawn[1].order).any()
    assert not drawn_for(1, 0, 50, False).ways[:, 0].any()


def test_patches_lie_everywhere_in_their_crops():
    drawn = loader(Crops(count=300))._rows(range(300), 8)
    assert set(drawn[:, 1]) == set(drawn[:, 2]) == set(range(5))


@pytest.mark.parametrize("first_step", [2, 4])
def test_a_resumed_training_goes_on_with_the_next_batch(first_step, monkeypatch):
    monkeypatch.setattr(device_pool, "STEPS_AHEAD", 3)
    whole = list(loader(Crops()))
    rest = list(loader(Crops(), first_step))
    for one, other in zip(whole[first_step:], rest, strict=False):
        torch.testing.assert_close(one, other)
    assert len(rest) == len(whole)


def test_another_seed_draws_other_patches():
    one, other = (next(iter(loader(Crops(), seed=seed))) for seed in (1, 2))
    assert (one["lr"] != other["lr"]).any()


class Tall(Crops):
    """Samples in memory: crops that are not square."""

    def sample(self, index):
        return {"lr": self.lr[index][:, :8], "hr": self.hr[index][:, :32]}


@pytest.mark.parametrize(
    ("samples", "needs", "augment", "suits"),
    [
        (Crops(), ("lr", "hr"), "dihedral", True),
        (Crops(), ("hr",), "flip", True),
        (Crops(), ("lr", "hr"), "flip-zoom", False),
        (Crops(), ("lr", "sigma"), "flip", False),
        (Tall(), ("lr", "hr"), "dihedral", False),
    ],
)
def test_only_square_crops_of_pools_are_served(samples, needs, augment, suits):
    assert servable(samples, needs, augment) == suits


def asked(samples):
    return device_loader(samples, NEEDS, steps_of(samples), first_step=0, augment="flip", seed=1)


def test_without_a_gpu_there_is_no_such_loader(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert asked(Crops()) is None


@pytest.mark.parametrize(("missing_bytes", "suits"), [(0, True), (4, False)])
def test_a_pool_takes_at_most_a_quarter_of_the_memory(missing_bytes, suits, monkeypatch):
    crops = Crops()
    total = 4 * bytes_held(crops, NEEDS) - missing_bytes
    assert bytes_held(crops, NEEDS) == crops.lr.nbytes + crops.hr.nbytes
    memory = type("Properties", (), {"total_memory": total})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: memory)
    monkeypatch.setattr(device_pool, "DeviceLoader", lambda *_, **__: "a loader")
    assert asked(crops) == ("a loader" if suits else None)
