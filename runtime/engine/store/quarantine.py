"""Engines that failed their re-check, each in a folder with what is needed to look into it.

<cache>/quarantine/NAME/
  NAME.engine, NAME.engine.json   as they were built
  graph.onnx                      what was built
  evidence.json                   the figures, and a command to compare layer by layer
  frame.png expected.png got.png  the worst frame, fp32 on the CPU, and the engine
  inputs.json                     that frame for Polygraphy, where that is installed; the states of
                                  a recurrent network are zeros there
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from crispstream.core.bundle import StateTensor
from crispstream.core.files import write_folder_atomically
from crispstream.core.pixels import Bytes
from crispstream.core.tensors import FRAME, STATE_IN, state_shape
from crispstream.runtime.engine.native import RTX

from .key import SUFFIX
from .places import listed
from .record import EngineRecord

EVIDENCE, GRAPH, INPUTS = "evidence.json", "graph.onnx", "inputs.json"


class Case(NamedTuple):
    """An engine that failed, and what shows it."""

    engine: bytes
    record: EngineRecord
    evidence: Mapping[str, Any]
    """JSON content."""
    pictures: Mapping[str, Bytes]
    """[H,W,3] by name: frame [H,W,3], expected and got [4H,4W,3]."""
    graph_bytes: bytes
    """The ONNX graph."""
    states: Sequence[StateTensor] = ()
    """What the graph carries from frame to frame."""


def write_case(folder: Path, case: Case, failed_at: str) -> None:
    """Write the folder of a case, in place of any of the same name.

    Raises:
        OSError: if the disk refuses.
    """
    name = f"{folder.name}{SUFFIX}"
    inputs = _inputs(case)
    evidence = {
        "failed_at": failed_at,
        **case.evidence,
        "engine": name,
        "compare": _command(case) if inputs else "",
    }
    files = {
        name: case.engine,
        f"{name}.json": _json(asdict(case.record)),
        GRAPH: case.graph_bytes,
        EVIDENCE: _json(evidence),
        **{f"{title}.png": _png(picture) for title, picture in case.pictures.items()},
    }
    write_folder_atomically(folder, {**files, **({INPUTS: inputs} if inputs else {})})


def find_case(quarantine: Path, digest_part: str) -> tuple[Path, str] | None:
    """Return the folder of an engine of this key that failed, and the day; None for none."""
    for folder in listed(quarantine):
        if folder.name.endswith(f".{digest_part}") and not folder.name.startswith("."):
            try:
                failed_at = str(json.loads((folder / EVIDENCE).read_bytes())["failed_at"])
            except (OSError, ValueError, KeyError, TypeError):
                failed_at = "an unknown day"
            return folder, failed_at[:10] if failed_at[:1].isdigit() else failed_at
    return None


def _inputs(case: Case) -> bytes:
    """Return the worst frame as Polygraphy reads it, b"" where that is not installed."""
    frame_hwc = case.pictures.get(FRAME)
    try:
        to_json = importlib.import_module("polygraphy.json").to_json
    except ImportError:
        return b""
    if frame_hwc is None:
        return b""
    kind = np.float32 if case.record.precision == "fp32" else np.float16
    zeros = {name: np.zeros(shape, kind) for name, shape in _state_shapes(case).items()}
    return str(to_json([{FRAME: frame_hwc[None], **zeros}])).encode()


def _state_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    height, width, _ = case.pictures[FRAME].shape
    return {f"{STATE_IN}{one.name}": state_shape(one, width, height) for one in case.states}


def _command(case: Case) -> str:
    """Return the command that compares TensorRT with ONNX Runtime on the worst frame."""
    height, width, _ = case.pictures[FRAME].shape
    shapes = {FRAME: (1, height, width, 3), **_state_shapes(case)}
    shape = " ".join(f"{name}:[{','.join(map(str, of))}]" for name, of in shapes.items())
    rtx = "POLYGRAPHY_USE_TENSORRT_RTX=1 " if case.record.flavour == RTX else ""
    return (
        f"{rtx}polygraphy run {GRAPH} --trt --onnxrt --strongly-typed "
        f"--trt-min-shapes {shape} --trt-opt-shapes {shape} --trt-max-shapes {shape} "
        f"--load-inputs {INPUTS} --atol 1"
    )


def _png(picture_hwc: Bytes) -> bytes:
    return bytes(cv2.imencode(".png", picture_hwc)[1])


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
