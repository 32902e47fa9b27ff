"""Several cameras in one process: they share models, and each has its own frames and books."""

import threading
from pathlib import Path

import pytest

from crispstream.core.errors import SourceError
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream import compose
from crispstream.runtime.stream.cameras.cameras import CameraState
from crispstream.runtime.stream.ladder.ladder import Ladder
from crispstream.runtime.stream.source import Source, open_source
from tests.helpers.bundles import four_graphs, write_tiny_bundle
from tests.helpers.cameras import FILE, LIVE, camera, restored, run


def test_every_camera_gets_its_frames_and_its_books(tmp_path: Path) -> None:
    text = camera("a", FILE, "a.mp4") + camera("b", FILE.replace("12", "7"))
    report = run(tmp_path, text)
    assert list(report.cameras) == ["a", "b"]
    assert [each.stream.frames for each in report.cameras.values()] == [12, 7]
    assert [each.snapshot.restored for each in report.cameras.values()] == [12, 7]
    assert [each.turn_waits["count"] for each in report.cameras.values()] == [12, 7]
    assert (report.failed, report.stopped) == (False, False)
    assert report.elapsed_seconds > 0
    assert sum(1 for _ in open_source(str(tmp_path / "a.mp4"))) == 12
    first = report.cameras["a"]
    assert (first.model, first.backend, first.rung, first.policy) == ("bicubic",) * 3 + ("all",)


def test_a_model_is_opened_once_and_each_camera_closes_its_twin(tmp_path, monkeypatch) -> None:
    opened, alive, real_open, real_twin = [], [], Restorer.open, Restorer.twin

    def noted_open(*arguments, **options) -> Restorer:
        opened.append(arguments[:3])
        return real_open(*arguments, **options)

    def noted_twin(self: Restorer) -> Restorer:
        twin = real_twin(self)
        alive.append(twin)
        close = twin.close
        monkeypatch.setattr(twin, "close", lambda: (alive.remove(twin), close()))
        return twin

    monkeypatch.setattr(Restorer, "open", noted_open)
    monkeypatch.setattr(Restorer, "twin", noted_twin)
    text = "".join(camera(name, FILE) for name in "abc")
    text += camera("d", FILE, more="model = 'edge-n'\nprecision = 'fp32'")
    report = run(tmp_path, text)
    assert not report.failed
    assert opened == [("bicubic", "auto", "auto"), ("edge-n", "fp32", "auto")]
    assert alive == []


def test_all_end_and_finish_their_outputs_when_told_to(tmp_path: Path) -> None:
    text = camera("a", LIVE, "a.mp4") + camera("b", LIVE, "b.mkv")
    report = run(tmp_path, text, until=lambda states: min(restored(states, n) for n in "ab") > 5)
    assert (report.failed, report.stopped) == (False, True)
    for name in ("a.mp4", "b.mkv"):
        frames = sum(1 for _ in open_source(str(tmp_path / name)))
        assert frames == report.cameras[name[0]].stream.frames > 5
    assert report.cameras["a"].policy == "latest"
    assert report.cameras["a"].stream.stopped
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"a", "b", "capture", "writer"}


@pytest.mark.parametrize("where", ["call", "file"])
def test_time_ends_them_too(tmp_path: Path, where: str) -> None:
    text, options = camera("a", LIVE), {"seconds": 0.3} if where == "call" else {}
    report = run(tmp_path, "seconds = 0.3\n" + text if where == "file" else text, **options)
    assert (report.failed, report.stopped) == (False, False)
    assert not report.cameras["a"].stream.stopped
    assert report.cameras["a"].stream.frames < 1_000_000


