"""NYUv2-BSR and Cityscapes-BSR: layouts, groups, the published form, and reading it back."""

import json

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4
from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data import bsr_layouts
from crispstream.train.data.bsr import (
    build_cityscapes,
    build_nyuv2,
    even_groups,
    read_group,
    read_labels_cityscapes,
    read_labels_nyuv2,
    read_sigma,
    sigma_as_png,
    zoom_sample,
)
from crispstream.train.data.bsr_layouts import (
    find_cityscapes,
    find_nyuv2,
    read_cityscapes,
    read_depth_mm,
)
from crispstream.train.data.built import BuiltSet
from tests.helpers.pictures import soft_picture, write_picture

HEIGHT, WIDTH = 32, 40


def write_map(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_nyuv2(src, *, train=5, test=10):
    """Write pictures of two depths, the near one on the left, with two labels and some holes."""
    for split, count in (("train", train), ("test", test)):
        for number in range(count):
            name = f"{number:04d}.png"
            write_picture(src / split / "rgb" / name, number, HEIGHT, WIDTH)
            depth = np.full((HEIGHT, WIDTH), 4000, np.uint16)
            depth[:, :20] = 1000
            depth[:3] = 0
            write_map(src / split / "depth" / name, depth)
            labels = np.full((HEIGHT, WIDTH), 40, np.uint8)
            labels[:, :20], labels[:, 0] = 1, 0
            write_map(src / split / "label" / name, labels)
    return src


CITY_ITEMS = {"train": ("aachen", "bochum"), "val": ("lindau",), "test": ("berlin",)}


def write_cityscapes(src):
    """Write a tree of pictures that are twice as large as the test's working size, and wider."""
    for split, cities in CITY_ITEMS.items():
        for city in cities:
            stem = f"{split}/{city}/{city}_000000_000019"
            write_picture(src / "leftImg8bit" / f"{stem}_leftImg8bit.png", 1, 48, 100)
            disparity = np.full((48, 100), 1 + 20 * 256, np.uint16)
            disparity[:, :51], disparity[20:22] = 1 + 40 * 256, 0
            write_map(src / "disparity" / f"{stem}_disparity.png", disparity)
            labels = np.where(np.arange(100) < 50, 18, 255).astype(np.uint8)
            write_map(src / "gtFine" / f"{stem}_gtFine_labelTrainIds.png", np.tile(labels, (48, 1)))
            camera = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2000.0}}
            path = src / "camera" / f"{stem}_camera.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(camera))
    return src


@pytest.fixture(scope="module")
def nyuv2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nyuv2")
    return build_nyuv2(write_nyuv2(folder / "src"), folder / "built")


def is_even(sigma):
    return np.ptp(sigma) == 0


def test_groups_are_fifths_of_each_split_and_disjoint():
    names = [f"test/{k}" for k in range(654)] + [f"train/{k}" for k in range(795)]
    groups = even_groups(names)
    sizes = [
        sum(group == k for name, group in groups.items() if name.startswith("test"))
        for k in range(6)
    ]
    assert sizes == [4, 130, 130, 130, 130, 130]
    assert sum(group == 1 for name, group in groups.items() if name.startswith("train")) == 159
    assert sorted(groups) == sorted(names)


def test_three_pictures_are_too_few_for_a_group():
    assert set(even_groups(["train/a", "train/b", "train/c"]).values()) == {0}


def test_training_shards_belong_together_and_a_fifth_is_blurred_evenly(nyuv2):
    found = BuiltSet.open(nyuv2)
    assert (found.kind, len(found)) == ("nyuv2-bsr", 5)
    assert found.fields == ("hr", "labels", "lr", "sigma")
    samples = [found.sample(k) for k in range(5)]
    assert sum(is_even(sample["sigma"]) for sample in samples) == 1
    sample = next(s for s in samples if not is_even(s["sigma"]))
    assert {name: (a.shape, a.dtype.name) for name, a in sample.items()} == {
        "lr": ((8, 10, 3), "uint8"),
        "hr": ((32, 40, 3), "uint8"),
        "sigma": ((32, 40, 1), "float32"),
        "labels": ((32, 40, 1), "uint8"),
    }
    np.testing.assert_array_equal(sample["labels"][5, [0, 1, 39], 0], [255, 0, 39])
    assert sample["sigma"].max() == 5
    assert is_even(sample["sigma"][:, 0])  # the holes of the top rows are filled


