"""From a bundle and frames to a bundle with INT8 graphs, its plan, its ranges and a certificate."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crispstream.core.bundle import CERTIFICATE, Bundle, Graph
from crispstream.core.bundle_writing import check_free, write_bundle
from crispstream.core.errors import BundleError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.int8 import FLAVOURS
from crispstream.core.layers import LAYERS

from .card import card_with_int8
from .certify.pairs import Pairs
from .certify.verify import (
    Subject,
    Verification,
    against_origin,
    certificate_of,
    layers_json_of,
    payload_of,
    subject_of,
    verify,
)
from .collect.sets import CalibrationSet
from .quantise.cpu_form import cpu_form, tensors_to_measure
from .quantise.feed import check_set, frames_for
from .quantise.graph import GraphView
from .quantise.methods import METHODS
from .quantise.placement import (
    Plan,
    default_plan,
    layers_of,
    plan_as_json,
    plan_of,
    read_plan,
)
from .quantise.ranges import (
    RANGES_FILE,
    Ranges,
    cached,
    digest_of,
    measure,
    ranges_as_json,
    ranges_from,
    read_ranges,
)
from .quantise.sensitivity import KEEP_DB, Sensitivity, measure_sensitivity, trials_of
from .quantise.tensorrt_form import OPSET, Form, tensorrt_form

PLAN_FILE = "calibration/plan.json"
TRIAL_FRAMES = 8
"""Frames of the set that sensitivity is measured on: the first, which cover most."""

_BACKENDS = {"int8": ("tensorrt", "tensorrt-rtx"), "int8-cpu": ("onnxruntime",)}

Progress = Callable[[str, int, int], None]
"""Called with what is done, the steps done and the steps in all; 0 of 0 where there are none."""


@dataclass(frozen=True)
class Wanted:
    """What to do; see `crispstream calibrate --help`."""

    frames: CalibrationSet | None = None
    ranges: Path | None = None
    """A ranges.json, instead of measuring."""
    method: str | None = None
    """Of measuring; None is the first of `METHODS`."""
    layers: Path | None = None
    """A plan.json, instead of the default choice."""
    plan: bool = False
    """Choose the layers by their sensitivity."""
    keep_db: float | None = None
    """With `plan`; None is `KEEP_DB`."""
    skip_sides: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if (self.frames is None) == (self.ranges is None):
            raise UsageError("give either --set FOLDER or --ranges FILE, to say what is calibrated")
        if self.plan and self.layers is not None:
            raise UsageError("give --plan to choose the layers or --layers to name them, not both")
        if self.plan and self.frames is None:
            raise UsageError("--plan tries layers on frames; give --set FOLDER, not --ranges")
        if self.method is not None and self.frames is None:
            raise UsageError("--ranges are measured already; leave out --method")
        if self.method not in (None, *METHODS):
            raise UsageError(f"there is no method '{self.method}'; choose {', '.join(METHODS)}")
        if self.keep_db is not None and not self.plan:
            raise UsageError("--keep is for --plan; add --plan, or leave it out")
        if self.keep_db is not None and not 20 <= self.keep_db <= 110:
            raise UsageError(f"--keep is {self.keep_db:g} dB; give 20 to 110, 52 for instance")


@dataclass(frozen=True)
class Calibrated:
    """What came of it."""

    bundle: Bundle
    verification: Verification
    ranges: Ranges
    cache_hit: bool
    plan: Plan
    forms: Mapping[str, Form]
    sensitivities: tuple[Sensitivity, ...] = ()


def calibrate(
    bundle: Bundle,
    wanted: Wanted,
    pairs: Pairs,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
) -> Calibrated:
    """Write a bundle with int8.onnx and int8-cpu.onnx beside the graphs there are; certify all.

    Graphs that fail the gate are written too, with the evidence; `--precision auto` leaves them.

    Raises:
        UsageError: if the set, the ranges or the plan do not fit the bundle, or `out` is taken.
        BundleError: if the bundle is damaged or lacks its fp32 or fp16 graph.
        EngineError: if ONNX Runtime refuses a graph.
    """
    check_free(out, overwrite=overwrite)
    # What cannot be used is told before the work.
    payload = payload_of(replace(bundle, graphs=_kept(bundle)))
    fp32, fp16 = (_view(bundle, precision) for precision in ("fp32", "fp16"))
    named = None if wanted.layers is None else read_plan(wanted.layers, fp32)
    ranges, hit = _ranges(bundle, fp32, wanted, progress)
    sensitivities = _sensitivities(bundle, fp32, fp16, ranges, wanted, progress)
    plan = named or _plan(fp32, sensitivities)
    forms = {
        "int8": tensorrt_form(
            fp16, fp32, plan.chosen["int8"], ranges, skip_sides=wanted.skip_sides
        ),
        "int8-cpu": cpu_form(fp32, plan.chosen["int8-cpu"], ranges, skip_sides=wanted.skip_sides),
    }
    verification = verify(_subject(bundle, forms, ranges), pairs, lambda step: progress(step, 0, 0))
    written = _write(bundle, payload, out, forms, plan, ranges, verification, overwrite=overwrite)
    return Calibrated(written, verification, ranges, hit, plan, forms, sensitivities)


def _view(bundle: Bundle, precision: str) -> GraphView:
    if precision not in [graph.precision for graph in bundle.graphs]:
        raise BundleError(
            f"bundle '{bundle.name}' has no {precision} graph, which INT8 is made from; export it "
            "again with fp32 and fp16: crispstream export"
        )
    return GraphView(bundle.graph_bytes(bundle.graph(precision)))


def _ranges(
    bundle: Bundle, fp32: GraphView, wanted: Wanted, progress: Progress
) -> tuple[Ranges, bool]:
    graph_sha256 = bundle.graph("fp32").sha256
    if wanted.frames is None:
        assert wanted.ranges is not None  # `Wanted` has checked that there is one of both
        return read_ranges(wanted.ranges, graph_sha256), False
    frames, method = wanted.frames, wanted.method or next(iter(METHODS))
    check_set(frames, bundle, fp32)
    tensors = tensors_to_measure(fp32, [layer.name for layer in layers_of(fp32)])
    digest = digest_of(graph_sha256, frames.digest, method, tensors)
    ranges, hit = cached(digest, lambda: _measured(bundle, fp32, frames, method, tensors, progress))
    if hit:
        for one in frames.frames:  # a damaged set must not pass for the one that was measured
            frames.read(one)
    # The same pixels may have been kept with what another manifest said of them.
    statistics = frames.input_statistics()
    return replace(ranges, synthetic=frames.synthetic, input_statistics=statistics), hit


def _measured(
    bundle: Bundle,
    fp32: GraphView,
    frames: CalibrationSet,
    method: str,
    tensors: Sequence[str],
    progress: Progress,
) -> Ranges:
    count, done = len(frames.frames), 0
    hashes: list[str] = []

    def step() -> None:
        nonlocal done
        done += 1
        progress("measuring ranges", done, count)

    progress("measuring ranges", 0, count)
    seen = measure(
        fp32, tensors, frames_for(fp32, bundle.size_multiple, frames, hashes=hashes), step
    )
    return Ranges(
        bundle.graph("fp32").sha256,
        frames.digest,
        method,
        count,
        ranges_from(seen, method),
        frames.synthetic,
        frames.input_statistics(),
        tuple(hashes),
    )


def _sensitivities(
    bundle: Bundle,
    fp32: GraphView,
    fp16: GraphView,
    ranges: Ranges,
    wanted: Wanted,
    progress: Progress,
) -> tuple[Sensitivity, ...]:
    if not wanted.plan or wanted.frames is None:
        return ()
    frames = list(frames_for(fp32, bundle.size_multiple, wanted.frames, limit=TRIAL_FRAMES))
    done, count = 0, len(FLAVOURS) * trials_of(fp32)

    def step() -> None:
        nonlocal done
        done += 1
        progress("trying layers", done, count)

    return tuple(
        measure_sensitivity(
            flavour,
            fp32,
            fp16,
            ranges,
            frames,
            keep_db=KEEP_DB if wanted.keep_db is None else wanted.keep_db,
            skip_sides=wanted.skip_sides,
            progress=step,
        )
        for flavour in FLAVOURS
    )


def _plan(fp32: GraphView, found: Sequence[Sensitivity]) -> Plan:
    if not found:
        return default_plan(fp32)
    return plan_of(layers_of(fp32), {one.flavour: one.chosen.layers for one in found})


def _subject(bundle: Bundle, forms: Mapping[str, Form], ranges: Ranges) -> Subject:
    there = subject_of(replace(bundle, graphs=_kept(bundle)))
    made = {flavour: form.onnx_bytes for flavour, form in forms.items()}
    facts: dict[str, dict[str, Any]] = {
        flavour: {"int8_layers": len(form.int8_layers), "kept_in_float": list(form.kept)}
        for flavour, form in forms.items()
    }
    return replace(
        there,
        graphs={**there.graphs, **made},
        origin=against_origin(ranges.synthetic),
        frame_hashes=ranges.frame_hashes,
        extra=facts,
    )


def _kept(bundle: Bundle) -> tuple[Graph, ...]:
    """Return the graphs that calibration does not make."""
    return tuple(graph for graph in bundle.graphs if graph.precision not in FLAVOURS)


def _write(
    bundle: Bundle,
    others: Mapping[str, bytes],
    out: Path,
    forms: Mapping[str, Form],
    plan: Plan,
    ranges: Ranges,
    verification: Verification,
    *,
    overwrite: bool,
) -> Bundle:
    kept = _kept(bundle)
    work = bundle.graph("fp32").macs_per_lr_pixel
    opset = {"int8": OPSET, "int8-cpu": bundle.graph("fp32").opset}
    made = tuple(
        Graph(f"{name}.onnx", sha256_of(form.onnx_bytes), name, _BACKENDS[name], opset[name], work)
        for name, form in forms.items()
    )
    payload = {**others}
    payload |= {f"{flavour}.onnx": form.onnx_bytes for flavour, form in forms.items()}
    payload[LAYERS] = layers_json_of(payload[graph.file] for graph in (*kept, *made))
    payload |= {PLAN_FILE: _json(plan_as_json(plan)), RANGES_FILE: _json(ranges_as_json(ranges))}
    payload[CERTIFICATE] = certificate_of(verification, (*kept, *made))
    payload["CARD.md"] = card_with_int8(payload.get("CARD.md", b""), ranges, verification)
    statistics = ranges.input_statistics or bundle.input_statistics
    contract = replace(bundle, graphs=(*kept, *made), input_statistics=statistics)
    return write_bundle(out, contract, payload, overwrite=overwrite)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
