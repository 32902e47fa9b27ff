"""Built sets: interrupted and taken up again, refused, and read."""

import json
import pickle
import shutil

import cv2
import numpy as np
import pytest

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import sha256_of
from crispstream.train.data import built
from crispstream.train.data.built import BuiltSet, Item, build_set

COUNTS = {"train/a/1": 2, "train/b/1": 3, "train/b/2": 0, "test/c": 0}


def arrays(item):
    """Return two fields of as many samples as COUNTS says, or a test pair."""
    rng = np.random.default_rng(list(item.name.encode()))
    if item.name.startswith("test/"):
        lr = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        return {"test/lr/c.png": lr, "test/hr/c.png": np.kron(lr, np.ones((4, 4, 1), np.uint8))}
    if not COUNTS[item.name]:
        return {}
    lr = rng.random((COUNTS[item.name], 4, 5, 3), dtype=np.float32)
    return {f"{item.name}.lr.npy": lr, f"{item.name}.hr.npy": (lr * 255).astype(np.uint8)}


@pytest.fixture
def items(tmp_path):
    for name in COUNTS:
        (tmp_path / name.replace("/", "-")).write_text(name)
    return [Item(name, (tmp_path / name.replace("/", "-"),)) for name in COUNTS]


def build(items, out, make=arrays, *, kind="toy", settings=None, progress=None):
    settings = {"side_px": 4, "factors": (1.0, 0.5)} if settings is None else settings
    return build_set(kind, items, make, settings, out, progress=progress)


class Counting:
    """Makes arrays, notes of which items, and stops where it is told to."""

    def __init__(self, stop_at=None):
        self.made, self.stop_at = [], stop_at

    def __call__(self, item):
        if item.name == self.stop_at:
            raise KeyboardInterrupt
        self.made.append(item.name)
        return arrays(item)


def interrupted(items, out, stop_at):
    with pytest.raises(KeyboardInterrupt):
        build(items, out, Counting(stop_at))


def test_the_manifest_tells_each_file(items, tmp_path):
    out = build(items, tmp_path / "out")
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["schema"], manifest["kind"], manifest["items"]) == (1, "toy", 4)
    assert manifest["settings"] == {"side_px": 4, "factors": [1.0, 0.5]}
    on_disk = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert on_disk == {*manifest["files"], "manifest.json"}
    for name, facts in manifest["files"].items():
        assert facts["sha256"] == sha256_of((out / name).read_bytes())
    facts = manifest["files"]["train/b/1.hr.npy"]
    assert (facts["shape"], facts["dtype"]) == ([3, 4, 5, 3], "uint8")
    expected = arrays(items[3])["test/hr/c.png"]
    np.testing.assert_array_equal(cv2.imread(str(out / "test/hr/c.png")), expected)


def test_progress_counts_items(items, tmp_path):
    told = []
    build(items, tmp_path / "out", progress=told.append)
    assert told[0] == "building toy: 0 of 4 items"
    assert told[-1] == "building toy: 4 of 4 items"


