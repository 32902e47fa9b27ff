"""From a checkpoint to a bundle: fp32 and fp16 graphs, proved equal to PyTorch."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crispstream.core.bundle import CERTIFICATE, SCHEMA, Bundle, Graph, check_free, write_bundle
from crispstream.core.errors import ExportError, UsageError
from crispstream.core.files import sha256_of
from crispstream.core.pixels import SCALE, Bytes
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.edge import Edge

from .graph import FLOAT_OUTPUT, OPSET, macs_per_lr_pixel, onnx_from_network
from .parity import Parity, check_parity, same_bytes, same_outputs
from .surgery import simplified, without_output

PRECISIONS = ("fp32", "fp16")
BACKENDS = ("onnxruntime", "tensorrt", "tensorrt-rtx")
Progress = Callable[[str], None]
"""Called with a few words as each step begins."""


@dataclass(frozen=True)
class _Exported:
    precision: str
    data: bytes
    parity: Parity
    was_simplified: bool


def export_bundle(
    checkpoint: Checkpoint,
    out: Path,
    *,
    name: str,
    licence: str,
    card: str,
    frames: Sequence[tuple[str, Bytes]],
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> Bundle:
    """Write the bundle of a checkpoint to `out` and return it.

    `frames` are named LR frames for the parity check, kept in the bundle as `check/`; `card` is
    the text of its model card; `licence` an SPDX identifier.

    Raises:
        UsageError: if `out` exists and may not be overwritten, or is no bundle.
        ExportError: if the network cannot be deployed or a graph differs from it.
    """
    check_free(out, overwrite=overwrite)
    network = checkpoint.network()
    if not isinstance(network, Edge):
        raise ExportError(f"'{checkpoint.recipe.model}' is not an edge network; export edge-n/s/m")
    images = [image for _, image in frames]
    graphs = [_export(network, precision, images, progress) for precision in PRECISIONS]
    payload = {f"{graph.precision}.onnx": graph.data for graph in graphs}
    payload |= {f"check/{title}.png": _png(image) for title, image in frames}
    payload |= {CERTIFICATE: _certificate(graphs), "CARD.md": card.encode()}
    progress("writing the bundle")
    contract = _contract(checkpoint, network, name, licence, graphs, images)
    return write_bundle(out, contract, payload, overwrite=overwrite)


def _export(
    network: Edge, precision: str, frames: Sequence[Bytes], progress: Progress
) -> _Exported:
    progress(f"exporting {precision}")
    plain = onnx_from_network(network, precision)
    simple = simplified(plain)
    keep = simple is not None and same_outputs(plain, simple, frames)
    data = simple if keep and simple is not None else plain
    progress(f"checking {precision} against PyTorch")
    parity = check_parity(network, data, precision, frames)
    shipped = without_output(data, FLOAT_OUTPUT)
    if not same_bytes(data, shipped, frames):
        raise ExportError(
            f"the {precision} graph changed its bytes when its second output was dropped; "
            "do not ship it: try another version of onnx"
        )
    return _Exported(precision, shipped, parity, keep)


def _contract(
    checkpoint: Checkpoint,
    network: Edge,
    name: str,
    licence: str,
    graphs: Sequence[_Exported],
    frames: Sequence[Bytes],
) -> Bundle:
    work = macs_per_lr_pixel(network)
    return Bundle(
        name=name,
        scale=SCALE,
        size_multiple=network.size_multiple,
        halo_px=network.halo_px,
        graphs=tuple(
            Graph(f"{graph.precision}.onnx", "", graph.precision, BACKENDS, OPSET, work)
            for graph in graphs
        ),
        licence=licence,
        training={
            "recipe": asdict(checkpoint.recipe),
            "steps_done": checkpoint.steps_done,
            "data": list(checkpoint.data),
        },
        input_statistics=_statistics(frames),
    )


def _statistics(frames: Sequence[Bytes]) -> dict[str, Any]:
    levels = np.concatenate([frame.reshape(-1) for frame in frames])
    return {
        "mean_levels": round(float(levels.mean()), 2),
        "standard_deviation_levels": round(float(levels.std()), 2),
        "measured_on": "check frames",
    }


def _certificate(graphs: Sequence[_Exported]) -> bytes:
    content = {
        sha256_of(graph.data): {
            **graph.parity.as_certificate(),
            "simplified_by_onnxsim": graph.was_simplified,
        }
        for graph in graphs
    }
    return (json.dumps({"schema": SCHEMA, "graphs": content}, indent=2) + "\n").encode()


def _png(image: Bytes) -> bytes:
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise ExportError(f"cannot encode a check frame of shape {image.shape} as PNG")
    return data.tobytes()


def shipped_frames() -> list[tuple[str, Bytes]]:
    """Return the kit's own LR frames for parity checks, by name; see export/frames/README.md."""
    folder = resources.files("crispstream.export") / "frames"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".png")), key=str)
    return [(file.name[:-4], _decode(file.read_bytes(), file.name)) for file in files]


def read_frames(folder: Path) -> list[tuple[str, Bytes]]:
    """Return the PNG frames of a folder by name.

    Raises:
        UsageError: if there are none.
    """
    files = sorted(folder.glob("*.png"))
    if not files:
        raise UsageError(f"no PNG frames in '{folder}'; give a folder of LR frames")
    return [(file.stem, _decode(file.read_bytes(), file.name)) for file in files]


def _decode(data: bytes, name: str) -> Bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UsageError(f"'{name}' is not an image; give PNG frames")
    rows, cols = image.shape[0] // 4 * 4, image.shape[1] // 4 * 4
    return np.asarray(np.ascontiguousarray(image[:rows, :cols]), np.uint8)
