"""LR-Koehler: the sharp frame that matches best, and incomplete folders."""

import cv2
import numpy as np
import pytest

from crispstream.core.bicubic import downscale_x4
from crispstream.core.errors import TrainError, UsageError
from crispstream.train.data.lr_koehler import build
from crispstream.train.evaluate import read_samples
from tests.helpers.pictures import soft_picture, write_picture


@pytest.fixture
def tree(tmp_path):
    """Two photographs; frame 10 is shaken least in the first, frame 2 in the second."""
    src = tmp_path / "koehler"
    for picture, trajectory, nearest in ((1, 1, 10), (2, 12, 2)):
        scene = soft_picture(picture, 130, 150)
        below = src / f"Image{picture}/Kernel{trajectory}"
        below.mkdir(parents=True)
        for frame in (1, 2, 3, 10):
            shifted = np.roll(scene, abs(frame - nearest) + 1, axis=1)
            name = f"GroundTruth{picture}_{trajectory}_{frame}.png"
            assert cv2.imwrite(str(below / name), shifted)
        (src / "BlurryImages").mkdir(exist_ok=True)
        assert cv2.imwrite(str(src / f"BlurryImages/Blurry{picture}_{trajectory}.png"), scene)
    (src / "readme.png").write_text("not one of them")
    return src


def test_the_best_match_is_the_truth(tree, tmp_path):
    samples = list(read_samples(build(tree, tmp_path / "out") / "test"))
    assert [s.name for s in samples] == ["Blurry1_1_truth010.png", "Blurry2_12_truth002.png"]
    scene = soft_picture(2, 130, 150)[:128, :144]  # multiples of 16
    np.testing.assert_array_equal(samples[1].lr, downscale_x4(scene))
    expected = np.roll(soft_picture(2, 130, 150), 1, axis=1)[:128, :144]
    np.testing.assert_array_equal(samples[1].hr, expected)


def test_the_set_has_nothing_to_train_on(tree, tmp_path):
    from crispstream.train.data.built import BuiltSet

    with pytest.raises(UsageError, match=r"no samples in 'train' \(it holds: test\)"):
        BuiltSet.open(build(tree, tmp_path / "out"))


def test_what_is_missing_is_named(tree, tmp_path):
    (tree / "BlurryImages/Blurry2_12.png").unlink()
    with pytest.raises(UsageError, match=r"missing: '[^']*Blurry2_12\.png'\. Expected SRC/\*\*/Bl"):
        build(tree, tmp_path / "out")
    for frame in (tree / "Image1/Kernel1").iterdir():
        frame.unlink()
    with pytest.raises(UsageError, match=r"GroundTruth1_1_1\.png' \(and 1 more\)"):
        build(tree, tmp_path / "out")
    with pytest.raises(UsageError, match=r"holds Kernel1; missing: '[^']*Blurry1_1\.png'"):
        build(tree / "Image1", tmp_path / "out")


def test_a_broken_and_a_smaller_frame_are_named(tree, tmp_path):
    frame = tree / "Image1/Kernel1/GroundTruth1_1_3.png"
    frame.write_text("broken")
    with pytest.raises(TrainError, match=r"GroundTruth1_1_3\.png"):
        build(tree, tmp_path / "out")
    write_picture(frame, 0, 64, 64)
    with pytest.raises(TrainError, match=r"64x64.* expected the same size"):
        build(tree, tmp_path / "out")
