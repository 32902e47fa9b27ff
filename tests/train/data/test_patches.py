"""Patches: the same cut through every field, the same turn, and what is computed of them."""

import numpy as np
import pytest
import torch

from crispstream.core.bicubic import resize_bicubic
from crispstream.core.errors import UsageError
from crispstream.core.metrics import luma
from crispstream.train.data.patches import Batches, PatchSet, _turned, as_floats
from crispstream.train.schedules import Phase
from tests.helpers.pictures import soft_picture


class Kept:
    """Samples that are held in memory."""

    names = ("a",)

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def sample(self, index):
        return self.samples[index]


def coordinates(height, width, scale):
    """An image whose value says where a pixel is at LR size, 3 equal channels."""
    rows, cols = np.mgrid[: height * scale, : width * scale] // scale
    return np.repeat((rows * 16 + cols).astype(np.uint8)[..., None], 3, axis=2)


def pairs(count=3, height=12, width=16):
    lr, hr = coordinates(height, width, 1), coordinates(height, width, 4)
    return Kept([{"lr": lr, "lr_sharp": lr, "hr": hr} for _ in range(count)])


def patches(samples, needs=("lr", "lr_sharp", "hr"), **changes):
    settings = {"items": 40, "patch_px": 8, "augment": "dihedral", "seed": 1, **changes}
    return PatchSet(samples, needs, **settings)


@pytest.mark.parametrize("augment", ["dihedral", "flip", "flip-transpose"])
def test_all_fields_are_cut_and_turned_alike(augment):
    seen = set()
    for item in range(40):
        patch = patches(pairs(), augment=augment)[item]
        assert patch["lr"].shape == (3, 8, 8)
        torch.testing.assert_close(patch["lr"], patch["lr_sharp"])
        torch.testing.assert_close(patch["hr"][:, ::4, ::4], patch["lr"])
        # Which way the rows and the columns run tells one of the eight turns from another.
        steps = patch["lr"][0].int()
        seen.add((int(steps[1, 0] - steps[0, 0]), int(steps[0, 1] - steps[0, 0])))
    turns = {"dihedral": 8, "flip": 2, "flip-transpose": 4}[augment]
    assert len(seen) == turns


def test_whole_samples_are_not_cut():
    patch = patches(pairs(), patch_px=0, augment="flip")[0]
    assert (patch["lr"].shape, patch["hr"].shape) == ((3, 12, 16), (3, 48, 64))


def test_every_pass_sees_every_sample_once_in_another_order():
    samples = Kept([{"lr": np.full((8, 8, 3), k, np.uint8)} for k in range(20)])
    drawn = [int(patches(samples, ("lr",))[k]["lr"][0, 0, 0]) for k in range(40)]
    assert sorted(drawn[:20]) == sorted(drawn[20:]) == list(range(20))
    assert drawn[:20] != drawn[20:]


def test_a_resumed_training_goes_on_with_the_next_item():
    whole, rest = patches(pairs()), patches(pairs(), first=10)
    torch.testing.assert_close(rest[3], whole[13])


def test_the_small_sharp_image_is_computed_where_a_set_has_none():
    hr = soft_picture(0, 64, 64)
    patch = patches(Kept([{"hr": hr}]), ("lr_sharp", "hr"), patch_px=8, augment="flip")[2]
    large = patch["hr"].numpy().transpose(1, 2, 0)
    expected = resize_bicubic(large, 0.25).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(patch["lr_sharp"].numpy(), expected, atol=1e-6)


def test_luma_and_its_interpolation_are_computed_by_two_three_and_four():
    hr = soft_picture(0, 64, 64)
    items = patches(Kept([{"hr": hr}]), ("y_interpolated", "y"), patch_px=0, augment="flip")
    found = set()
    for item in range(20):
        patch = items[item]
        image = hr if np.allclose(patch["y"][0], luma(hr) / 255, atol=1e-6) else hr[:, ::-1]
        y = luma(image)[..., None] / 255
        for scale in (2, 4):
            soft = resize_bicubic(resize_bicubic(y, 1 / scale), float(scale))[..., 0]
            if np.allclose(patch["y_interpolated"][0], soft, atol=1e-6):
                found.add(scale)
        assert patch["y_interpolated"].shape == (1, 64, 64)
    assert found == {2, 4}


def test_a_set_without_what_is_needed_is_said():
    with pytest.raises(UsageError, match=r"has hr.*learns from labels, sigma"):
        patches(Kept([{"hr": soft_picture(0, 64, 64)}]), ("hr", "sigma", "labels"))


def test_bytes_become_floats_and_labels_stay_labels():
    batch = {
        "lr": torch.full((1, 3, 2, 2), 51, dtype=torch.uint8),
        "lr_sharp": torch.full((1, 3, 2, 2), 0.5),
        "labels": torch.full((1, 1, 2, 2), 7, dtype=torch.uint8),
    }
    floats = as_floats(batch)
    assert floats["lr"].unique().item() == pytest.approx(0.2)
    assert floats["lr_sharp"].unique().item() == 0.5
    assert floats["labels"].dtype == torch.uint8


def test_maps_that_are_only_read_become_tensors_of_their_own():
    """A sample of one channel that is neither cut nor turned would otherwise be the map itself."""
    sigma = np.ones((8, 8, 1), np.float32)
    sigma.flags.writeable = False
    items = patches(Kept([{"sigma": sigma}]), ("sigma",), patch_px=0, augment="flip")
    for item in range(8):
        items[item]["sigma"].add_(1)
    assert sigma.max() == 1


@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int16])
def test_patches_of_every_kind_are_turned_as_numpy_does(channels, kind):
    array = np.arange(4 * 6 * channels).reshape(4, 6, channels).astype(kind)
    for quarters in range(4):
        turned = np.rot90(array, quarters)
        np.testing.assert_array_equal(_turned(array, quarters, flip=False), turned)
        np.testing.assert_array_equal(_turned(array, quarters, flip=True), turned[:, ::-1])


def test_a_batch_holds_the_items_of_its_step_in_the_order_of_convolutions():
    items = patches(pairs())
    batch = Batches(items, [Phase(10, 8, 4)])[2]
    for place in range(4):
        for name in ("lr", "hr"):
            torch.testing.assert_close(batch[name][place], items[8 + place][name])
    assert batch["hr"].dtype == torch.uint8
    assert batch["hr"].is_contiguous(memory_format=torch.channels_last)


def test_patches_grow_and_a_resumed_training_goes_on_in_any_phase():
    phases = [Phase(3, 8, 4), Phase(2, 12, 2), Phase(2, 12, 1)]
    samples = pairs(count=5)
    whole = Batches(patches(samples), phases)
    assert [tuple(whole[step]["lr"].shape) for step in range(7)] == [
        *[(4, 3, 8, 8)] * 3,
        *[(2, 3, 12, 12)] * 2,
        *[(1, 3, 12, 12)] * 2,
    ]
    numbers = [number for step in range(7) for number in whole.items_of(step)[0]]
    assert numbers == list(range(3 * 4 + 2 * 2 + 2))
    for first in range(1, 7):
        rest = Batches(patches(samples), phases, first)
        torch.testing.assert_close(rest[0]["hr"], whole[first]["hr"])
