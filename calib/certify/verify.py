"""Verification: every graph of a bundle beside its fp32 graph, on pairs, and what follows.

fp32 itself is certified by export's parity with PyTorch; here it is the yardstick.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.ranges import RANGES_FILE, Ranges, hash_of_pixels, parsed_ranges
from crispstream.core.bundle import CERTIFICATE, FP32_SHA256, SCHEMA, VERIFICATION, Bundle, Graph
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.errors import BundleError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.graph_layers import layers_file
from crispstream.core.layers import LAYERS
from crispstream.core.pixels import Bytes, mirrored, padded_size

from .certificate import entry_of, reasons_against
from .insides import look_inside, tensors_in_halves
from .judge import Judged, judge, restorer_of, yardstick_of
from .pairs import Fitted, Pairs, fitted
from .sequences import OnTheWay, Way, sequence_frames
from .speed import speed_ratio

SPEED_SIZE = (320, 180)
"""Frame (width, height) that speeds are compared on where a graph takes any."""

Progress = Callable[[str], None]
"""Called with a few words as each step begins."""


@dataclass(frozen=True)
class Subject:
    """A bundle's graphs as verification needs them: the bytes may not be on the disk yet."""

    name: str
    size_multiple: int
    graphs: Mapping[str, bytes]
    """Precision -> ONNX."""
    entries: Mapping[str, Mapping[str, Any]]
    """Precision -> what the certificate says today."""
    origin: Sequence[str] = ()
    """What speaks against its calibration frames, see `against_origin`."""
    frame_hashes: Sequence[str] = ()
    """Calibration frames, see `Ranges`."""
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Precision -> facts to keep in its entry."""


@dataclass(frozen=True)
class Verification:
    """What was found."""

    fp32: Judged
    """The fp32 graph beside itself: its PSNR and SSIM."""
    entries: Mapping[str, Mapping[str, Any]]
    """Precision -> its entry of certificate.json, fp32's as it was."""

    @property
    def passed(self) -> bool:
        """Whether every graph is certified."""
        return all(entry.get("passed") is True for entry in self.entries.values())


def subject_of(bundle: Bundle) -> Subject:
    """Return the graphs of a bundle on the disk, their hashes checked.

    Raises:
        BundleError: if a graph is missing or damaged.
    """
    about = _told_of_ranges(bundle)
    kept = ("int8_layers", "kept_in_float")
    entries = {graph.precision: bundle.certificate_of(graph) for graph in bundle.graphs}
    return Subject(
        bundle.name,
        bundle.size_multiple,
        {graph.precision: bundle.graph_bytes(graph) for graph in bundle.graphs},
        entries,
        against_origin(None if about is None else about.synthetic),
        () if about is None else about.frame_hashes,
        {p: {k: e[k] for k in kept if k in e} for p, e in entries.items()},
    )


def verify(subject: Subject, pairs: Pairs, progress: Progress = lambda _: None) -> Verification:
    """Judge every graph beside the fp32 one.

    Raises:
        BundleError: if there is no fp32 graph.
        UsageError: if a pair's frame was calibrated with.
        EngineError: if ONNX Runtime refuses a graph.
    """
    if "fp32" not in subject.graphs:
        raise BundleError(
            f"bundle '{subject.name}' has no fp32 graph, beside which the others are judged; "
            "export it again: crispstream export"
        )
    _refuse_calibrated(subject, pairs)
    view = GraphView(subject.graphs["fp32"])
    ready = list(fitted(pairs.pairs, view.input_size(), subject.size_multiple))
    exact = restorer_of(subject.graphs["fp32"], literally=False)
    progress("judging fp32")
    yardstick = yardstick_of(exact, ready, sequence_frames(view))
    from_zeros = OnTheWay(exact, ready) if view.state_inputs else None
    fp32 = judge(exact, yardstick)
    entries = {"fp32": subject.entries.get("fp32", {})}
    for precision, data in subject.graphs.items():
        if precision != "fp32":
            progress(f"judging {precision}")
            restore = restorer_of(data, literally=precision == "int8")
            judged = judge(restore, yardstick)
            way = None if from_zeros is None else from_zeros.judged(restore)
            entries[precision] = _entry(subject, precision, view, judged, way, ready, pairs.digest)
    return Verification(fp32, entries)


