"""`crispstream run --device`: one option for decoder, network and encoder."""

import os
from pathlib import Path

import pytest

from crispstream.cli import main as command_line
from crispstream.cli import run_config, run_one
from crispstream.cli.run_device import on_device, use_device
from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine import available
from crispstream.runtime.stream.cameras.camera import Camera
from crispstream.runtime.stream.sink import SinkOptions
from crispstream.runtime.stream.source import SourceOptions

CAMERA = Camera("door", "rtsp://host/door", ("door.mp4",))
STREAM = ["run", "synth://pattern?size=32x16&frames=3", "null://", "--model", "bicubic"]
VARIABLES = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES")


@pytest.fixture(autouse=True)
def own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back afterwards what a run sets for its process."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "driver_starts", lambda: True)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_number_nothing_is_hidden(device: str) -> None:
    environ: dict[str, str] = {}
    use_device(device, environ)
    assert environ == {}


def test_a_number_is_counted_as_nvidia_smi_does() -> None:
    environ: dict[str, str] = {}
    use_device("02", environ)
    assert environ == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "2"}


def test_a_number_counts_in_the_list_that_is_there_and_keeps_its_order() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "3, GPU-8a1f"}
    use_device("1", environ)
    assert environ == {"CUDA_VISIBLE_DEVICES": "GPU-8a1f"}


@pytest.mark.parametrize("listed", ["", "3"])
def test_a_number_beyond_the_list_is_refused(listed: str) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": listed}
    with pytest.raises(UsageError, match="--device is 1"):
        use_device("1", environ)
    assert environ == {"CUDA_VISIBLE_DEVICES": listed}


@pytest.mark.parametrize("device", ["", "gpu", "-1", "1.0", "cuda:0", "²"])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match="give auto, cpu, or the number of a GPU"):
        use_device(device, {})


def test_a_gpu_that_is_not_there_is_refused_and_not_replaced_by_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str | None, ...]] = []

    def starts() -> bool:
        asked.append(tuple(map(os.environ.get, VARIABLES)))
        return False

    monkeypatch.setattr(available, "driver_starts", starts)
    assert command_line.main([*STREAM, "--device", "7"]) == EngineError.exit_code
    assert asked == [("PCI_BUS_ID", "7")]  # set before the driver is loaded
    said = capsys.readouterr().err
    assert "the NVIDIA driver gives no GPU 7" in said
    assert said.count("\n") == 1


def test_the_cpu_decodes_computes_and_encodes() -> None:
    placed = on_device(CAMERA, "cpu")
    assert placed.backend == "onnxruntime"
    assert placed.source_options == SourceOptions(decoder="cpu")
    assert placed.sink_options == SinkOptions(encoder="cpu")
    assert on_device(placed, "cpu") == placed
    assert on_device(CAMERA, "auto") == on_device(CAMERA, "0") == CAMERA


def test_bicubic_alone_takes_no_backend() -> None:
    alone = Camera("door", "0", ("null://",), model="bicubic")
    assert on_device(alone, "cpu").backend == "auto"
    ladder = Camera("door", "0", ("null://",), model="bicubic", budget_ms=33.0, ladder="edge-n")
    assert on_device(ladder, "cpu").backend == "onnxruntime"


@pytest.mark.parametrize(
    "words", [["--backend", "tensorrt"], ["--decoder", "nvdec"], ["--encoder", "nvenc"]]
)
def test_the_cpu_and_the_gpu_at_once_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.mp4"
    asked = ["run", STREAM[1], str(target), *words, "--device", "cpu"]
    assert command_line.main(asked) == 2
    said = capsys.readouterr().err
    assert said == (
        f"error: --device is cpu, and the {words[0][2:]} is to be {words[1]}; leave one of them "
        "out\n"
    )
    assert not target.exists()


def test_it_is_one_option_for_outputs_that_encode_nothing_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    placed: list[object] = []

    def noted(asked: run_one.Request, device: str) -> run_one.Request:
        placed.append(on_device(asked, device))
        return on_device(asked, device)

    monkeypatch.setattr(run_one, "on_device", noted)
    assert command_line.main([*STREAM, "--device", "cpu"]) == 0
    (request,) = placed
    assert isinstance(request, run_one.Request)
    assert request.sink_options.encoder == "cpu"
    assert capsys.readouterr().err == ""


def test_it_goes_beside_a_file_of_cameras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    devices: list[str] = []

    def noted(camera: Camera, device: str) -> Camera:
        devices.append(device)
        return on_device(camera, device)

    monkeypatch.setattr(run_config, "on_device", noted)
    path = tmp_path / "cameras.toml"
    table = f"[camera.door]\nsource = '{STREAM[1]}'\nsinks = 'null://'\n"
    path.write_text("model = 'bicubic'\n" + table)
    assert command_line.main(["run", "--config", str(path), "--device", "cpu"]) == 0
    assert devices == ["cpu"]
    path.write_text(table + "decoder = 'nvdec'\n")
    assert command_line.main(["run", "--config", str(path), "--device", "cpu"]) == 2
    assert "the decoder is to be nvdec" in capsys.readouterr().err
