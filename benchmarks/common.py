"""What the measuring scripts share: the sample, repeats, ratios, and the form of a result.

A figure that depends on the machine is published beside the machine. Claims are ratios of
interleaved runs, CPU time or counts; each stands in `limits` with the value it must keep.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crispstream.core.files import write_json_atomically
from crispstream.core.pixels import Bytes
from crispstream.runtime.measure.host import host_facts
from crispstream.runtime.stream.source import open_source

if TYPE_CHECKING:
    import av

SCHEMA = 1
"""Version of the files in results/."""

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
SAMPLE = ROOT / "examples/media/gopro-blur-320x180.mp4"
MODELS = ("edge-n", "edge-s")
_RESAMPLES = 10_000
_BOUNDS = ("at_most", "at_least")


@dataclass(frozen=True)
class Limit:
    """A claim: a measured value, and what it may be at most or must be at least."""

    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Whether the claim holds."""
        below = self.at_most is None or self.value <= self.at_most
        # A NumPy number's answer is one of NumPy's, which JSON does not know.
        return bool(below and (self.at_least is None or self.value >= self.at_least))

    @property
    def bound(self) -> dict[str, float]:
        """The bound or bounds by name."""
        bounds = {"at_most": self.at_most, "at_least": self.at_least}
        return {name: value for name, value in bounds.items() if value is not None}


@dataclass(frozen=True)
class Ratio:
    """The median of paired ratios, with a bootstrap interval of 95 %."""

    median: float
    low: float
    high: float
    pairs: int


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Compare two series measured in turns.

    Pairing takes out what both felt, such as a slow minute of the machine.

    >>> paired_ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    Ratio(median=2.0, low=2.0, high=2.0, pairs=3)
    """
    ratios = np.asarray(numerators, float) / np.asarray(denominators, float)
    rng = np.random.default_rng(0)
    resampled = rng.choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(resampled, axis=1), (2.5, 97.5))
    return Ratio(float(np.median(ratios)), float(low), float(high), len(ratios))


def median_and_range(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest of repeated measurements."""
    return {
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
        "repeats": len(values),
    }


@dataclass(frozen=True)
class Cost:
    """What a piece of work took, for each frame."""

    wall_ms: float
    cpu_ms: float
    """Over all threads of the process."""


def cost_of(work: Callable[[], int]) -> Cost:
    """Run `work`, which returns how many frames it did."""
    cpu_begun, begun = time.process_time(), time.perf_counter()
    frames = work()
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu_begun
    return Cost(1000 * wall / frames, 1000 * cpu / frames)


def sample_frames() -> list[Bytes]:
    """Return the frames of the sample clip, [H,W,3] BGR."""
    source = open_source(str(SAMPLE))
    frames = [frame.pixels_hwc for frame in source]
    source.close()
    return frames


def write_looped_sample(path: Path, turns: int) -> None:
    """Write the sample's compressed frames `turns` times; nothing is decoded or encoded.

    Only whole turns: the last packets of a cut one would refer to frames that are missing.
    """
    import av

    with av.open(str(SAMPLE)) as source:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        length = sum(packet.duration or 0 for packet in packets)
        with av.open(str(path), "w") as target:
            copy = target.add_stream_from_template(stream)
            for turn in range(turns):
                for packet in packets:
                    target.mux(_shifted(packet, turn * length, copy))


def _shifted(
    packet: "av.Packet[av.VideoStream]", offset: int, stream: "av.VideoStream"
) -> "av.Packet[Any]":
    """Return a copy of a packet, `offset` ticks later."""
    import av

    moved = av.Packet(bytes(packet))
    moved.pts, moved.dts = (packet.pts or 0) + offset, (packet.dts or 0) + offset
    moved.duration, moved.time_base = packet.duration, packet.time_base
    moved.is_keyframe, moved.stream = packet.is_keyframe, stream
    return moved


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options every script has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/NAME.json")
    return parser


def result(
    benchmark: str,
    *,
    settings: Mapping[str, Any],
    figures: Mapping[str, Any],
    limits: Mapping[str, Limit],
) -> dict[str, Any]:
    """Return a result in the form of results/*.json.

    Args:
        benchmark: the script's name without .py.
        settings: what was asked for.
        figures: what was measured; names end in their unit.
        limits: the claims, by what they are about.
    """
    return {
        "schema": SCHEMA,
        "benchmark": benchmark,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": {**asdict(host_facts()), "load_average": os.getloadavg()[0]},
        "settings": dict(settings),
        "figures": dict(figures),
        "limits": {
            name: {"value": limit.value, **limit.bound, "met": limit.met}
            for name, limit in limits.items()
        },
    }


def publish(content: Mapping[str, Any], chosen: argparse.Namespace) -> None:
    """Print a result as text or JSON, and save it if asked."""
    if chosen.save:
        write_json_atomically(RESULTS / f"{content['benchmark']}.json", content)
    if chosen.json:
        print(json.dumps(content))
        return
    print(f"{content['benchmark']}  ({content['host']['processor']})")
    for name, figure in content["figures"].items():
        print(f"  {name}: {_readable(figure)}")
    for name, limit in content["limits"].items():
        words = "met" if limit["met"] else "NOT MET"
        bound = ", ".join(f"{k.replace('_', ' ')} {limit[k]:g}" for k in _BOUNDS if k in limit)
        print(f"  {name}: {limit['value']:.3g}, {bound}: {words}")


def _readable(figure: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(figure, Mapping):
        return ", ".join(f"{name} {_readable(value)}" for name, value in figure.items())
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)
