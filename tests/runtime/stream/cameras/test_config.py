"""A file of cameras: what it means."""

from pathlib import Path

import pytest

from crispstream.runtime.stream.cameras.config import Camera, load_config
from crispstream.runtime.stream.sink import SinkOptions
from crispstream.runtime.stream.source import SourceOptions
from tests.helpers.cameras import DOOR, load

FULL = """
model = "edge-s"
policy = "latest"
codec = "hevc"
seconds = 60
threads = 2

[camera.door]
source = "rtsp://127.0.0.1:8554/door"
sinks = ["rec/door.mp4", "preview://127.0.0.1:8081"]
model = "bicubic"
precision = "auto"
backend = "onnxruntime"
policy = "deadline"
budget_ms = 50
limit = 100
allow_uncertified = true
input_size = "640x480"
input_fps = 12.5
decoder = "cpu"
roi = "160,90,320,180"
ladder = ["edge-s", "mine:fp32", "bicubic"]
output_size = "1280x720"
output_fps = 25
encoder = "cpu"
segment_seconds = 60

[camera."back yard"]
source = "clips"
sinks = "/tmp/yard.mp4"
tile = "640x360"
overwrite = true
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("clips", "rec", "house/clips"):
        (tmp_path / name).mkdir(parents=True)


def test_every_key_reaches_its_field(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    assert (config.seconds, config.threads) == (60, 2)
    assert config.cameras == (
        Camera(
            name="door",
            source="rtsp://127.0.0.1:8554/door",
            sinks=(str(tmp_path / "rec/door.mp4"), "preview://127.0.0.1:8081"),
            model="bicubic",
            backend="onnxruntime",
            policy="deadline",
            budget_ms=50,
            ladder="edge-s,mine:fp32,bicubic",
            roi="160,90,320,180",
            limit=100,
            allow_uncertified=True,
            source_options=SourceOptions((640, 480), 12.5, "cpu"),
            sink_options=SinkOptions((1280, 720), "hevc", "cpu", 25, 60),
        ),
        Camera(
            name="back yard",
            source=str(tmp_path / "clips"),
            sinks=("/tmp/yard.mp4",),
            model="edge-s",
            tile=(640, 360),
            overwrite=True,
            policy="latest",
            sink_options=SinkOptions(codec="hevc"),
        ),
    )


def test_what_is_left_out_is_as_the_command_line_has_it(tmp_path: Path) -> None:
    (camera,) = load(tmp_path, DOOR).cameras
    assert camera == Camera("door", "synth://pattern", ("null://",))
    assert (camera.model, camera.policy) == ("edge-n", "auto")


def test_places_are_those_of_what_holds_for_a_camera(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    path = tmp_path / "cameras.toml"
    assert str(config.place("door", "model")) == f"{path}:11"
    assert str(config.place("back yard", "model")) == f"{path}:2"
    assert str(config.place("back yard", "precision")) == f"{path}:28"
    assert str(config.place("door", "sinks", 1)) == f"{path}:10"


def test_paths_are_as_seen_from_the_file(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "house/cameras.toml").write_text(
        '[camera.door]\nsource = "clips"\nsinks = ["../door.mp4", "null://"]\n'
    )
    monkeypatch.chdir(tmp_path)
    (camera,) = load_config(Path("house/cameras.toml")).cameras
    assert camera.source == "house/clips"
    assert camera.sinks == ("house/../door.mp4", "null://")


@pytest.mark.parametrize("source", ["0", "v4l2:///dev/video0", "csi://0", "gst:a ! b", "udp://@:5"])
def test_what_is_no_path_stays_as_it_is(tmp_path: Path, source: str) -> None:
    text = f"[camera.door]\nsource = '{source}'\nsinks = 'null://'\n"
    assert load(tmp_path, text).cameras[0].source == source


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_bytes(b"\xef\xbb\xbf" + DOOR.replace("\n", "\r\n").encode())
    assert load_config(path).cameras[0].name == "door"


def test_variables_are_filled_in(tmp_path: Path) -> None:
    text = """
[camera.door]
source = "rtsp://admin:${DOOR_PASSWORD}@10.0.0.7/${PATH_7}"
sinks = ["null://", "${WHERE}/door.mp4"]
"""
    camera = load(tmp_path, text, DOOR_PASSWORD="p@ss/w:1", PATH_7="a/b", WHERE="rec").cameras[0]
    assert camera.source == "rtsp://admin:p%40ss%2Fw%3A1@10.0.0.7/a/b"
    assert camera.sinks[1] == str(tmp_path / "rec/door.mp4")


def test_a_variable_may_be_the_whole_address(tmp_path: Path) -> None:
    text = '[camera.door]\nsource = "${DOOR}"\nsinks = "null://"\n'
    uri = "rtsp://admin:p%40ss@10.0.0.7/a"
    assert load(tmp_path, text, DOOR=uri).cameras[0].source == uri


def test_what_holds_for_all_cameras_need_not_fit_each(tmp_path: Path) -> None:
    (camera,) = load(tmp_path, f"segment_seconds = 9\nladder = 'edge-n,bicubic'\n{DOOR}").cameras
    assert camera.sink_options.segment_seconds == 9
    assert not camera.has_ladder


def test_a_ladder_may_be_switched_off(tmp_path: Path) -> None:
    text = f"budget_ms = 33\npolicy = 'deadline'\n{DOOR}"
    assert not load(tmp_path, f"{text}ladder = 'off'\ntile = '64x64'\n").cameras[0].has_ladder
    assert load(tmp_path, text).cameras[0].has_ladder


def test_every_kind_of_source_is_known() -> None:
    from crispstream.runtime.stream import source
    from crispstream.runtime.stream.cameras.addresses import LOCAL_SCHEMES

    assert set(LOCAL_SCHEMES) == set(source._OPENERS)


def test_outputs_that_keep_nothing_or_find_a_free_port_may_be_alike(tmp_path: Path) -> None:
    sinks = "['null://', 'null://', 'timecode://', 'timecode://', 'preview://127.0.0.1:0']"
    text = "".join(f"[camera.{name}]\nsource = 'clips'\nsinks = {sinks}\n" for name in "ab")
    assert len(load(tmp_path, text).cameras) == 2


def test_a_model_may_lie_beside_the_file(tmp_path: Path, monkeypatch) -> None:
    from crispstream.runtime.engine.models import BUNDLES

    (tmp_path / "mine").symlink_to(BUNDLES / "edge-n")
    (tmp_path / "edge-s").mkdir()  # a shipped name wins
    rungs = f"{DOOR}policy = 'latest'\nbudget_ms = 9\nladder = 'mine:fp32, edge-s'\n"
    assert load(tmp_path, rungs).cameras[0].ladder == f"{tmp_path / 'mine'}:fp32,edge-s"
    config = load(
        tmp_path, f"model = 'mine'\n{DOOR}[camera.b]\nsource='0'\nsinks='y'\nmodel='edge-s'"
    )
    assert [camera.model for camera in config.cameras] == [str(tmp_path / "mine"), "edge-s"]
