"""The guard lets pictures through, of any kind, and stops what is none."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.trust.guard import FrameGuard
from crispstream.runtime.stream.sources.synth import SynthSource
from tests.helpers.pictures import soft_picture

HEIGHT, WIDTH = 96, 160


def check_frame(name: str) -> Bytes:
    data = np.frombuffer(find_model("edge-n").file_bytes(f"check/{name}.png"), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[:HEIGHT, :WIDTH])


def dimmed(frame: Bytes, gain: float) -> Bytes:
    noise = np.random.default_rng(0).normal(0, 2, frame.shape)
    return np.clip(frame * gain + noise, 0, 255).astype(np.uint8)


def checks(cell: int) -> Bytes:
    y, x = np.mgrid[:HEIGHT, :WIDTH] // cell
    return np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)


def of_synth() -> Bytes:
    source = SynthSource(f"synth://pattern?size={WIDTH}x{HEIGHT}&frames=1", lambda: 0)
    return next(iter(source)).pixels_hwc


def flat(level: int) -> Bytes:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


KINDS: dict[str, Callable[[], Bytes]] = {
    **{name: lambda name=name: check_frame(name) for name in ("dog", "drone", "gopro", "road")},
    "night": lambda: dimmed(check_frame("drone"), 0.03),
    "dusk": lambda: dimmed(check_frame("road"), 0.2),
    "blown out": lambda: dimmed(check_frame("dog"), 4),
    "noise": lambda: np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
    "synth": of_synth,
    **{f"flat {level}": lambda level=level: flat(level) for level in (0, 1, 16, 128, 254, 255)},
    **{f"checks {cell}": lambda cell=cell: checks(cell) for cell in (1, 2, 3, 8)},
}


@pytest.fixture(scope="module")
def restored() -> Callable[[Bytes, str], Bytes]:
    backends: dict[str, OnnxRuntimeBackend] = {}
    bundle = find_model("edge-n")

    def run(frame: Bytes, precision: str) -> Bytes:
        if precision not in backends:
            graph_bytes = bundle.graph_bytes(bundle.graph(precision))
            backends[precision] = OnnxRuntimeBackend(graph_bytes, precision=precision, threads=1)
            backends[precision].allocate(HEIGHT, WIDTH, 1)
        backend = backends[precision]
        np.copyto(backend.frame(0), frame)
        backend.submit(0)
        backend.wait(0)
        return backend.restored(0)

    return run


@pytest.mark.parametrize("precision", ["fp32", "int8-cpu"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_false_alarm(kind: str, precision: str, restored: Callable[[Bytes, str], Bytes]) -> None:
    frame = KINDS[kind]()
    assert FrameGuard().check(frame, restored(frame, precision)) == ""


def enlarged(frame: Bytes) -> Bytes:
    return np.repeat(np.repeat(frame, 4, axis=0), 4, axis=1)


def with_black_corner(made: Bytes) -> Bytes:
    broken = made.copy()
    broken[: made.shape[0] // 2, : made.shape[1] // 2] = 0
    return broken


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (np.zeros_like, "is black where its input is not"),
        (lambda made: np.full_like(made, 255), "is white where its input is not"),
        (with_black_corner, "at most 8% may become so"),
        (lambda made: np.full_like(made, 200), "has another colour"),
        (lambda made: np.full_like(made, made.mean(axis=(0, 1))), "is flat"),
        (lambda made: 255 - made, "has another colour"),
        (lambda made: np.clip(made * 2.0, 0, 255).astype(np.uint8), "restored frame"),
    ],
)
def test_what_is_no_picture_of_its_input_is_stopped(
    fault: Callable[[Bytes], Bytes], words: str
) -> None:
    frame = check_frame("drone")
    assert words in FrameGuard().check(frame, fault(enlarged(frame)))


def test_swapped_colours_are_seen_where_the_picture_has_any() -> None:
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = (60, 90, 160)
    reason = FrameGuard().check(frame, enlarged(frame)[..., ::-1])
    assert "its mean of blue is 160, that of its input 60" in reason


def test_black_at_night_is_seen() -> None:
    frame = dimmed(checks(8), 0.08)
    assert frame.max() < 32
    assert "is flat" in FrameGuard().check(frame, np.zeros_like(enlarged(frame)))


def test_noise_in_the_dark_may_be_evened_out() -> None:
    frame = dimmed(np.full((HEIGHT, WIDTH, 3), 20, np.uint8), 1)
    assert FrameGuard().check(frame, np.full((4 * HEIGHT, 4 * WIDTH, 3), 20, np.uint8)) == ""


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (181, 323), (65, 64), (720, 1280)])
def test_any_size_is_looked_at(size: tuple[int, int]) -> None:
    frame = soft_picture(0, *size) if min(size) > 1 else np.full((1, 1, 3), 9, np.uint8)
    guard = FrameGuard()
    assert guard.check(frame, enlarged(frame)) == ""
    assert guard.check(frame, np.full_like(enlarged(frame), 255)) != ""
    assert guard._frame.size <= 3 * 4200


def test_views_of_larger_pictures_are_looked_at() -> None:
    wide = soft_picture(0, 80, 200)
    frame = wide[:, 20:180]
    assert FrameGuard().check(frame, enlarged(wide)[:, 80:720]) == ""


def test_buffers_are_made_once_a_size() -> None:
    guard, frame = FrameGuard(), soft_picture(0, 60, 80)
    guard.check(frame, enlarged(frame))
    before = (guard._frame, guard._restored, guard._gap, guard._extreme, guard._far)
    guard.check(soft_picture(1, 60, 80), enlarged(frame))
    after = (guard._frame, guard._restored, guard._gap, guard._extreme, guard._far)
    assert all(a is b for a, b in zip(before, after, strict=True))
    guard.check(soft_picture(1, 64, 80), enlarged(soft_picture(1, 64, 80)))
    assert guard._frame is not before[0]
