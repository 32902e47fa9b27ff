"""Records of profile and plan, of figures drawn from seeds: none of it was measured.

`profile_record()` is a live stream of edge-s with its layers, `plan_record()` the same graph on a
small board: their layers have the same nodes.
"""

import random
from dataclasses import replace
from math import prod

from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.figures import Observer
from crispstream.runtime.measure.plan.record import Device, PlannedLayer, PlanRecord, Sustained
from crispstream.runtime.measure.profiling.record import (
    Depths,
    LayerProfile,
    LayerTime,
    ProfileRecord,
)
from crispstream.runtime.measure.report import RunReport, report_from_run
from crispstream.runtime.stream.loop import STAGES
from crispstream.runtime.stream.outcome import StreamReport
from tests.helpers.records import CREATED, HOST, MS, durations, moments_of, spread_of

GRAPH = "5f" * 32
STAGE_MS = {
    "decode": 33.1, "wait": 1.4, "copy_in": 0.12, "infer": 21.5, "copy_out": 0.35,
    "write_wait": 0.9, "write": 4.2, "total": 28.6,
}  # fmt: skip
"""Medians of the stages of `profile_record`."""
_CONVOLUTIONS = (
    ("/head/Conv", 3, 32, 1), ("/down_half/Conv", 32, 48, 2),
    *((f"/encode/encode.{index}/Conv", 48, 48, 2) for index in (0, 2)),
    ("/down_quarter/Conv", 48, 64, 4),
    *((f"/bottom/bottom.{index}/Conv", 64, 64, 4) for index in (0, 2, 4, 6)),
    ("/up_half/Conv", 64, 48, 2),
    *((f"/decode/decode.{index}/Conv", 48, 48, 2) for index in (0, 2)),
    ("/up/Conv", 48, 32, 1), ("/sharpen/sharpen.0/Conv", 32, 32, 1), ("/tail/Conv", 32, 48, 1),
)  # fmt: skip
_SIZE = (320, 180)
DEVICE = Device(
    name="small-board",
    title="Example board 8 GB, 25 W",
    tera_macs={"fp32": 0.85, "fp16": 8.5, "int8": 16.75},
    memory_gb_per_second=102.0,
    memory_gb=8.0,
    launch_us=6.0,
    sources=(
        "data sheet of the board, table 1: 67 TOPS of sparse int8, so 16.75 dense tera MAC/s",
        "launch: an assumption",
    ),
)


def _planned(
    name: str, nodes: tuple[str, ...], op: str, macs: int, shape: tuple[int, ...], moved: int
) -> PlannedLayer:
    times_ms = {
        "compute": macs / DEVICE.tera_macs["fp16"] / 1e9,
        "memory": moved / DEVICE.memory_gb_per_second / 1e6,
        "launch": DEVICE.launch_us / 1000,
    }
    bound = max(times_ms, key=lambda kind: times_ms[kind])
    intensity = macs / moved if moved else 0.0
    roof_ms = times_ms[bound]
    return PlannedLayer(
        name, nodes, op, "fp16", shape, macs, moved, intensity, roof_ms, bound
    )  # fmt: skip


