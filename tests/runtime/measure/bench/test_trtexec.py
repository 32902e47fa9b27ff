"""Times of frames in the form of trtexec."""

import json
from pathlib import Path

from crispstream.core.clock import FakeClock
from crispstream.runtime.engine.opening import open_model
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.bench import trtexec
from crispstream.runtime.measure.bench.trtexec import FrameKeeper, FrameTimes, write_times
from crispstream.runtime.restorer import STAGES, Restorer
from tests.helpers.pictures import soft_picture

MS = 1_000_000
# NVIDIA/TensorRT, samples/common/sampleReporting.cpp, exportJSONTrace, in the order written there.
KEYS = [
    *("startEnqMs", "endEnqMs", "startH2dMs", "endH2dMs"),
    *("startComputeMs", "endComputeMs", "startD2hMs", "endD2hMs"),
    *("h2dMs", "computeMs", "d2hMs", "latencyMs"),
]


def frame_of(keeper: FrameKeeper, begun: int) -> FrameTimes:
    """Let the stages of a frame go by: 1 ms in, 2 ms to start, 4 ms of waiting, 1 ms out."""
    keeper.span("copy_in", begun, begun + MS)
    keeper.span("infer", begun + MS, begun + 3 * MS, begun + 5 * MS, begun + 9 * MS)
    keeper.span("copy_out", begun + 9 * MS, begun + 10 * MS)
    return keeper.frames[-1]


def test_the_keys_are_those_of_trtexec_and_the_times_add_up(tmp_path: Path) -> None:
    keeper = FrameKeeper(Latencies(STAGES))
    frame_of(keeper, 50 * MS)
    frame_of(keeper, 70 * MS)
    write_times(keeper.frames, tmp_path / "times.json")
    first, second = json.loads((tmp_path / "times.json").read_text())
    assert list(first) == KEYS
    assert first == {
        "startEnqMs": 1,
        "endEnqMs": 3,
        "startH2dMs": 0,
        "endH2dMs": 1,
        "startComputeMs": 1,
        "endComputeMs": 9,
        "startD2hMs": 9,
        "endD2hMs": 10,
        "h2dMs": 1,
        "computeMs": 8,
        "d2hMs": 1,
        "latencyMs": 10,
    }
    assert second["startH2dMs"] == 20


def test_the_histograms_are_kept_as_before() -> None:
    keeper = FrameKeeper(Latencies(STAGES))
    frame_of(keeper, 0)
    assert keeper["infer"].count == 1
    assert keeper["infer"].max_ms == 6
    keeper.clear()
    assert not keeper.frames
    assert keeper["infer"].count == 0


def test_on_a_gpu_the_parts_are_as_long_as_its_clock_says() -> None:
    device = Latencies(("copy_in", "infer", "copy_out", "whole"))
    device.record("infer", 10**17 + 1)  # long ago, and beyond the 53 bits of a float
    keeper = FrameKeeper(Latencies(STAGES), device)
    for stage, milliseconds in (("copy_in", 1), ("infer", 3), ("copy_out", 2)):
        device.record(stage, milliseconds * MS)
    frame = frame_of(keeper, 0)
    assert frame.copy_in == (MS, 2 * MS)
    assert frame.compute == (2 * MS, 5 * MS)
    assert frame.copy_out == (5 * MS, 7 * MS)
    device.record("whole", 4 * MS)
    frame = frame_of(keeper, 20 * MS)
    assert frame.copy_in == (21 * MS, 21 * MS)
    assert frame.compute == (21 * MS, 25 * MS)


def test_a_restorer_gives_every_frame_to_its_keeper() -> None:
    clock = FakeClock()
    with Restorer(open_model("bicubic"), clock=clock) as restorer:
        keeper = restorer.latencies = FrameKeeper(restorer.latencies, restorer.device_latencies)
        for seed in range(3):
            clock.advance(MS)
            restorer.restore(soft_picture(seed, 8, 12))
    assert [frame.copy_in[0] for frame in keeper.frames] == [MS, 2 * MS, 3 * MS]


def test_only_the_last_frames_are_kept() -> None:
    keeper = FrameKeeper(Latencies(STAGES))
    assert keeper.frames.maxlen == trtexec.MOST_FRAMES


def test_without_a_frame_the_file_is_an_empty_list(tmp_path: Path) -> None:
    write_times([], tmp_path / "times.json")
    assert json.loads((tmp_path / "times.json").read_text()) == []