def test_an_interrupted_build_makes_only_the_rest(items, tmp_path):
    out = tmp_path / "out"
    interrupted(items, out, "train/b/2")
    assert not (out / "manifest.json").exists()
    rest = Counting()
    build(items, out, rest)
    assert rest.made == ["train/b/2", "test/c"]
    whole = build(items, tmp_path / "whole")
    assert (out / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()


def test_a_finished_set_is_left_alone(items, tmp_path):
    out = build(items, tmp_path / "out")
    (out / "journal.jsonl").touch()
    again = Counting()
    assert build(items, out, again) == out
    assert not again.made
    assert not (out / "journal.jsonl").exists()


def test_a_changed_or_lost_file_is_made_again(items, tmp_path):
    out = tmp_path / "out"
    interrupted(items, out, "test/c")
    (out / "train/a/1.lr.npy").write_bytes(b"rot")
    (out / "train/b/1.hr.npy").unlink()
    rest = Counting()
    build(items, out, rest)
    assert rest.made == ["train/a/1", "train/b/1", "test/c"]
    np.testing.assert_array_equal(
        np.load(out / "train/a/1.lr.npy"), arrays(items[0])["train/a/1.lr.npy"]
    )


def test_a_line_that_was_half_written_is_forgotten(items, tmp_path):
    out = tmp_path / "out"
    interrupted(items, out, "train/b/2")
    journal = out / "journal.jsonl"
    journal.write_text(journal.read_text()[:-9])
    rest = Counting()
    build(items, out, rest)
    assert rest.made == ["train/b/1", "train/b/2", "test/c"]


def test_items_of_changed_sources_are_made_again_and_lost_ones_removed(items, tmp_path):
    out = tmp_path / "out"
    interrupted(items, out, "test/c")
    items[1].sources[0].write_text("a source of another length")
    rest = Counting()
    build(items[1:], out, rest)
    assert rest.made == ["train/b/1", "test/c"]
    assert not (out / "train/a/1.lr.npy").exists()
    assert BuiltSet.open(out).names == ("train/b/1",)


@pytest.mark.parametrize("stop_at", ["train/b/2", None])
def test_another_set_in_the_same_folder_is_refused(items, tmp_path, stop_at):
    out = tmp_path / "out"
    if stop_at:
        interrupted(items, out, stop_at)
    else:
        build(items, out)
    with pytest.raises(UsageError, match=r"a 'toy' set, not 'other'"):
        build(items, out, kind="other")
    with pytest.raises(UsageError, match=r"side_px 4, not 8"):
        build(items, out, settings={"side_px": 8, "factors": (1.0, 0.5)})


def test_a_finished_set_of_other_files_is_refused(items, tmp_path):
    out = build(items, tmp_path / "out")
    with pytest.raises(UsageError, match=r"other files \(4 items, now there are 3\)"):
        build(items[1:], out)
    items[1].sources[0].write_text("a source of another length")
    with pytest.raises(UsageError, match=r"\(names or sizes of the source files have changed\)"):
        build(items, out)


def test_what_a_finished_set_lost_is_made_again(items, tmp_path):
    out = build(items, tmp_path / "out")
    manifest = (out / "manifest.json").read_bytes()
    (out / "test/lr/c.png").unlink()
    shard = out / "train/b/1.hr.npy"
    shard.write_bytes(shard.read_bytes()[:-1])
    rest, told = Counting(), []
    build(items, out, rest, progress=told.append)
    assert rest.made == ["train/b/1", "test/c"]
    assert told[0].startswith("files lost or damaged: 2, such as 'test/lr/c.png'")
    assert (out / "manifest.json").read_bytes() == manifest
    assert (out / "test/lr/c.png").exists()
    assert len(BuiltSet.open(out)) == 5


def test_a_repair_that_is_interrupted_goes_on(items, tmp_path):
    out = build(items, tmp_path / "out")
    (out / "train/a/1.lr.npy").unlink()
    (out / "test/lr/c.png").unlink()
    interrupted(items, out, "test/c")
    with pytest.raises(UsageError, match="its build was interrupted"):
        BuiltSet.open(out)
    rest = Counting()
    build(items, out, rest)
    assert rest.made == ["test/c"]


def test_a_disk_that_will_be_full_is_told_once(items, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(built.shutil, "disk_usage", lambda _: usage)
    told = []
    build(items, tmp_path / "out", progress=told.append)
    warnings = [text for text in told if "the disk may fill up: 'train' needs about" in text]
    assert len(warnings) == 1


def test_a_place_that_is_taken_is_refused(items, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("")
    with pytest.raises(UsageError, match=r"holds 'cat.jpg' and is no built data set"):
        build(items, tmp_path / "photos")
    with pytest.raises(UsageError, match="is a file"):
        build(items, tmp_path / "photos/cat.jpg")
    with pytest.raises(TrainError, match="cannot write the data set"):
        build(items, tmp_path / "photos/cat.jpg/out")


def test_two_items_must_not_make_one_file(items, tmp_path):
    with pytest.raises(ValueError, match=r"two items make 'test/hr/c\.png'"):
        build(items, tmp_path / "out", lambda _: arrays(items[3]))


def test_a_source_that_cannot_be_read_is_named(items, tmp_path):
    def absent(item):
        raise FileNotFoundError(2, "No such file", "labels.mat")

    with pytest.raises(TrainError, match=r"'labels.mat' \(No such file\)"):
        build(items, tmp_path / "out", absent)
    items[0].sources[0].unlink()
    with pytest.raises(TrainError, match="train-a-1"):
        build(items, tmp_path / "out2")


def test_samples_are_those_that_were_made(items, tmp_path):
    found = BuiltSet.open(build(items, tmp_path / "out"))
    assert (found.kind, len(found), found.fields) == ("toy", 5, ("hr", "lr"))
    assert found.names == ("train/a/1", "train/b/1")
    assert found.settings["side_px"] == 4
    made = [arrays(items[0]), arrays(items[1])]
    for field in found.fields:
        expected = np.concatenate(
            [m[f"{name}.{field}.npy"] for m, name in zip(made, found.names, strict=True)]
        )
        got = np.stack([found.sample(k)[field] for k in range(5)])
        np.testing.assert_array_equal(got, expected)
    for index in (-1, 5):
        with pytest.raises(IndexError):
            found.sample(index)


def test_samples_travel_to_another_process_and_few_maps_stay_open(items, tmp_path, monkeypatch):
    monkeypatch.setattr(built, "OPEN_MAPS", 1)
    found = BuiltSet.open(build(items, tmp_path / "out"))
    first = found.sample(0)["lr"].copy()
    found.sample(4)
    copy = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(copy.sample(0)["lr"], first)
    assert len(found._maps) == 1


def test_a_set_that_cannot_be_read_says_why(items, tmp_path):
    with pytest.raises(UsageError, match=r"no manifest.json.*crispstream data build"):
        BuiltSet.open(tmp_path)
    interrupted(items, tmp_path / "half", "test/c")
    with pytest.raises(UsageError, match="its build was interrupted"):
        BuiltSet.open(tmp_path / "half")
    out = build(items, tmp_path / "out")
    with pytest.raises(UsageError, match=r"no samples in 'val' \(it holds: test, train\)"):
        BuiltSet.open(out, "val")
    (out / "manifest.json").write_text('{"schema": 1}')
    with pytest.raises(TrainError, match="is damaged"):
        BuiltSet.open(out)


def test_a_missing_a_cut_and_a_swapped_shard_are_named(items, tmp_path):
    out = build(items, tmp_path / "out")
    shard = out / "train/b/1.lr.npy"
    whole = shard.read_bytes()
    shard.unlink()
    with pytest.raises(TrainError, match=r"1\.lr\.npy' is missing or"):
        BuiltSet.open(out)
    shard.write_bytes(whole[:-4])
    with pytest.raises(TrainError, match=r"1\.lr\.npy"):
        BuiltSet.open(out)
    np.save(shard, np.load(out / "train/b/1.hr.npy").reshape(3, 5, 4, 3).astype(np.float32))
    assert shard.stat().st_size == len(whole)
    with pytest.raises(TrainError, match=r"1\.lr\.npy"):
        BuiltSet.open(out).sample(2)


@pytest.mark.parametrize("more", [{"train/a/1.y.npy": 3}, {"train/b/1.sigma.npy": 3}])
def test_fields_that_do_not_belong_together_are_refused(items, tmp_path, more):
    """Three samples of `y` beside two of the others; `sigma` in one item and not in another."""

    def uneven(item):
        extra = {name: np.zeros((n, 2, 2, 1)) for name, n in more.items() if item.name in name}
        return {**arrays(item), **extra}

    out = build(items, tmp_path / "out", uneven)
    with pytest.raises(TrainError, match="do not belong together"):
        BuiltSet.open(out)
