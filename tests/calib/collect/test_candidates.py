"""What an interruption leaves is gone on with; what is whole is replaced by what is whole."""

import numpy as np
import pytest

from crispstream.calib.collect.collect import collect
from crispstream.calib.collect.sets import UNFINISHED, CalibrationSet
from crispstream.core.errors import SourceError, UsageError
from tests.helpers.collecting import manifest, request
from tests.helpers.media import write_video
from tests.helpers.pictures import soft_picture, write_picture


def stop_at(count):
    """A listener that is interrupted at the n-th frame of the whole run."""
    heard = []

    def on_frame(uri, seen, total):
        heard.append(uri)
        if len(heard) == count:
            raise KeyboardInterrupt

    return on_frame, heard


def test_the_same_call_goes_on_and_gives_the_same_set(photos, clip, tmp_path):
    wanted, out = request(photos, clip), tmp_path / "set"
    interrupt, _ = stop_at(20)
    with pytest.raises(KeyboardInterrupt):
        collect(wanted, out, on_frame=interrupt)
    with pytest.raises(UsageError, match="unfinished"):
        CalibrationSet.load(out)
    with (out / UNFINISHED / "journal.jsonl").open("a") as journal:
        journal.write('{"candidate": {"sour')  # the machine lost its power just then
    kept = {path.name: path.stat().st_mtime_ns for path in (out / UNFINISHED).glob("*.png")}
    assert len(kept) > 6
    interrupt, heard = stop_at(28)
    with pytest.raises(KeyboardInterrupt):
        collect(wanted, out, on_frame=interrupt)
    assert set(heard) == {str(clip)}  # the finished source is not read again
    for name, time in kept.items():
        assert (out / UNFINISHED / name).stat().st_mtime_ns == time
    collect(wanted, out)
    collect(wanted, tmp_path / "at once")
    assert manifest(out) == manifest(tmp_path / "at once")


def test_another_collection_is_told_from_it(photos, clip, tmp_path):
    interrupt, _ = stop_at(3)
    with pytest.raises(KeyboardInterrupt):
        collect(request(photos), tmp_path / "set", on_frame=interrupt)
    for other, difference in {
        request(photos, clip): "sources .*photos, not .*photos, .*clip.mp4",
        request(photos, frames=9): "frames 8, not 9",
        request(photos, size=(20, 10)): "size None, not 20x10",
        request(photos, model="edge-s"): "model None, not edge-s",
    }.items():
        with pytest.raises(UsageError, match=f"unfinished collection with {difference}"):
            collect(other, tmp_path / "set")
    collect(request(clip, frames=4), tmp_path / "set", overwrite=True)
    assert len(CalibrationSet.load(tmp_path / "set").frames) == 4


def test_a_source_that_changed_meanwhile_is_read_again(photos, clip, tmp_path):
    interrupt, _ = stop_at(10)
    with pytest.raises(KeyboardInterrupt):
        collect(request(photos, clip), tmp_path / "set", on_frame=interrupt)
    write_picture(photos / "0.png", 77, 48, 64)
    collect(request(photos, clip), tmp_path / "set")
    found = CalibrationSet.load(tmp_path / "set")
    new = [frame for frame in found.frames if (frame.source, frame.serial) == (str(photos), 0)]
    for frame in new:
        assert np.array_equal(found.read(frame), soft_picture(77, 48, 64))
    assert manifest(tmp_path / "set")["sources"][0]["seen"] == 6


def test_candidates_that_were_lost_are_taken_again(photos, clip, tmp_path):
    interrupt, _ = stop_at(10)
    with pytest.raises(KeyboardInterrupt):
        collect(request(photos, clip), tmp_path / "set", on_frame=interrupt)
    (tmp_path / "set" / UNFINISHED / "000-00000003.png").unlink()
    collect(request(photos, clip), tmp_path / "set")
    assert manifest(tmp_path / "set")["sources"][0]["candidates"] == 6


@pytest.mark.parametrize("line", ["[]", "{}", '{"settings": 1', '{"settings": {}, "marks": 3}'])
def test_a_damaged_journal_is_told_and_can_be_given_up(photos, tmp_path, line):
    (tmp_path / "set" / UNFINISHED).mkdir(parents=True)
    (tmp_path / "set" / UNFINISHED / "journal.jsonl").write_text(line + "\n")
    with pytest.raises(SourceError, match=r"journal\.jsonl' is damaged"):
        collect(request(photos), tmp_path / "set")
    collect(request(photos), tmp_path / "set", overwrite=True)


def test_a_broken_source_keeps_what_was_read(photos, tmp_path):
    options = {"g": "1", "preset": "ultrafast"}
    write_video(
        tmp_path / "cut.mp4",
        frames=40,
        options=options,
        container_options={"movflags": "faststart"},
    )
    whole = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(SourceError, match="taken until then is kept: put this right and run"):
        collect(request(photos, tmp_path / "cut.mp4"), tmp_path / "set")
    (tmp_path / "cut.mp4").write_bytes(whole)
    heard = set()
    collect(
        request(photos, tmp_path / "cut.mp4"),
        tmp_path / "set",
        on_frame=lambda uri, seen, total: heard.add(uri),
    )
    assert heard == {str(tmp_path / "cut.mp4")}


def test_a_set_is_replaced_only_when_asked_and_only_by_a_whole_one(photos, clip, tmp_path):
    collect(request(photos, frames=6), tmp_path / "set")
    before = manifest(tmp_path / "set")
    with pytest.raises(UsageError, match="exists; name another folder, or replace it: --overwrite"):
        collect(request(clip), tmp_path / "set")

    def interrupt(uri, seen, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(request(clip), tmp_path / "set", overwrite=True, on_frame=interrupt)
    assert manifest(tmp_path / "set") == before
    collect(request(clip, frames=4), tmp_path / "set", overwrite=True)
    assert len(list((tmp_path / "set/frames").iterdir())) == 4
    found = CalibrationSet.load(tmp_path / "set")
    assert [found.read(frame).shape for frame in found.frames] == [(48, 64, 3)] * 4


def test_an_interruption_while_the_set_is_written_loses_nothing(photos, tmp_path, monkeypatch):
    def interrupted(path, model, frames, sources):
        raise KeyboardInterrupt

    collect(request(photos, frames=3), tmp_path / "set")
    with monkeypatch.context() as patched:
        patched.setattr("crispstream.calib.collect.collect.write_manifest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            collect(request(photos, frames=4), tmp_path / "set", overwrite=True)
    with pytest.raises(UsageError, match="unfinished"):
        CalibrationSet.load(tmp_path / "set")

    def nothing_is_read(uri, seen, total):
        raise AssertionError

    collect(request(photos, frames=4), tmp_path / "set", on_frame=nothing_is_read)
    found = CalibrationSet.load(tmp_path / "set")
    assert [found.read(frame).shape for frame in found.frames] == [(48, 64, 3)] * 4
