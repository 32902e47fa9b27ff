"""What calibration takes, in small: a bundle, a set of frames, LR/HR pairs, and ranges."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.calib.collect.sets import CalibrationSet, SetFrame, write_manifest
from crispstream.calib.quantise.cpu_form import tensors_to_measure
from crispstream.calib.quantise.graph import GraphView
from crispstream.calib.quantise.methods import Range
from crispstream.calib.quantise.placement import layers_of
from crispstream.calib.quantise.ranges import Ranges, measure, ranges_from
from crispstream.core.bicubic import downscale_x4
from crispstream.core.bundle import Bundle
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.figures import FrameMeter
from crispstream.core.files import sha256_of

from .bundles import write_tiny_bundle
from .graphs import edge_like
from .pictures import soft_picture

Pixels = npt.NDArray[np.uint8]
Graphs = Mapping[str, bytes]

CARD = b"# tiny\n\nA network.\n\n## Licence\n\nApache-2.0\n"


def edge_graphs(height: int | str = "height", width: int | str = "width", seed: int = 0) -> Graphs:
    """Precision -> graph: the tiny network of the edge family's parts in fp32 and in fp16."""
    return {
        precision: edge_like(height, width, half=precision == "fp16", seed=seed)
        for precision in ("fp32", "fp16")
    }


def write_source(folder: Path, graphs: Graphs | None = None, *, size_multiple: int = 4) -> Bundle:
    """Write a bundle to calibrate: a card, a check frame, and fp32 certified by export."""
    bare = write_tiny_bundle(
        folder.with_name(f"{folder.name}-bare"),
        graphs or edge_graphs(),
        size_multiple=size_multiple,
        judged={"fp32": {"judged_by": "parity with PyTorch"}},
    )
    payload = {graph.file: bare.graph_bytes(graph) for graph in bare.graphs}
    payload |= {"CARD.md": CARD, "check/a.png": b"picture"}
    payload |= {name: bare.file_bytes(name) for name in bare.files}
    return write_bundle(folder, bare, payload)


def write_set(
    folder: Path,
    pictures: Sequence[Pixels] | None = None,
    *,
    model: str | None = None,
    synthetic: Collection[int] = (),
) -> CalibrationSet:
    """Write a set of these pictures, by default three; `synthetic` are numbers of some, from 0.

    They may have a colour depth that no set has.
    """
    (folder / "frames").mkdir(parents=True)
    images = [soft_picture(10 + n, 32, 40) for n in range(3)] if pictures is None else pictures
    frames = [_frame(folder, n, image, synthetic=n in synthetic) for n, image in enumerate(images)]
    write_manifest(folder, model, frames, [])
    return CalibrationSet.load(folder)


def _frame(folder: Path, number: int, image: Pixels, *, synthetic: bool) -> SetFrame:
    png = cv2.imencode(".png", image)[1].tobytes()
    file = f"frames/{number:04d}.png"
    (folder / file).write_bytes(png)
    height, width = image.shape[:2]
    is_bgr = image.dtype == np.uint8 and image.shape[2:] == (3,)
    shown = image if is_bgr else np.zeros((height, width, 3), np.uint8)
    figures = FrameMeter().measure(shown)
    return SetFrame(
        file=file,
        sha256=sha256_of(png),
        width=width,
        height=height,
        source=f"camera{number}.mp4",
        serial=number,
        synthetic=synthetic,
        figures={**figures._asdict(), "motion": 0.0},
    )


def write_pairs(folder: Path, count: int = 2, height: int = 24, width: int = 32) -> Path:
    """Write pairs `0.png`, `1.png` ... whose frames have this size, and return the folder."""
    for number in range(count):
        truth = soft_picture(50 + number, 4 * height, 4 * width)
        for side, image in (("lr", downscale_x4(truth)), ("hr", truth)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / side / f"{number}.png"), image)
    return folder


def measured_ranges(view: GraphView, method: str = "max") -> Ranges:
    """Return ranges of all layers of a graph, measured on two soft pictures."""
    frames = [soft_picture(20 + number, 32, 40) for number in range(2)]
    tensors = tensors_to_measure(view, [layer.name for layer in layers_of(view)])
    seen = measure(view, tensors, frames, lambda: None)
    return Ranges(None, "5" * 64, method, len(frames), ranges_from(seen, method))


def made_up_ranges(view: GraphView, amax: float = 8.0) -> Ranges:
    """Return ranges of all layers of a graph, all the same: of a graph that is only built."""
    tensors = tensors_to_measure(view, [layer.name for layer in layers_of(view)])
    same = dict.fromkeys(tensors, Range(amax, -amax, amax))
    return Ranges(None, "5" * 64, "max", 2, same)
