"""The choice of a decoder, with a fake driver; a real GPU's pictures are not seen here."""

from types import SimpleNamespace

import pytest
from av.codec.hwaccel import HWAccel

from crispstream.core.errors import UsageError
from crispstream.runtime.stream import decoding
from crispstream.runtime.stream.decoding import hardware, restore_tags


def _machine(
    monkeypatch: pytest.MonkeyPatch, *, cuda: bool = True, driver: bool = True, library: bool = True
) -> None:
    def load(name: str) -> object:
        if not library:
            raise OSError(name)
        return object()

    devices = ["vaapi", "cuda"] if cuda else ["vaapi"]
    monkeypatch.setattr(decoding, "hwdevices_available", lambda: devices)
    monkeypatch.setattr(decoding, "driver_starts", lambda: driver)
    monkeypatch.setattr(decoding, "_load", load)


@pytest.mark.parametrize(("decoder", "may_fall_back"), [("auto", True), ("nvdec", False)])
def test_a_gpu_decodes_where_it_can(
    monkeypatch: pytest.MonkeyPatch, decoder: str, may_fall_back: bool
) -> None:
    _machine(monkeypatch)
    accelerator = hardware(decoder)
    assert isinstance(accelerator, HWAccel)
    assert accelerator.allow_software_fallback is may_fall_back


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"cuda": False}, "PyAV knows no CUDA"),
        ({"driver": False}, "no NVIDIA GPU"),
        ({"library": False}, "libnvcuvid"),
    ],
)
def test_without_a_gpus_decoder_auto_is_the_cpu_and_nvdec_an_error(
    monkeypatch: pytest.MonkeyPatch, missing: dict[str, bool], said: str
) -> None:
    _machine(monkeypatch, **missing)
    assert hardware("auto") is None
    with pytest.raises(UsageError, match=said):
        hardware("nvdec")


def test_the_cpu_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "hwdevices_available", None)  # would raise if it were called
    assert hardware("cpu") is None


def test_lost_tags_come_from_the_stream_and_others_stay() -> None:
    codec = SimpleNamespace(colorspace=1, color_range=1, color_primaries=9, color_trc=14)
    bare = SimpleNamespace(colorspace=2, color_range=0, color_primaries=2, color_trc=2)
    restore_tags(bare, codec)
    assert vars(bare) == vars(codec)
    tagged = SimpleNamespace(colorspace=5, color_range=2)  # PyAV before 17 has no more of them
    restore_tags(tagged, codec)
    assert vars(tagged) == {"colorspace": 5, "color_range": 2}
