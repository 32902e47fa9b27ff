"""The Restorer: any frame in, four times the frame out, in order, and errors that advise."""

from pathlib import Path

import numpy as np
import pytest

from crispstream.core.bicubic import upscale_x4
from crispstream.core.clock import FakeClock
from crispstream.core.errors import BundleError, EngineError, FrameError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.bicubic import BicubicBackend
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.opening import Opened
from crispstream.runtime.restorer import Restorer
from tests.helpers.bundles import tiny_graphs, write_tiny_bundle
from tests.helpers.graphs import nearest_x4


def noise(height: int, width: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def repeated(frame_hwc: Bytes) -> Bytes:
    return frame_hwc.repeat(4, axis=0).repeat(4, axis=1)


@pytest.fixture
def nearest(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "nearest").path


@pytest.mark.parametrize(
    ("width", "height"), [(320, 180), (321, 179), (16, 16), (4, 4), (3, 3), (1, 7), (5, 1), (1, 1)]
)
def test_any_size_is_padded_and_cropped(nearest: Path, width: int, height: int) -> None:
    frame = noise(height, width)
    with Restorer.open(nearest, threads=1) as restorer:
        np.testing.assert_array_equal(restorer.restore(frame), repeated(frame))


def test_padding_mirrors_the_edge_the_network_sees(tmp_path: Path) -> None:
    graphs = tiny_graphs()
    bundle = write_tiny_bundle(tmp_path / "net", graphs)
    frame = noise(9, 6)
    mirrored = np.pad(frame, ((0, 3), (0, 2), (0, 0)), mode="reflect")
    with Restorer.open(bundle.path, threads=1) as restorer:
        odd = restorer.restore(frame).copy()
        padded = restorer.restore(mirrored)
    np.testing.assert_array_equal(odd, padded[:36, :24])


@pytest.mark.parametrize("size", [(40, 32), (41, 31)])
def test_strided_and_reversed_frames_are_read_right(nearest: Path, size: tuple[int, int]) -> None:
    width, height = size
    wide = noise(height, width + 9)
    with Restorer.open(nearest, threads=1) as restorer:
        for frame in (wide[:, 3 : 3 + width], wide[:, :width, ::-1], wide[::-1, :width]):
            np.testing.assert_array_equal(restorer.restore(frame), repeated(frame))


def test_bicubic_needs_no_bundle_and_is_the_one_bicubic() -> None:
    frame = noise(13, 11)
    with Restorer.open("bicubic") as restorer:
        assert (restorer.name, restorer.backend_name, restorer.scale) == ("bicubic", "bicubic", 4)
        np.testing.assert_array_equal(restorer.restore(frame), upscale_x4(frame))


def test_names_what_runs(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs(), name="small", certified=("fp16",))
    with Restorer.open(bundle.path) as restorer:
        assert restorer.name == "small"
        assert restorer.precision == "fp32"
        assert restorer.backend_name == "onnxruntime-cpu"
    with Restorer.open(bundle.path, precision="fp16", backend="onnxruntime") as restorer:
        assert restorer.precision == "fp16"
        assert not restorer.uncertified


def test_an_uncertified_graph_runs_only_where_that_is_allowed(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs())
    with pytest.raises(UsageError, match="--allow-uncertified"):
        Restorer.open(bundle.path, precision="fp16")
    with Restorer.open(bundle.path, precision="fp16", allow_uncertified=True) as restorer:
        assert (restorer.precision, restorer.uncertified) == ("fp16", True)
    with Restorer.open(bundle.path, allow_uncertified=True) as restorer:
        assert (restorer.precision, restorer.uncertified) == ("fp32", False)


def test_the_restorer_knows_what_its_bundle_was_calibrated_on(tmp_path: Path) -> None:
    statistics = {"figures": {"noise": {"low": 0.5, "high": 2.0}}}
    bundle = write_tiny_bundle(tmp_path / "b", input_statistics=statistics)
    with Restorer.open(bundle.path) as restorer:
        assert restorer.input_statistics == statistics
    with Restorer.open("bicubic") as restorer:
        assert (restorer.input_statistics, restorer.uncertified) == ({}, False)


@pytest.mark.parametrize("frames_in_flight", [1, 2, 3])
def test_results_stay_valid_for_as_many_submits_as_in_flight(
    nearest: Path, frames_in_flight: int
) -> None:
    frames = [noise(8, 8, seed) for seed in range(12)]
    held: list[tuple[int, Bytes]] = []
    with Restorer.open(nearest, threads=1, frames_in_flight=frames_in_flight) as restorer:
        collected = 0
        for submits, frame in enumerate(frames, start=1):
            restorer.submit(frame)
            for at, array in held:  # `at` submits had been made when it was collected
                if submits - at <= frames_in_flight:
                    index = next(i for i, (_, other) in enumerate(held) if other is array)
                    np.testing.assert_array_equal(array, repeated(frames[index]))
            if restorer.in_flight == frames_in_flight:
                held.append((submits, restorer.collect()))
                np.testing.assert_array_equal(held[-1][1], repeated(frames[collected]))
                collected += 1


def test_out_receives_a_copy_that_lasts(nearest: Path) -> None:
    frame, out = noise(5, 6), np.zeros((20, 24, 3), np.uint8)
    with Restorer.open(nearest, threads=1) as restorer:
        assert restorer.restore(frame, out) is out
        for seed in range(1, 6):
            restorer.restore(noise(5, 6, seed))
    np.testing.assert_array_equal(out, repeated(frame))


def test_a_wrong_out_loses_no_frame(nearest: Path) -> None:
    frame = noise(8, 8)
    with Restorer.open(nearest, threads=1) as restorer:
        restorer.submit(frame)
        with pytest.raises(FrameError, match=r"numpy.empty\(\(32, 32, 3\)"):
            restorer.collect(np.zeros((8, 8, 3), np.uint8))
        np.testing.assert_array_equal(restorer.collect(), repeated(frame))


def test_size_may_change_only_with_nothing_in_flight(nearest: Path) -> None:
    with Restorer.open(nearest, threads=1, size=(8, 8)) as restorer:
        first = restorer.restore(noise(8, 8))
        other = noise(12, 16, 1)
        np.testing.assert_array_equal(restorer.restore(other), repeated(other))
        np.testing.assert_array_equal(first, repeated(noise(8, 8)))
        restorer.submit(other)
        with pytest.raises(FrameError, match="a frame of 8x8 px came while 1 frames"):
            restorer.submit(noise(8, 8))
        # 15x11 is padded to the same 16x12 buffers: no reason to refuse it.
        restorer.submit(noise(11, 15, 2))
        np.testing.assert_array_equal(restorer.collect(), repeated(other))
        np.testing.assert_array_equal(restorer.collect(), repeated(noise(11, 15, 2)))


@pytest.mark.parametrize(
    ("frame", "advice"),
    [
        (np.zeros((8, 8), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((8, 8, 1), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((8, 8, 4), np.uint8), "COLOR_BGRA2BGR"),
        (np.zeros((8, 8, 3), np.float32), "astype"),
        (np.zeros((8, 8, 3), np.uint16), "expected uint8"),
        (np.zeros((0, 8, 3), np.uint8), "expected uint8"),
        (np.zeros((1, 8, 8, 3), np.uint8), "expected uint8"),
        ([[1, 2, 3]], "a frame is list"),
    ],
)
def test_frames_that_break_the_contract(nearest: Path, frame: Bytes, advice: str) -> None:
    with Restorer.open(nearest, threads=1) as restorer:
        with pytest.raises(FrameError, match=advice):
            restorer.submit(frame)
        assert restorer.in_flight == 0
        np.testing.assert_array_equal(restorer.restore(noise(8, 8)), repeated(noise(8, 8)))


def test_misuse_is_told_apart() -> None:
    restorer = Restorer.open("bicubic", frames_in_flight=1)
    with pytest.raises(UsageError, match="submit"):
        restorer.collect()
    restorer.submit(noise(4, 4))
    with pytest.raises(UsageError, match="in flight already"):
        restorer.submit(noise(4, 4))
    with pytest.raises(UsageError, match="collect"):
        restorer.restore(noise(4, 4))
    restorer.close()
    restorer.close()
    with pytest.raises(UsageError, match="closed"):
        restorer.submit(noise(4, 4))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frames_in_flight": 0}, "frames_in_flight is 0"),
        ({"precision": "fp16"}, "bicubic has no graph"),
        ({"backend": "onnxruntime"}, "bicubic has no graph"),
        ({"size": (0, 8)}, "size"),
    ],
)
def test_bad_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Restorer.open("bicubic", **options)  # type: ignore[arg-type]


def test_damaged_bundles_are_refused(nearest: Path) -> None:
    (nearest / "fp32.onnx").write_bytes(nearest_x4(8, 8))
    with pytest.raises(BundleError, match=r"fp32\.onnx"):
        Restorer.open(nearest)


class FailingOnce(BicubicBackend):
    """A backend whose first frame fails."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = self.closed = False

    def submit(self, slot: int) -> None:
        if not self.failed:
            self.failed = True
            raise EngineError("the device is gone", "native words")
        super().submit(slot)

    def close(self) -> None:
        self.closed = True
        super().close()


def test_a_failed_frame_leaves_nothing_in_flight() -> None:
    backend = FailingOnce()
    with Restorer(Opened(backend, "x", 1)) as restorer:
        with pytest.raises(EngineError, match="gone"):
            restorer.submit(noise(4, 4))
        assert restorer.in_flight == 0
        np.testing.assert_array_equal(restorer.restore(noise(4, 4)), upscale_x4(noise(4, 4)))
    assert backend.closed


class Slow(BicubicBackend):
    """A backend that takes 5 ms to submit and 2 ms to wait, on the clock it is given."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    def submit(self, slot: int) -> None:
        self.clock.advance(5_000_000)

    def wait(self, slot: int) -> None:
        self.clock.advance(2_000_000)


def test_latencies_count_only_what_held_the_caller() -> None:
    clock = FakeClock()
    with Restorer(Opened(Slow(clock), "x", 1), clock=clock) as restorer:
        restorer.submit(noise(4, 4))
        clock.advance(100_000_000)  # the caller does something else
        restorer.collect()
        summary = restorer.latencies.summary()
    assert list(summary) == ["copy_in", "infer", "copy_out"]
    assert summary["infer"]["max_ms"] == 7.0
    assert summary["copy_in"]["max_ms"] == 0.0
    assert summary["copy_out"]["count"] == 1


def test_ready_before_the_first_frame(nearest: Path) -> None:
    frame = noise(9, 6)
    with Restorer.open(nearest, threads=1) as restorer:
        restorer.reserve(6, 9)
        np.testing.assert_array_equal(restorer.restore(frame), repeated(frame))
        with pytest.raises(UsageError, match="the size 0x9"):
            restorer.reserve(0, 9)


def test_what_cannot_be_made_ready_is_closed(
    nearest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(OnnxRuntimeBackend, "close", lambda backend: closed.append(backend.name))
    with pytest.raises(UsageError, match="the size 0x9"):
        Restorer.open(nearest, size=(0, 9))
    with pytest.raises(UsageError, match="frames_in_flight is 0"):
        Restorer.open(nearest, frames_in_flight=0)
    assert closed == ["onnxruntime-cpu", "onnxruntime-cpu"]
