"""From a checkpoint to a bundle: fp32 and fp16 graphs, proved equal to PyTorch.

The graphs of an edge network take any size. Those of any other network take one, because its
attention, its windows or its sampling grids are constants of that size.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn

from crispstream.core.bundle import CERTIFICATE, SCHEMA, Bundle, Graph, StateTensor
from crispstream.core.bundle_writing import check_free, write_bundle
from crispstream.core.errors import ExportError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.graph_layers import layers_file
from crispstream.core.layers import LAYERS
from crispstream.core.pixels import SCALE, Bytes, padded_size
from crispstream.core.sizes import Size
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.edge import Edge
from crispstream.train.recipes.recipe import Recipe

from .card import CONTACT_SHEET
from .check_frames import fitted, png_of
from .graph import FLOAT_OUTPUT, OPSET, macs_per_lr_pixel, onnx_from_network, states_of
from .parity import Parity, check_parity, same_bytes, same_outputs, sequences_of
from .published import Proved, prove_network
from .static import Shape, deployed, macs_that_count, shape_of
from .surgery import simplified, without_output

PRECISIONS = ("fp32", "fp16")
BACKENDS = ("onnxruntime", "tensorrt", "tensorrt-rtx")
STATIC_SIZE = (320, 180)
"""Width and height of a static graph if nothing else is asked for, in LR pixels."""

NamedFrames = Sequence[tuple[str, Bytes]]
Progress = Callable[[str], None]
"""Called with a few words as each step begins."""

_TO_COMPARE = 2  # frames of a sequence that two graphs are compared on: what is carried is read

_ALWAYS_NAMED = frozenset(
    {"model", "steps", "batch", "patch_px", "learning_rate", "average_decay", "seed", "pool"}
)
"""Settings of a recipe that a bundle names even where they are the usual ones."""


@dataclass(frozen=True)
class _Exported:
    """A graph of an edge network."""

    precision: str
    data: bytes
    parity: Parity
    was_simplified: bool

    def as_certificate(self) -> dict[str, Any]:
        return {**self.parity.as_certificate(), "simplified_by_onnxsim": self.was_simplified}


@dataclass(frozen=True)
class _Made:
    """The graphs of a network, what they were checked on, and what a contract says of them."""

    graphs: Sequence[_Exported | Proved]
    frames: NamedFrames
    size_multiple: int
    halo_px: int
    macs_per_lr_pixel: int
    frame_size: Size | None = None
    states: tuple[StateTensor, ...] = ()


def export_bundle(
    checkpoint: Checkpoint,
    out: Path,
    *,
    name: str,
    licence: str,
    card: str,
    frames: NamedFrames,
    size: tuple[int, int] | None = None,
    precisions: Sequence[str] = PRECISIONS,
    contact_sheet: bytes | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> Bundle:
    """Write the bundle of a checkpoint to `out` and return it.

    `frames` are named LR frames for the parity check, kept in the bundle as `check/`; `card` is
    the text of its model card, `contact_sheet` the JPEG file that it shows; `licence` an SPDX
    identifier. `size` is (width, height) of the frames of a static graph, see `checked_size`.

    Raises:
        UsageError: if `out` exists and may not be overwritten or is no bundle, or the network
            cannot have this size or precision.
        ExportError: if the network cannot be deployed or a graph differs from it.
    """
    check_free(out, overwrite=overwrite)
    check_precisions(precisions)
    network = checkpoint.network()
    if not makes_bundle(network, size):
        raise ExportError(
            f"'{checkpoint.recipe.model}' does not turn a frame into a restored one on its own, so "
            "it makes no bundle; export it as plain ONNX: crispstream export"
        )
    if isinstance(network, Edge):
        made = _edge(network, frames, precisions, progress)
    else:
        shape = shape_of(network, *checked_size(network, size))
        made = _static(network, shape, frames, precisions, progress)
    graphs = {f"{graph.precision}.onnx": graph.data for graph in made.graphs}
    infer = onnx.shape_inference.infer_shapes
    layers = layers_file(graphs.values(), onnx.load_model_from_string, infer)
    checks = {f"check/{title}.png": png_of(image) for title, image in made.frames}
    payload = {**graphs, **checks, LAYERS: layers}
    payload |= {CERTIFICATE: certificate_of(made.graphs), "CARD.md": card.encode()}
    payload |= {} if contact_sheet is None else {CONTACT_SHEET: contact_sheet}
    progress("writing the bundle")
    return write_bundle(
        out, _contract(checkpoint, made, name, licence), payload, overwrite=overwrite
    )


def makes_bundle(network: nn.Module, size: tuple[int, int] | None) -> bool:
    """Return whether a network turns a frame alone, of this size, into a restored frame.

    Raises:
        UsageError: as `checked_size`; an edge network has no size.
    """
    if isinstance(network, Edge) and size is None:
        return True
    return shape_of(network, *checked_size(network, size)).restores


def check_precisions(precisions: Sequence[str]) -> None:
    """Raise UsageError unless these are precisions, each once."""
    if (
        not precisions
        or not set(precisions) <= set(PRECISIONS)
        or len(set(precisions)) < len(precisions)
    ):
        raise UsageError(
            f"the precisions {', '.join(precisions) or 'none'} cannot be exported; give "
            f"{' or '.join(PRECISIONS)}, each once"
        )


def checked_size(network: nn.Module, size: tuple[int, int] | None) -> tuple[int, int]:
    """Return the (width, height) of a static graph in LR pixels, `STATIC_SIZE` by default.

    Raises:
        UsageError: if the network is an edge network, or its sides must divide by more.
    """
    width, height = size or STATIC_SIZE
    if isinstance(network, Edge):
        raise UsageError("an edge network takes frames of any size; leave out --size")
    multiple = int(network.size_multiple)  # type: ignore[arg-type]
    if width % multiple or height % multiple:
        fit_height, fit_width = padded_size(height, width, multiple)
        raise UsageError(
            f"the sides of {width}x{height} do not divide by {multiple}, which this network needs; "
            f"give --size {fit_width}x{fit_height}"
        )
    return width, height


def _edge(
    network: Edge, frames: NamedFrames, precisions: Sequence[str], progress: Progress
) -> _Made:
    images = [image for _, image in frames]
    graphs = [_export_edge(network, precision, images, progress) for precision in precisions]
    return _Made(
        graphs,
        frames,
        network.size_multiple,
        network.halo_px,
        macs_per_lr_pixel(network),
        states=states_of(network),
    )


def _export_edge(
    network: Edge, precision: str, frames: Sequence[Bytes], progress: Progress
) -> _Exported:
    progress(f"exporting {precision}")
    plain = onnx_from_network(network, precision)
    simple = simplified(plain)
    shown = sequences_of(network, frames, _TO_COMPARE)
    keep = simple is not None and same_outputs(plain, simple, shown)
    data = simple if keep and simple is not None else plain
    progress(f"checking {precision} against PyTorch")
    parity = check_parity(network, data, precision, frames)
    shipped = without_output(data, FLOAT_OUTPUT)
    if not same_bytes(data, shipped, shown):
        raise ExportError(
            f"the {precision} graph changed its bytes when its second output was dropped; "
            "do not ship it: try another version of onnx"
        )
    return _Exported(precision, shipped, parity, keep)


def _static(
    network: nn.Module,
    shape: Shape,
    frames: NamedFrames,
    precisions: Sequence[str],
    progress: Progress,
) -> _Made:
    named = [(title, fitted(image, shape.width, shape.height)) for title, image in frames]
    images = [image for _, image in named]
    graphs = prove_network(network, shape, images, precisions, progress)
    work = macs_that_count(deployed(network), shape.width, shape.height)
    per_pixel = work // (shape.width * shape.height)
    multiple, halo = int(network.size_multiple), int(network.halo_px)  # type: ignore[arg-type]
    return _Made(graphs, named, multiple, halo, per_pixel, (shape.width, shape.height))


def _contract(checkpoint: Checkpoint, made: _Made, name: str, licence: str) -> Bundle:
    work = made.macs_per_lr_pixel
    return Bundle(
        name=name,
        scale=SCALE,
        size_multiple=made.size_multiple,
        halo_px=made.halo_px,
        states=made.states,
        frame_size=made.frame_size,
        graphs=tuple(
            Graph(f"{graph.precision}.onnx", "", graph.precision, BACKENDS, OPSET, work)
            for graph in made.graphs
        ),
        licence=licence,
        training={
            "recipe": recipe_facts(checkpoint.recipe),
            "steps_done": checkpoint.steps_done,
            "data": list(checkpoint.data),
        },
        input_statistics=_statistics([image for _, image in made.frames]),
    )


def recipe_facts(recipe: Recipe) -> dict[str, Any]:
    """Return what a bundle says of a recipe: the main settings, and all that are not usual."""
    usual = asdict(Recipe(recipe.model, steps=1))
    return {
        name: value
        for name, value in asdict(recipe).items()
        if name in _ALWAYS_NAMED or value != usual[name]
    }


def _statistics(frames: Sequence[Bytes]) -> dict[str, Any]:
    levels = np.concatenate([frame.reshape(-1) for frame in frames])
    return {
        "mean_levels": round(float(levels.mean()), 2),
        "standard_deviation_levels": round(float(levels.std()), 2),
        "measured_on": "check frames",
    }


def certificate_of(graphs: Sequence[_Exported | Proved]) -> bytes:
    """Return certificate.json: each graph, by its hash, how it was judged and the figures."""
    content = {sha256_of(graph.data): graph.as_certificate() for graph in graphs}
    return (json.dumps({"schema": SCHEMA, "graphs": content}, indent=2) + "\n").encode()
