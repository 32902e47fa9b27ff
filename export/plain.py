"""Plain ONNX of networks that no bundle can hold, proved like one.

An estimator of blur and classes, a network that only deblurs, and one that must be told the blur
give or take other tensors than a frame. They are written as a folder:

    fp32.onnx fp16.onnx   floats in and out, at one frame size
    certificate.json      inputs, outputs, and how each graph was judged
    CARD.md               model card
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from crispstream.core.bundle import CERTIFICATE
from crispstream.core.errors import ExportError
from crispstream.core.files import refuse_to_replace, write_folder_atomically
from crispstream.train.checkpoint import Checkpoint

from .check_frames import fitted
from .exporter import (
    PRECISIONS,
    NamedFrames,
    Progress,
    certificate_of,
    check_precisions,
    checked_size,
    recipe_facts,
)
from .published import Proved, prove_network
from .static import IMAGE, shape_of

_MEANINGS = {
    IMAGE: "the frame, BGR in 0..1",
    "hr": "the restored frame, BGR in 0..1, not clamped",
    "lr": "the sharp frame at its own size, BGR in 0..1, not clamped",
    "sigma": "standard deviation of the Gaussian blur in pixels of the restored frame",
    "labels": "index of each pixel's class, 255 where it has none",
    "semantics": "logits of the classes",
}


def export_plain(
    checkpoint: Checkpoint,
    out: Path,
    *,
    name: str,
    licence: str,
    card: str,
    frames: NamedFrames,
    size: tuple[int, int] | None = None,
    precisions: Sequence[str] = PRECISIONS,
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> Path:
    """Write the graphs of a checkpoint to the folder `out` and return it; words as for a bundle.

    Raises:
        UsageError: if `out` exists and may not be overwritten or was not written by this, or
            the network cannot have this size or precision.
        ExportError: if a graph differs from the network.
    """
    refuse_to_replace(out, marker=CERTIFICATE, noun="export", overwrite=overwrite)
    check_precisions(precisions)
    network = checkpoint.network()
    shape = shape_of(network, *checked_size(network, size))
    images = [fitted(image, shape.width, shape.height) for _, image in frames]
    graphs = prove_network(network, shape, images, precisions, progress)
    about = {
        "name": name,
        "licence": licence,
        "size": shape.text,
        **_tensors(graphs[0]),
        "training": {"recipe": recipe_facts(checkpoint.recipe), "steps": checkpoint.steps_done},
    }
    certificate = {**json.loads(certificate_of(graphs)), **about}
    files = {f"{graph.precision}.onnx": graph.data for graph in graphs}
    files |= {CERTIFICATE: (json.dumps(certificate, indent=2) + "\n").encode()}
    progress("writing the graphs")
    try:
        write_folder_atomically(out, {**files, "CARD.md": card.encode()})
    except OSError as error:
        raise ExportError(
            f"cannot write '{out}' ({error.strerror}); free some space or name another folder"
        ) from error
    return out


def _tensors(graph: Proved) -> dict[str, Any]:
    """Return the inputs and outputs of a graph by name: type, shape and meaning."""
    model = onnx.load_model_from_string(graph.data)
    return {
        kind: {tensor.name: _told(tensor) for tensor in tensors}
        for kind, tensors in (("inputs", model.graph.input), ("outputs", model.graph.output))
    }


def _told(tensor: onnx.ValueInfoProto) -> dict[str, Any]:
    shape = [side.dim_value for side in tensor.type.tensor_type.shape.dim]
    meaning = _MEANINGS.get(tensor.name.removeprefix("aux_"), "")
    helper = "for training: " if tensor.name.startswith("aux_") else ""
    return {"type": "float32", "shape": shape, "meaning": helper + meaning}
