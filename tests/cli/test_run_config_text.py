"""What `crispstream run --config` shows: tables that keep their columns, and right words."""

import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from crispstream.cli.run_config_text import end_lines, end_table, live_table
from crispstream.runtime.stream.cameras.camera import Camera
from crispstream.runtime.stream.cameras.cameras import CameraReport, CamerasReport, CameraState
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ladder.use import LadderUse, RungUse
from crispstream.runtime.stream.ledger import Ledger, Snapshot

WHY = "'rtsp://***@192.168.1.20:554/stream1' gave no answer within 5 s; check that it is [on] " * 3


def books(*, frames: int = 1, reconnects: int = 0) -> Snapshot:
    ledger = Ledger(Health("door"))
    for state in ("live", *("lost", "live") * reconnects):
        ledger.health.enter(state)
    for _ in range(frames):
        ledger.capture()
        ledger.restore(7_000_000, "edge-n int8-cpu")
    return ledger.snapshot()


def drawn(table: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("│")[1:-1]]


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", ["yard", "the camera behind the greenhouse, left"])
def test_a_long_reason_takes_no_column_away(width: int, name: str) -> None:
    ledger = Ledger(Health("door"))
    ledger.health.enter("live")
    ledger.capture()
    ledger.restore(7_000_000, "edge-n int8-cpu")
    ledger.drop("slot", 12_345)
    states = {
        "door": CameraState("door", "live", ledger.snapshot()),
        name: CameraState(name, "connecting", None, WHY),
        "gate": CameraState("gate", "failed", ledger.snapshot(), WHY),
    }
    lines = drawn(live_table(states, "building an engine: tactics 3 of 9"), width)
    assert max(map(len, lines)) <= width
    door, yard, gate = (cells(line) for line in lines if line.startswith("│"))
    assert (door[:2], door[3:]) == (["door", "live"], ["7", "12345", "edge-n int8-cpu"])
    assert yard[0][:4] == name[:4]
    assert yard[1:] == ["connecting", "", "", "", ""]
    assert (gate[1], gate[4]) == ("failed", "12345")
    *_, first, second, note = lines
    assert first.startswith(f"{name}: 'rtsp://***@"[:40])
    assert second.startswith("gate: 'rtsp://***@")
    assert first.endswith("…")
    assert note.rstrip() == "building an engine: tactics 3 of 9"


def test_every_name_is_whole_where_there_is_room() -> None:
    name = "the camera behind the greenhouse, left"
    lines = drawn(live_table({name: CameraState(name, "live", books(), "")}), 120)
    assert name in lines[3]
    assert len(lines) == 5


def used(name: str, frames: int) -> RungUse:
    return RungUse(name, frames, 0, 1.0, 0, 9.5, left_out=False)


def report(**more: object) -> CameraReport:
    camera = Camera("door", "rtsp://host/door", ("null://",), budget_ms=33.0)
    facts = {"model": "edge-s", "precision": "fp32", "backend": "onnxruntime", "policy": "deadline"}
    return CameraReport(camera, source="rtsp://host/door", rung="edge-s fp32", **{**facts, **more})


def ended(*cameras: CameraReport) -> CamerasReport:
    named = {f"camera {number}": camera for number, camera in enumerate(cameras)}
    return CamerasReport(named, elapsed_seconds=2.0, cpu_seconds=1.0, stopped=False)


def test_a_ladder_is_named_by_the_rungs_that_ran() -> None:
    rungs = used("edge-s fp32", 0), used("edge-n int8-cpu", 5), used("bicubic", 40)
    ladder = LadderUse(33.0, rungs, 1, ())
    figures = ended(report(ladder=ladder, snapshot=books(frames=45)))
    (row,) = (cells(line) for line in drawn(end_table(figures), 100) if line.startswith("│"))
    assert row[:3] == ["door", "edge-n int8-cpu, bicubic", "45"]


def test_without_a_ladder_the_model_is_named() -> None:
    figures = ended(report(snapshot=books()))
    (row,) = (cells(line) for line in drawn(end_table(figures), 100) if line.startswith("│"))
    assert row[:3] == ["door", "edge-s fp32", "1"]


@pytest.mark.parametrize("width", [80, 100])
def test_the_last_table_keeps_its_figures_too(width: int) -> None:
    rungs = tuple(used(f"a-network-of-mine-{number} int8-cpu", 5) for number in range(4))
    ladder = LadderUse(33.0, rungs, 1, ())
    lines = drawn(end_table(ended(report(ladder=ladder, snapshot=books(frames=20)))), width)
    assert max(map(len, lines)) <= width
    first = next(cells(line) for line in lines if line.startswith("│"))
    assert (first[0], first[2], first[4:6]) == ("door", "20", ["7.0", "7.0"])


def test_the_last_table_has_the_whole_name_of_each_camera() -> None:
    name = "the-camera-behind-the-greenhouse"
    lines = drawn(
        end_table(ended(replace(report(snapshot=books()), camera=Camera(name, "", ())))), 70
    )
    column = "".join(cells(line)[0] for line in lines if line.startswith("│"))
    assert column == name


@pytest.mark.parametrize(
    ("number", "cameras", "times"), [(1, "1 camera in", "1 time"), (2, "2 cameras in", "2 times")]
)
def test_one_is_told_as_one(number: int, cameras: str, times: str) -> None:
    figures = ended(*[report(snapshot=books(reconnects=number))] * number)
    assert drawn(end_table(figures), 100)[0].startswith(cameras)
    assert f"door: the source came back {times}" in list(end_lines(figures))


@pytest.mark.parametrize(("policy", "told"), [("all", []), ("latest", ["stop 3"])])
def test_what_waited_at_the_stop_is_lost_only_where_frames_are(
    policy: str, told: list[str]
) -> None:
    ledger = Ledger(Health("door"))
    ledger.drop("stop", 3)
    lines = "".join(end_lines(ended(report(snapshot=ledger.snapshot(), policy=policy))))
    assert [word for word in ("stop 3", "slot") if word in lines] == told