def test_truth_is_the_source_and_lr_its_blurred_bicubic(nyuv2):
    found = BuiltSet.open(nyuv2)
    sample = next(s for s in map(found.sample, range(5)) if is_even(s["sigma"]))
    hrs = [soft_picture(k, HEIGHT, WIDTH) for k in range(5)]
    assert any(np.array_equal(sample["hr"], hr) for hr in hrs)
    sigma = float(sample["sigma"][0, 0, 0])
    blurred = cv2.GaussianBlur(
        sample["hr"].astype(np.float64), (21, 21), sigma, borderType=cv2.BORDER_REFLECT
    )
    expected = downscale_x4(np.rint(blurred).astype(np.uint8))
    np.testing.assert_allclose(sample["lr"].astype(int), expected, atol=1)


def test_each_test_group_has_another_fifth_blurred_evenly(nyuv2):
    even = []
    for group in range(1, 6):
        samples = list(read_group(nyuv2 / "test", group, classes=40))
        assert len(samples) == 10
        even.append({sample.name for sample in samples if is_even(sample.sigma)})
    assert [len(names) for names in even] == [2] * 5
    assert len(set.union(*even)) == 10


def test_a_sample_of_a_group_is_whole(nyuv2):
    sample = next(read_group(nyuv2 / "test", 1, classes=40))
    assert sample.name == "0000"
    assert (sample.lr.shape, sample.hr.shape) == ((8, 10, 3), (32, 40, 3))
    assert (sample.sigma.shape, sample.labels.shape) == ((32, 40, 1), (32, 40, 1))
    np.testing.assert_array_equal(sample.hr, soft_picture(0, HEIGHT, WIDTH))
    assert set(np.unique(sample.labels)) == {0, 39, 255}


def test_the_published_form_of_blur_is_sixteen_bits_in_three_channels(nyuv2):
    path = nyuv2 / "test" / "Group1" / "blur" / "0000.png"
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert (pixels.dtype, pixels.shape) == (np.uint16, (32, 40, 3))
    assert np.ptp(pixels, axis=2).max() == 0


def test_sigma_survives_its_png_to_a_twentieth_of_a_pixel(tmp_path):
    sigma = np.linspace(0, 15, 12 * 16, dtype=np.float32).reshape(12, 16)
    write_map(tmp_path / "s.png", sigma_as_png(sigma))
    back = read_sigma(tmp_path / "s.png")
    assert (back.shape, back.dtype) == ((12, 16, 1), np.float32)
    assert np.abs(back[..., 0] - sigma).max() <= 0.05 + 1e-5
    write_map(tmp_path / "grey.png", sigma_as_png(sigma)[..., 0])
    np.testing.assert_array_equal(read_sigma(tmp_path / "grey.png"), back)


def test_labels_become_classes(tmp_path):
    write_map(tmp_path / "n.png", np.array([[0, 1, 2, 40]], np.uint8))
    assert read_labels_nyuv2(tmp_path / "n.png")[..., 0].tolist() == [[255, 0, 1, 39]]
    three = np.dstack([np.array([[0, 18, 19, 255]], np.uint8)] * 3)
    write_map(tmp_path / "c.png", three)
    assert read_labels_cityscapes(tmp_path / "c.png")[..., 0].tolist() == [[0, 18, 255, 255]]


def test_a_plain_split_as_the_authors_published_it_is_read(tmp_path):
    split = tmp_path / "val"
    for folder, pixels in {
        "GT": np.full((8, 12, 3), 9, np.uint8),
        "LRx4": np.full((2, 3, 3), 8, np.uint8),
        "blur": np.full((8, 12, 3), 25, np.uint16),
        "semseg": np.full((8, 12, 3), 7, np.uint8),
    }.items():
        write_map(split / folder / "a.png", pixels)
    (sample,) = read_group(split, None, classes=19)
    assert (sample.name, sample.labels[0, 0, 0], sample.sigma[0, 0, 0]) == ("a", 7, 2.5)
    with pytest.raises(UsageError, match=r"Group2.LRx4' is missing or empty"):
        next(read_group(split, 2, classes=19))
    with pytest.raises(UsageError, match="40 and 19"):
        next(read_group(split, None, classes=12))
    write_map(split / "blur" / "a.png", np.full((8, 8, 3), 25, np.uint16))
    with pytest.raises(TrainError, match=r"8x8 pixels, expected 12x8"):
        next(read_group(split, None, classes=19))
    (split / "semseg" / "a.png").unlink()
    with pytest.raises(UsageError, match=r"semseg.a\.png' is missing"):
        next(read_group(split, None, classes=19))