def test_a_camera_that_is_not_there_yet_is_waited_for(tmp_path, monkeypatch) -> None:
    tries = []

    def open_late(uri: str, *arguments, **options) -> Source:
        if uri.startswith("rtsp"):
            tries.append(uri)
            if len(tries) < 3:
                raise SourceError("'rtsp://***@127.0.0.1:9/x' does not answer")
            return open_source(FILE, *arguments, **options)
        return open_source(uri, *arguments, **options)

    monkeypatch.setattr(compose, "open_source", open_late)
    monkeypatch.setattr(compose.Backoff, "next_seconds", lambda _: 0.15)
    seen: list[CameraState] = []
    text = camera("a", "rtsp://me:secret@127.0.0.1:9/x") + camera("b", FILE)
    report = run(tmp_path, text, on_tick=lambda states: seen.append(states["a"]))
    assert not report.failed
    assert report.cameras["a"].stream.frames == 12
    waiting = [state for state in seen if state.snapshot is None and state.why]
    assert waiting
    assert {state.state for state in waiting} == {"connecting"}
    assert "does not answer" in waiting[0].why


def test_a_budget_makes_a_ladder_of_shared_models(tmp_path: Path) -> None:
    ladder = "budget_ms = 1000\nladder = ['edge-n:fp32', 'bicubic']\npolicy = 'deadline'"
    text = camera("a", FILE, more=ladder) + camera("b", FILE, more="budget_ms = 1000\nladder='off'")
    report = run(tmp_path, text.replace("ladder='off'", "ladder='off'\npolicy='latest'"))
    assert not report.failed, [each.error for each in report.cameras.values()]
    first, second = report.cameras.values()
    assert [rung.name for rung in first.ladder.rungs] == ["edge-n fp32", "bicubic"]
    assert first.snapshot.budget_ms == 1000
    assert second.ladder is None
    assert (first.rung, second.rung) == ("edge-n fp32", "bicubic")


def test_only_a_region_is_restored(tmp_path: Path) -> None:
    run(tmp_path, camera("a", FILE, "a.mp4", "roi = '8,0,16,16'"))
    info = open_source(str(tmp_path / "a.mp4")).info
    assert (info.width, info.height) == (64, 64)


def test_a_ladder_sees_how_fast_a_live_source_gives_frames(tmp_path, monkeypatch) -> None:
    seen, watch = [], Ladder.watch
    monkeypatch.setattr(
        Ladder, "watch", lambda self, frame: (seen.append(frame), watch(self, frame))
    )
    more = "budget_ms = 1000\nladder = ['bicubic']\npolicy = 'latest'"
    text = camera("a", LIVE, more=more) + camera("b", FILE, more=more)
    report = run(tmp_path, text, until=lambda states: restored(states, "a") > 3)
    assert not report.failed
    assert len(seen) == report.cameras["a"].stream.frames > 3


def test_a_ladder_is_watched_for_its_int8_rung_beside_its_pace(
    tmp_path, monkeypatch, caplog
) -> None:
    dark = {"figures": {"brightness": {"low": 0.0, "high": 2.0}}}
    graphs = four_graphs()
    bundle = write_tiny_bundle(
        tmp_path / "b", graphs, name="night", certified=("int8-cpu",), input_statistics=dark
    ).path
    paced, watch = [], Ladder.watch
    monkeypatch.setattr(
        Ladder, "watch", lambda self, frame: (paced.append(frame), watch(self, frame))
    )
    more = f"budget_ms = 60000\nladder = ['{bundle}:fp32', '{bundle}:int8-cpu']"
    clip = camera("b", f"{FILE}&fps=1", more=f"{more}\npolicy = 'all'")  # 12 s, as fast as it goes
    report = run(
        tmp_path,
        camera("a", LIVE, more=more) + clip,
        until=lambda states: restored(states, "a") > 3 and states["b"].state == "ended",
    )
    live, clip = report.cameras.values()
    assert not report.failed, (live.error, clip.error)
    assert (live.precision, clip.precision) == ("fp32", "fp32")
    assert live.drift.watched == live.drift.outside >= 1
    assert len(paced) == live.stream.frames > 3
    assert (clip.drift.watched, clip.drift.alarms) == (12, 1)
    assert "camera b has left what night int8-cpu was calibrated for (brightness)" in caplog.text


def test_a_state_tells_the_ages_of_the_frames_so_far(tmp_path: Path) -> None:
    states: list[CameraState] = []
    run(tmp_path, camera("a", LIVE), seconds=0.5, on_tick=lambda now: states.append(now["a"]))
    assert all(state.ages is None for state in states if state.snapshot is None)
    assert states[-1].ages.count > 3
