"""Ranges of activations: measured on a calibration set, kept as a file, found again by digest."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of, write_json_atomically
from crispstream.core.pixels import Bytes

from .graph import GraphView
from .histogram import Histogram
from .methods import METHODS, Range
from .observe import Observer
from .placement import SCHEMA, read_json

KIND = "ranges"
RANGES_FILE = "calibration/ranges.json"
"""Where a bundle keeps them."""

_REVISION = 1  # raised when the same frames would give other ranges, so that caches miss

_OF_ZEROS = Range(1.0, 0.0, 1.0)  # a tensor that is always zero is exact in any range


@dataclass(frozen=True)
class Ranges:
    """The range of every tensor that may be quantised."""

    graph_sha256: str | None
    """The fp32 graph they were measured on; None after fine-tuning, which changes the graph."""
    set_sha256: str
    """Digest of the calibration set."""
    method: str
    frames: int
    tensors: Mapping[str, Range]
    """Tensor of the fp32 graph -> range."""
    synthetic: tuple[str, ...] = ()
    """Sources of frames that no camera took: such ranges certify nothing."""
    input_statistics: Mapping[str, Any] = field(default_factory=dict)
    """How the frames look, for `Bundle.input_statistics`."""
    frame_hashes: tuple[str, ...] = ()
    """Start of the SHA-256 of each frame's pixels: a certificate needs other frames."""

    def of(self, tensor: str) -> Range:
        """Return the range of a tensor.

        Raises:
            UsageError: if it was not measured.
        """
        if tensor not in self.tensors:
            raise UsageError(
                f"the ranges have none for the tensor '{tensor}'; measure them on this graph: "
                "crispstream calibrate BUNDLE --set SET -o NEW"
            )
        return self.tensors[tensor]


def ranges_as_json(ranges: Ranges) -> dict[str, Any]:
    """Return the content of ranges.json."""
    return {"schema": SCHEMA, "kind": KIND, **asdict(ranges)}


def read_ranges(path: Path, graph_sha256: str) -> Ranges:
    """Read ranges.json for the fp32 graph of this hash.

    Raises:
        UsageError: if the file is missing, malformed, or was measured on another graph.
    """
    content = read_json(path, KIND, "calibration/ranges.json of a calibrated bundle")
    try:
        ranges = parsed_ranges(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"'{path}' holds no ranges ({error!r}); measure them again") from error
    if ranges.graph_sha256 not in (None, graph_sha256):
        raise UsageError(
            f"'{path}' was measured on another graph (its SHA-256 starts "
            f"{str(ranges.graph_sha256)[:12]}, this bundle's fp32 graph {graph_sha256[:12]}); "
            "calibrate with --set instead of --ranges"
        )
    return ranges


def measure(
    view: GraphView, tensors: Sequence[str], frames: Iterable[Bytes], progress: Callable[[], None]
) -> Mapping[str, Histogram]:
    """Return the histogram of each tensor over frames, which are taken one at a time.

    `progress` is called after each frame.

    Raises:
        UsageError: if a tensor holds NaN or infinity.
    """
    found = {name: Histogram() for name in tensors}
    observer = Observer(view, tensors)
    for frame_hwc in frames:
        for name, values in observer.tensors(frame_hwc):
            found[name].add(name, values)
        progress()
    return found


def ranges_from(histograms: Mapping[str, Histogram], method: str) -> dict[str, Range]:
    """Return the range of each tensor that a method makes of its histogram."""
    return {
        name: METHODS[method](seen) if seen.low < seen.high else _OF_ZEROS
        for name, seen in histograms.items()
    }


def hash_of_pixels(frame_hwc: Bytes) -> str:
    """Return how `Ranges.frame_hashes` names a frame."""
    return sha256_of(np.ascontiguousarray(frame_hwc).tobytes())[:16]


def cached(digest: str, make: Callable[[], Ranges]) -> tuple[Ranges, bool]:
    """Return the ranges of this digest, made only if they are not kept; and whether they were."""
    path = cache_folder() / f"{digest}.json"
    # What is not there or damaged is made again.
    with contextlib.suppress(OSError, KeyError, TypeError, ValueError, AttributeError):
        return parsed_ranges(json.loads(path.read_text(encoding="utf-8"))), True
    ranges = make()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        write_json_atomically(path, ranges_as_json(ranges))
    return ranges, False


def digest_of(graph_sha256: str, set_sha256: str, method: str, tensors: Sequence[str]) -> str:
    """Return what ranges are kept under: graph, set, method and tensors, all in one hash."""
    parts = [str(_REVISION), graph_sha256, set_sha256, method, *sorted(tensors)]
    return sha256_of("\n".join(parts).encode())


def cache_folder() -> Path:
    """Return where ranges are kept between runs: below XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "crispstream" / "ranges"


def parsed_ranges(content: Mapping[str, Any]) -> Ranges:
    """Return the ranges in the content of ranges.json.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: if it is not that.
    """
    tensors = {
        str(name): Range(float(r["amax"]), float(r["low"]), float(r["high"]))
        for name, r in content["tensors"].items()
    }
    for name, found in tensors.items():
        if not (found.amax > 0 and found.low <= 0 <= found.high and found.low < found.high):
            raise ValueError(f"the range of {name} is empty")
    digest = content["graph_sha256"]
    return Ranges(
        None if digest is None else str(digest),
        str(content["set_sha256"]),
        str(content["method"]),
        int(content["frames"]),
        tensors,
        tuple(map(str, content["synthetic"])),
        dict(content["input_statistics"]),
        tuple(map(str, content["frame_hashes"])),
    )
