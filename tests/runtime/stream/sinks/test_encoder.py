"""Which encoder is taken, and what is said where the asked one is not there."""

import av
import pytest

from crispstream.core.errors import SinkError
from crispstream.runtime.stream.sink import SinkOptions
from crispstream.runtime.stream.sinks import encoder
from tests.helpers.restored import INFO


def _chosen(codec: str, wish: str) -> str:
    return encoder.encoding_for("out", INFO, 4, SinkOptions(codec=codec, encoder=wish)).name


@pytest.mark.parametrize(
    ("codec", "gpu", "cpu"),
    [("h264", "h264_nvenc", "libx264"), ("hevc", "hevc_nvenc", "libx265")],
)
def test_the_gpu_is_taken_where_it_opens_and_the_cpu_elsewhere(
    monkeypatch: pytest.MonkeyPatch, codec: str, gpu: str, cpu: str
) -> None:
    monkeypatch.setattr(encoder, "_refusal", lambda name, width, height: "")
    assert _chosen(codec, "auto") == _chosen(codec, "nvenc") == gpu
    assert _chosen(codec, "cpu") == cpu
    monkeypatch.setattr(encoder, "_refusal", lambda name, width, height: "no driver")
    assert _chosen(codec, "auto") == cpu


def test_an_asked_gpu_that_is_not_there_is_named() -> None:
    if not encoder._refusal("h264_nvenc", 256, 192):
        pytest.skip("this machine has NVENC")
    with pytest.raises(SinkError, match=r"NVENC cannot encode h264 of 256x192 px.*'cpu'"):
        _chosen("h264", "nvenc")


def test_a_build_without_the_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"h264"})
    with pytest.raises(SinkError, match=r"no hevc encoder \(libx265\).*pip install"):
        _chosen("hevc", "auto")


def test_every_encoder_has_settings_for_files_and_for_watching() -> None:
    names = {*encoder._CPU.values(), *encoder._GPU.values()}
    assert names == set(encoder._FOR_FILES) == set(encoder._FOR_WATCHING)
