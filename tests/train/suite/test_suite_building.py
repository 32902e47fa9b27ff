"""A suite is built of the very files that it names, and what was built is known by its pictures."""

import json
from dataclasses import replace

import cv2
import pytest

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.suite.building import build
from crispstream.train.suite.reading import changed_parts, check_built, digest, read_part
from tests.helpers.pictures import write_picture
from tests.helpers.tiny_suite import CROP, PIECES, tiny_suite

FEW = tuple(piece for piece in PIECES if piece.name.split("/")[0] in ("sharp", "clips", "still"))


@pytest.fixture
def suite(tmp_path):
    return tiny_suite(tmp_path / "media", FEW)


@pytest.fixture
def built(suite, tmp_path):
    return build(suite, tmp_path / "media", tmp_path / "built")


def test_samples_come_back_in_order_and_sequences_follow(suite, built):
    (sharp,) = read_part(suite, "sharp", built)
    assert (sharp.sample.name, sharp.follows) == ("sharp/a", False)
    clips = list(read_part(suite, "clips", built))
    assert [step.follows for step in clips] == [False, True, True] * 3
    assert [step.sample.name for step in clips[6:]] == [f"clips/pan_a#{n}" for n in range(3)]
    still = list(read_part(suite, "still", built))
    assert len(still) == 5
    assert len({step.sample.hr.tobytes() for step in still}) == 1
    assert all(s.sample.hr.shape[0] == 4 * s.sample.lr.shape[0] for s in (*clips, *still, sharp))


def test_two_builds_are_equal_and_a_changed_picture_is_seen(suite, built, tmp_path):
    again = build(suite, tmp_path / "media", tmp_path / "again")
    published = {part: digest(suite, part, again) for part in suite.parts}
    suite = replace(suite, published=published)
    assert changed_parts(suite, built) == []
    path = built / "sharp/lr/a.png"
    picture = cv2.imread(str(path))
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])  # other bytes, same pixels
    assert changed_parts(suite, built) == []
    picture[0, 0, 0] ^= 1
    cv2.imwrite(str(path), picture)
    assert changed_parts(suite, built) == ["sharp"]


def test_another_file_of_the_same_name_is_refused(suite, tmp_path):
    write_picture(tmp_path / "media" / CROP.source, 2, 160, 176)
    with pytest.raises(UsageError, match=r"a\.png' has the SHA-256 .* get the file that docs/"):
        build(suite, tmp_path / "media", tmp_path / "built")
    (tmp_path / "media" / CROP.source).unlink()
    with pytest.raises(UsageError, match=r"missing: '[^']*a\.png'\. Expected SRC/train/stills"):
        build(suite, tmp_path / "media", tmp_path / "built")
    assert not (tmp_path / "built").exists()


def test_a_folder_that_is_not_the_suite_is_refused(suite, built, tmp_path):
    check_built(suite, built, "BUILD")
    with pytest.raises(UsageError, match=r"not built in '[^']*none'; build it: BUILD"):
        check_built(suite, tmp_path / "none", "BUILD")
    with pytest.raises(UsageError, match=r"another version of crisp-v1; remove it .* BUILD"):
        check_built(replace(suite, pieces=FEW[1:]), built, "BUILD")
    manifest = json.loads((built / "manifest.json").read_text())
    (built / "manifest.json").write_text(json.dumps({**manifest, "kind": "sisr"}))
    with pytest.raises(UsageError, match=r"of the kind sisr, not crisp-v1; .* BUILD"):
        check_built(suite, built, "BUILD")


@pytest.mark.parametrize(
    ("part", "lost"),
    [
        ("sharp", "sharp/hr/a.png"),
        ("clips", "clips/pan_a/hr/001.png"),
        ("still", "still/a-high/hr"),
    ],
)
def test_a_lost_picture_is_told(suite, built, part, lost):
    if (built / lost).is_dir():
        (built / lost).rename(built / "elsewhere")
    else:
        (built / lost).unlink()
    with pytest.raises(TrainError, match="missing or damaged; run the same data build again"):
        list(read_part(suite, part, built))
