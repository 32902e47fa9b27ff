"""A recurrent network in a stream: what it remembers is of the scene, the camera and the size.

The network adds the frame before to each: a flat frame of 10 after one of 1 becomes 11.
"""

import threading
from pathlib import Path

import pytest

from crispstream.core.pixels import Bytes
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.cut import CutDetector
from crispstream.runtime.stream.ladder import ladder as ladder_module
from crispstream.runtime.stream.ladder.ladder import Ladder
from crispstream.runtime.stream.loop import run_stream
from tests.helpers.bundles import write_recurrent_bundle
from tests.helpers.pictures import soft_picture
from tests.helpers.streams import ListedSource, NumberSink, flat_frame

SMALL, LARGE = (32, 16), (64, 32)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_recurrent_bundle(tmp_path / "recurrent").path


def _seen(restorer: Restorer | Ladder, frames: list, **options) -> list[int]:
    sink = NumberSink()
    run_stream(ListedSource(frames), restorer, sink, **options)
    return sink.seen


@pytest.mark.parametrize("in_flight", [1, 2])
def test_it_is_carried_from_frame_to_frame(bundle: Path, in_flight: int) -> None:
    with Restorer.open(bundle, frames_in_flight=3) as restorer:
        frames = [flat_frame(n) for n in (1, 2, 4, 8)]
        assert _seen(restorer, frames, in_flight=in_flight) == [1, 3, 6, 12]


@pytest.mark.parametrize("in_flight", [1, 2])
def test_it_starts_over_after_a_reconnect(bundle: Path, in_flight: int) -> None:
    with Restorer.open(bundle, frames_in_flight=3) as restorer:
        frames = [flat_frame(n, fresh=n == 4) for n in (1, 2, 4, 8)]
        assert _seen(restorer, frames, in_flight=in_flight) == [1, 3, 4, 12]


@pytest.mark.parametrize("in_flight", [1, 2])
def test_it_starts_over_at_a_change_of_size(bundle: Path, in_flight: int) -> None:
    with Restorer.open(bundle, frames_in_flight=3) as restorer:
        sizes = (SMALL, SMALL, LARGE, LARGE, SMALL)
        frames = [flat_frame(2**n, size=size) for n, size in enumerate(sizes)]
        assert _seen(restorer, frames, in_flight=in_flight) == [1, 3, 4, 12, 16]


def test_it_starts_over_where_the_detector_sees_a_cut(bundle: Path) -> None:
    """Two scenes that look nothing like each other, each with a little motion."""
    asked: list[bool] = []
    detector = CutDetector()

    def is_cut(frame_hwc: Bytes) -> bool:
        asked.append(detector(frame_hwc))
        return asked[-1]

    scenes = [soft_picture(seed, 80, 160) // 4 for seed in (1, 2)]
    frames = [flat_frame(n, size=(160, 80)) for n in range(24)]  # whose pixels are those of a scene
    for n, frame in enumerate(frames):
        frame.pixels_hwc[:] = scenes[n // 12]
    with Restorer.open(bundle) as restorer:
        seen = _seen(restorer, frames, is_cut=is_cut, output_size=(640, 320))
    (first,) = [n for n, cut in enumerate(asked) if cut]
    assert 12 <= first <= 14
    corner = [int(scene[0, 0, 0]) for scene in scenes]
    assert seen[:2] == [corner[0], 2 * corner[0]]
    assert seen[first : first + 2] == [corner[1], 2 * corner[1]]


def test_a_change_of_rung_starts_over(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lower rung works on the frames between; the upper one forgets what was before them."""
    monkeypatch.setattr(ladder_module, "worthwhile", lambda costs: list(range(len(costs))))
    with Ladder([Restorer.open(bundle), Restorer.open("bicubic")], 1000) as ladder:
        ladder.reserve(*SMALL)
        wanted = {1: 0, 2: 0, 4: 1, 8: 1, 16: 0, 32: 0}
        seen = []
        for value, rung in wanted.items():
            ladder._controller.rung = rung
            ladder.submit(flat_frame(value).pixels_hwc)
            seen.append(int(ladder.collect()[0, 0, 0]))
    assert seen == [1, 3, 4, 8, 16, 48]


def test_each_camera_has_its_own(bundle: Path) -> None:
    with Restorer.open(bundle) as first, first.twin() as second:
        seen: dict[int, list[int]] = {}

        def run(camera: int, restorer: Restorer) -> None:
            frames = [flat_frame((camera + 1) * 2**n) for n in range(5)]
            seen[camera] = _seen(restorer, frames)

        threads = [threading.Thread(target=run, args=each) for each in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert seen == {0: [1, 3, 6, 12, 24], 1: [2, 6, 12, 24, 48]}