def certificate_of(verification: Verification, graphs: Sequence[Graph]) -> bytes:
    """Return certificate.json for graphs whose hashes are known."""
    content = {graph.sha256: dict(verification.entries[graph.precision]) for graph in graphs}
    return (json.dumps({"schema": SCHEMA, "graphs": content}, indent=2) + "\n").encode()


def write_verified(
    bundle: Bundle, verification: Verification, out: Path, *, overwrite: bool = False
) -> Bundle:
    """Write a copy of a bundle with this certificate, and with its layers read again.

    Raises as `core.bundle.write_bundle`.
    """
    payload = payload_of(bundle)
    payload[LAYERS] = layers_json_of(payload[graph.file] for graph in bundle.graphs)
    payload[CERTIFICATE] = certificate_of(verification, bundle.graphs)
    return write_bundle(out, bundle, payload, overwrite=overwrite)


def payload_of(bundle: Bundle) -> dict[str, bytes]:
    """Return all files of a bundle but its certificate, their hashes checked."""
    payload = {graph.file: bundle.graph_bytes(graph) for graph in bundle.graphs}
    others = (name for name in bundle.files if name != CERTIFICATE)
    return payload | {name: bundle.file_bytes(name) for name in others}


def layers_json_of(graphs: Iterable[bytes]) -> bytes:
    """Return layers.json for ONNX files; raises as `core.graph_layers.graph_layers`."""
    return layers_file(graphs, onnx.load_model_from_string, onnx.shape_inference.infer_shapes)


def _told_of_ranges(bundle: Bundle) -> Ranges | None:
    """Return what a bundle keeps of its calibration, None where that cannot be read."""
    if RANGES_FILE not in bundle.files:
        return None
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        return parsed_ranges(json.loads(bundle.file_bytes(RANGES_FILE)))
    return None


def against_origin(synthetic: Sequence[str] | None) -> tuple[str, ...]:
    """Return why calibration frames certify nothing: None is not known, () is from cameras."""
    if synthetic is None:
        return ("it is not known what it was calibrated on",)
    if synthetic:
        return (f"it was calibrated on frames that no camera took ({', '.join(synthetic)})",)
    return ()


def _refuse_calibrated(subject: Subject, pairs: Pairs) -> None:
    used = set(subject.frame_hashes)
    for pair in pairs.pairs:
        if hash_of_pixels(pair.lr) in used:
            raise UsageError(
                f"the frame '{pair.name}' of '{pairs.folder}' was calibrated with, so it proves "
                "nothing; judge on frames that are not in the calibration set"
            )


def _entry(
    subject: Subject,
    precision: str,
    fp32: GraphView,
    judged: Judged,
    way: Way | None,
    pairs: Sequence[Fitted],
    pairs_sha256: str,
) -> dict[str, Any]:
    data = subject.graphs[precision]
    view = GraphView(data)
    frames = [pair.frame for pair in pairs]
    narrow = tensors_in_halves(fp32, view) if precision != "int8-cpu" else []
    halves = look_inside(fp32, narrow, frames, literally=False) if narrow else None
    insides = look_inside(view, view.float_tensors(), frames, literally=precision == "int8")
    origin = subject.origin if precision.startswith("int8") else ()
    first = None if way is None else way.first
    reasons = reasons_against(judged, insides, halves, origin, first)
    extra: dict[str, Any] = {
        **subject.extra.get(precision, {}),
        FP32_SHA256: sha256_of(subject.graphs["fp32"]),
        "largest_in_fp16": None if halves is None else halves.largest,
    }
    if way is not None:
        extra |= way.as_certificate()
    if precision == "fp16":
        extra |= _parity(subject.entries.get(precision, {}))
    if precision == "int8-cpu":
        frame = _frame_for_speed(frames[0], fp32.input_size(), subject.size_multiple)
        extra["speed_over_fp32"] = speed_ratio(data, subject.graphs["fp32"], frame)
    return entry_of(
        judged, insides, reasons, precision=precision, pairs_sha256=pairs_sha256, extra=extra
    )


def _parity(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return export's own proof, so that it is not lost."""
    if entry.get("judged_by") != VERIFICATION:
        return {"parity": dict(entry)} if entry else {}
    return {"parity": entry["parity"]} if "parity" in entry else {}


def _frame_for_speed(frame: Bytes, size: tuple[int, int] | None, size_multiple: int) -> Bytes:
    if size is not None:
        return frame
    width, height = SPEED_SIZE
    rows, columns = padded_size(height, width, size_multiple)
    return mirrored(frame[:rows, :columns], rows, columns)