def test_a_wrong_or_partial_nyuv2_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"missing: '.*train.rgb' .*nyu_depth_v2_labeled\.mat"):
        find_nyuv2(tmp_path)
    src = write_nyuv2(tmp_path / "src", train=2, test=1)
    (src / "train" / "depth" / "0001.png").unlink()
    with pytest.raises(UsageError, match=r"missing: '.*train.depth.0001\.png'\. Expected"):
        build_nyuv2(src, tmp_path / "built")
    (src / "test" / "label" / "0000.png").unlink()
    with pytest.raises(UsageError, match=r"\(and 1 more\)"):
        find_nyuv2(src)


@pytest.mark.parametrize(
    ("part", "pixels", "said"),
    [
        ("depth", np.zeros((HEIGHT, WIDTH), np.uint16), "no pixel has a valid depth"),
        ("depth", np.ones((HEIGHT, WIDTH), np.uint8), "16 bits"),
        ("depth", np.full((HEIGHT, 36), 900, np.uint16), "36x32"),
        ("depth", np.full((HEIGHT, WIDTH), 3, np.uint16), "are about 3: in metres[?] expected mil"),
        ("label", np.full((HEIGHT, WIDTH, 3), (1, 2, 3), np.uint8), "is in colour"),
        ("label", np.full((HEIGHT, WIDTH), 894, np.uint16), "label 894, expected 0 to 40"),
        ("rgb", np.zeros((30, 30, 3), np.uint8), "30x30"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, part, pixels, said):
    src = write_nyuv2(tmp_path / "src", train=1, test=1)
    write_map(src / "train" / part / "0000.png", pixels)
    with pytest.raises(TrainError, match=f"0000.png.*{said}"):
        build_nyuv2(src, tmp_path / "built")


def test_sides_must_divide_by_the_scale_and_broken_files_are_named(tmp_path):
    src = write_nyuv2(tmp_path / "src", train=1, test=1)
    for part, value in (("rgb", 1), ("depth", 900), ("label", 1)):
        pixels = np.full((32, 38), value, np.uint16 if part == "depth" else np.uint8)
        write_map(src / "train" / part / "0000.png", pixels)
    with pytest.raises(TrainError, match="38x32 pixels; cut it to multiples of 4"):
        build_nyuv2(src, tmp_path / "built")
    (src / "train" / "rgb" / "0000.png").write_text("text")
    with pytest.raises(TrainError, match=r"cannot decode .*rgb.0000\.png"):
        build_nyuv2(src, tmp_path / "built")


def test_holes_of_both_kinds_are_filled(tmp_path):
    write_map(tmp_path / "d.png", np.array([[0, 500, 700, 65535]], np.uint16))
    assert read_depth_mm(tmp_path / "d.png").tolist() == [[500, 500, 700, 700]]


def test_cityscapes_is_built_with_val_and_groups_of_test(tmp_path, monkeypatch):
    monkeypatch.setattr(bsr_layouts, "WORKING_SIZE", (32, 24))
    built = build_cityscapes(write_cityscapes(tmp_path / "src"), tmp_path / "built")
    found = BuiltSet.open(built)
    assert found.kind == "cityscapes-bsr"
    assert found.names == ("train/aachen_000000_000019", "train/bochum_000000_000019")
    sample = found.sample(0)
    assert (sample["lr"].shape, sample["hr"].shape) == ((6, 8, 3), (24, 32, 3))
    assert sample["sigma"].max() == 15
    assert sample["labels"][0, [0, 15, 16, 31], 0].tolist() == [18, 18, 255, 255]
    (val,) = read_group(built / "val", None, classes=19)
    assert (val.name, val.hr.shape) == ("lindau_000000_000019", (24, 32, 3))
    for group in range(1, 6):
        (tested,) = read_group(built / "test", group, classes=19)
        assert tested.name == "berlin_000000_000019"


def test_cityscapes_depth_is_baseline_times_focal_length_by_disparity(tmp_path, monkeypatch):
    monkeypatch.setattr(bsr_layouts, "WORKING_SIZE", (32, 24))
    item = find_cityscapes(write_cityscapes(tmp_path))[0]
    scene = read_cityscapes(item)
    # 0.2 m * 2000 px / 40 px = 10 m on the left, 20 m on the right; invalid rows are filled
    assert np.unique(scene.depth_hw[:, :16]).tolist() == [10_000]
    assert np.unique(scene.depth_hw[:, 16:]).tolist() == [20_000]
    # The middle 64x48 of 100x48, reduced by averaging 2x2.
    middle = soft_picture(1, 48, 100)[:, 18:82].astype(float)
    mean = middle.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(scene.image_hwc, mean, atol=0.51)


def test_disparities_of_eight_bits_and_coloured_labels_are_refused(tmp_path):
    src = write_cityscapes(tmp_path)
    item = find_cityscapes(src)[0]
    label = np.dstack([np.zeros((48, 100, 2), np.uint8), np.full((48, 100), 70, np.uint8)])
    write_map(item.sources[3], label)
    with pytest.raises(TrainError, match=r"labelTrainIds\.png' is in colour"):
        read_cityscapes(item)
    write_map(item.sources[1], np.full((48, 100), 200, np.uint8))
    with pytest.raises(TrainError, match=r"disparity\.png' holds uint8; write disparities, in 16"):
        read_cityscapes(item)


def test_opacity_beside_labels_is_overlooked(tmp_path):
    write_map(tmp_path / "n.png", np.dstack([np.full((1, 2, 3), 7, np.uint8), [[[255], [9]]]]))
    assert read_labels_nyuv2(tmp_path / "n.png")[..., 0].tolist() == [[6, 6]]


def test_cityscapes_is_worked_on_at_640x480():
    assert bsr_layouts.WORKING_SIZE == (640, 480)


def test_a_wrong_or_partial_cityscapes_is_named(tmp_path):
    src = write_cityscapes(tmp_path / "src")
    stem = "train/aachen/aachen_000000_000019"
    (src / "gtFine" / f"{stem}_gtFine_labelTrainIds.png").unlink()
    with pytest.raises(UsageError, match=r"missing: '.*aachen_.*csCreateTrainIdLabelImgs"):
        find_cityscapes(src)
    (src / "camera" / f"{stem}_camera.json").write_text("{}")
    with pytest.raises(TrainError, match=r"camera\.json' does not say extrinsic\.baseline"):
        read_cityscapes(next(item for item in _items(src) if "aachen" in item.name))
    with pytest.raises(UsageError, match=r"missing: '.*leftImg8bit.train.<city>' \(and 2 more\)"):
        find_cityscapes(tmp_path)


def _items(src):
    path = src / "gtFine" / "train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png"
    write_map(path, np.zeros((48, 100), np.uint8))
    return find_cityscapes(src)


def sample_to_zoom(size=16):
    ramp = np.tile(np.arange(4 * size, dtype=np.uint8)[:, None, None], (1, 4 * size, 3))
    return {
        "lr": np.ascontiguousarray(ramp[::4, ::4]),
        "hr": ramp,
        "sigma": np.full((4 * size, 4 * size, 1), 3, np.float32),
        "labels": np.where(ramp[..., :1] < 2 * size, 5, 255).astype(np.uint8),
    }


@pytest.mark.parametrize("factor", [1.2, 1.5])
def test_zoom_enlarges_about_the_centre_and_divides_sigma(factor):
    before = sample_to_zoom()
    after = zoom_sample(before, factor)
    for name, array in before.items():
        assert (after[name].shape, after[name].dtype) == (array.shape, array.dtype), name
    np.testing.assert_allclose(after["sigma"], 3 / factor, rtol=1e-6)
    rows = np.arange(64)
    expected = 31.5 + (rows - 31.5) / factor  # a straight line stays one
    np.testing.assert_allclose(after["hr"][4:-4, 9, 0], expected[4:-4], atol=0.6)
    assert np.unique(after["labels"]).tolist() == [5, 255]
    np.testing.assert_array_equal(after["labels"][..., 0] == 5, before["labels"][..., 0] == 5)
    lr = after["lr"][:, 3, 0].astype(float)
    np.testing.assert_allclose(np.diff(lr)[2:-2], 4 / factor, atol=1.01)


def test_zoom_by_one_is_nothing_and_read_only_maps_are_taken(nyuv2):
    sample = BuiltSet.open(nyuv2).sample(0)
    assert zoom_sample(sample, 1.0)["hr"] is sample["hr"]
    assert zoom_sample(sample, 1.5)["hr"].shape == (32, 40, 3)
    with pytest.raises(ValueError, match="by 1 or more"):
        zoom_sample(sample, 0.9)