def planned_layers() -> tuple[PlannedLayer, ...]:
    """Convolutions with their activations, and what is before, between and after them."""
    width, height = _SIZE
    layers = [_planned("/Cast", ("/Cast", "/Transpose"), "Cast", 0, (1, 3, 180, 320), 518_400)]
    for name, before, after, divisor in _CONVOLUTIONS:
        shape = (1, after, height // divisor, width // divisor)
        grown = (2 if "down" in name else 1) ** 2
        moved = 2 * (prod(shape) + grown * prod(shape) * before // after + 9 * before * after)
        nodes = (name, name.replace("Conv", "Relu"))
        layers.append(_planned(name, nodes, "Conv", 9 * before * prod(shape), shape, moved))
    end = ("/Clip", "/DepthToSpace", "/Transpose_2", "/Cast_4")
    layers.append(_planned("/Clip", end, "DepthToSpace", 0, (1, 720, 1280, 3), 19_353_600))
    return tuple(layers)


def plan_record(*, measured: bool = False) -> PlanRecord:
    """Edge-s on the board; `measured`: with times of a profile, one layer without."""
    layers = planned_layers()
    if measured:
        dice = random.Random(3)
        shares = [dice.uniform(0.12, 0.7) for _ in layers]
        layers = tuple(
            replace(layer, measured_ms=layer.roof_ms / share, achieved=share) if index else layer
            for index, (layer, share) in enumerate(zip(layers, shares, strict=True))
        )
    roof_ms = sum(layer.roof_ms for layer in layers)
    return PlanRecord(
        model="edge-s",
        precision="fp16",
        graph_sha256=GRAPH,
        size=_SIZE,
        device=DEVICE,
        layers=layers,
        macs=sum(layer.macs for layer in layers),
        bytes=sum(layer.bytes for layer in layers),
        roof_ms=roof_ms,
        expected_share=0.35,
        memory_mb={"weights": 0.62, "activations": 14.7, "frames": 5.9},
        sustained=tuple(
            Sustained(model, precision, size, ms, 1000 / ms, 350 / ms)
            for model, precision, size, ms in (
                ("edge-n", "fp16", _SIZE, 0.31 * roof_ms),
                ("edge-s", "fp16", _SIZE, roof_ms),
                ("edge-s", "int8", _SIZE, 0.71 * roof_ms),
                ("edge-s", "fp16", (640, 360), 4 * roof_ms),
            )
        ),
        created=CREATED,
        profile="profile.json, 2025-06-01" if measured else "",
    )


def layer_profile(frames: int = 40) -> LayerProfile:
    """Times of the layers, in order; one that the engine added itself."""
    planned = planned_layers()
    dice = random.Random(5)
    # Of a CPU, so that they add up to about what the network takes in `profile_record`.
    times_ms = [0.2 + layer.macs / 2.7e8 * dice.uniform(0.8, 1.3) for layer in planned]
    whole_ms = sum(times_ms) + 0.31
    layers = [
        LayerTime(
            name=f"{layer.name}_fused" if layer.op == "Conv" else layer.name,
            nodes=layer.nodes,
            op="FusedConv" if layer.op == "Conv" else layer.op,
            precision="fp32",
            shape=layer.shape,
            spread=spread_of(durations(time_ms, frames, index)),
            share=time_ms / whole_ms,
            macs=layer.macs,
            bytes=layer.bytes,
        )
        for index, (layer, time_ms) in enumerate(zip(planned, times_ms, strict=True))
    ]
    reorder = LayerTime("reorder", (), "ReorderOutput", "", (), spread_of([0.31]), 0.31 / whole_ms)
    return LayerProfile(
        "ONNX Runtime's profiler", frames, (*layers, reorder), whole_ms + 0.6, whole_ms - 0.2
    )


def stream_report(stages: Latencies, frames: int) -> StreamReport:
    """A live stream of some frames, of which others were lost."""
    summary = stages.summary()
    return StreamReport(
        frames=frames,
        dropped=9,
        damaged=0,
        stopped=False,
        elapsed_seconds=frames / 30,
        frames_per_second=30.0,
        first_frame_ms=70.0,
        cpu_seconds=frames * 0.04,
        latencies=summary,
        peak_depths={"slot": 1, "queue": 3},
        histograms=(stages,),
        live=True,
        policy="latest",
        captured=frames + 9,
        drops={"source": 2, "slot": 9, "deadline": 0, "stop": 0, "sink": 1},
        intervals=summary["infer"],
        state="live",
    )


def stage_durations(frames: int) -> dict[str, list[float]]:
    """Durations of each stage of the stream in ms."""
    return {name: durations(STAGE_MS[name], frames, seed) for seed, name in enumerate(STAGES)}


def run_report(frames: int = 240) -> RunReport:
    """The report of the stream."""
    stages = Latencies(STAGES)
    for name, durations_ms in stage_durations(frames).items():
        for duration_ms in durations_ms:
            stages.record(name, round(duration_ms * MS))
    return report_from_run(
        stream_report(stages, frames),
        source="rtsp://admin:secret@192.0.2.7/door",
        sink="out.mp4",
        model="edge-s",
        precision="fp32",
        backend="onnxruntime-cpu",
        budget_ms=33.0,
    )


def profile_record(frames: int = 240) -> ProfileRecord:
    """A live stream with every figure that a profile can have."""
    drawn = stage_durations(frames)
    dice = random.Random(9)
    depths = {"slot": [dice.choice((0, 0, 0, 1)) for _ in range(frames)]}
    depths["queue"] = [dice.choice((0, 1, 1, 2, 3)) for _ in range(frames)]
    return ProfileRecord(
        run=run_report(frames).as_json(),
        graph_sha256=GRAPH,
        size=_SIZE,
        stages={name: spread_of(drawn[name]) for name in STAGES},
        timeline=moments_of(drawn["total"], frames / 30),
        depths=tuple(
            Depths(name, sum(of) / len(of), max(of), moments_of(of, frames / 30))
            for name, of in depths.items()
        ),
        engine_ms=STAGE_MS["infer"],
        end_to_end_ms=STAGE_MS["total"],
        engine_busy=STAGE_MS["infer"] * 30 / 1000,
        layers=layer_profile(),
        observer=Observer(0.0021, "the stream ran with and without it in turns", {"pairs": 12}),
        host=HOST,
        created=CREATED,
    )
