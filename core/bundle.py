"""The bundle: a folder with all that a device needs, and the one thing that travels.

    edge-s/
      bundle.json         the contract (this module)
      fp32.onnx ...       one graph a precision; bytes in, bytes out
      check/*.png         LR frames for a re-check on the device
      certificate.json    per graph, named by its hash: how it was judged and the figures
      layers.json         per graph, likewise: what each layer computes, reads and writes
      CARD.md             model card
      contact-sheet.jpg   where there is one: frames before and after, shown by the card

Every file is named in bundle.json with its SHA-256 and hashed before anything parses it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bundle_paths import inside
from .errors import BundleError, UsageError
from .files import sha256_of
from .layers import LAYERS, GraphLayers, parse_layers
from .pixels import SCALE
from .sizes import Size

SCHEMA = 1
"""Version of bundle.json. Raised when an older kit could not read a newer bundle."""

CONTRACT = "bundle.json"
CERTIFICATE = "certificate.json"
VERIFICATION = "verification"
"""`judged_by` of a graph that was compared with fp32 and the truth, not with PyTorch alone."""
FP32_SHA256 = "fp32_sha256"  # key of a certificate's entry: the fp32 graph that this was beside


@dataclass(frozen=True)
class Graph:
    """One ONNX file of a bundle. Precision is a property of the graph, not a build flag."""

    file: str
    """Path inside the bundle."""
    sha256: str
    precision: str
    """fp32, fp16, int8 or int8-cpu."""
    backends: tuple[str, ...]
    """Backends this graph is made for."""
    opset: int
    macs_per_lr_pixel: int = 0
    """Multiply-accumulates for each pixel of the low-resolution frame."""


@dataclass(frozen=True)
class StateTensor:
    """A tensor that a recurrent network carries from frame to frame."""

    name: str
    channels: int
    divisor: int
    """Its sides are those of the padded frame divided by this."""


@dataclass(frozen=True)
class Bundle:
    """What bundle.json says, and where the bundle is."""

    name: str
    scale: int
    size_multiple: int
    """Frame sides must divide by this; the runtime mirrors the border to get there."""
    halo_px: int
    """LR pixels around another that can reach it; 0 where the whole frame can."""
    graphs: tuple[Graph, ...]
    licence: str
    """SPDX identifier of the weights' licence."""
    states: tuple[StateTensor, ...] = ()
    frame_size: Size | None = None
    """The one frame size that the graphs are made for; None: any whose sides divide as above."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Recipe, steps and data the weights came from."""
    input_statistics: Mapping[str, Any] = field(default_factory=dict)
    """How the frames look that the network was made for or, where there is an int8 graph,
    calibrated on: then with `figures`, the range of each of `core.figures.Figures`."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every other file."""
    path: Path = Path()

    def __post_init__(self) -> None:
        """Refuse a contract that no runtime could keep."""
        numbers = (self.scale, self.size_multiple, self.halo_px)
        if not all(isinstance(number, int) for number in numbers):
            raise TypeError(f"scale, size_multiple and halo_px must be integers, got {numbers}")
        if self.scale != SCALE or self.size_multiple < 1 or self.halo_px < 0:
            raise ValueError(
                f"scale must be {SCALE}, size_multiple at least 1, halo_px at least 0; "
                f"got {numbers}"
            )
        if self.frame_size is not None and not _is_size(self.frame_size, self.size_multiple):
            raise ValueError(
                f"frame_size must be two sides that divide by {self.size_multiple}, "
                f"got {self.frame_size}"
            )
        if not self.graphs:
            raise ValueError("it names no graph")

    @staticmethod
    def load(path: Path) -> "Bundle":
        """Read the contract of the bundle at `path`; graphs are read when they are asked for.

        Raises:
            UsageError: if there is no such folder.
            BundleError: if bundle.json is missing, malformed or from a newer kit.
        """
        if not path.is_dir():
            raise UsageError(f"there is no bundle at '{path}'; expected a folder with {CONTRACT}")
        try:
            content = json.loads((path / CONTRACT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BundleError(
                f"'{path}' has no {CONTRACT}, so it is not a bundle; "
                "make one with: crispstream export CHECKPOINT -o FOLDER"
            ) from None
        except (OSError, ValueError) as error:
            raise BundleError(f"cannot read '{path / CONTRACT}': {error}; copy it again") from error
        return _parse(content, path)

    def graph(self, precision: str) -> Graph:
        """Return the graph of one precision.

        Raises:
            BundleError: if there is none; the message lists those there are.
        """
        for graph in self.graphs:
            if graph.precision == precision:
                return graph
        there = ", ".join(graph.precision for graph in self.graphs)
        raise BundleError(
            f"bundle '{self.name}' has no {precision} graph; it has {there}: choose one of these"
        )

    def graph_bytes(self, graph: Graph) -> bytes:
        """Read a graph once, check its hash, and return those same bytes.

        Raises:
            BundleError: if the file is missing, damaged or outside of the bundle.
        """
        return self._read(graph.file, graph.sha256)

    def file_bytes(self, name: str) -> bytes:
        """Return the checked bytes of another file of the bundle; raises as `graph_bytes`."""
        if name not in self.files:
            raise BundleError(f"bundle '{self.name}' names no file '{name}' in its {CONTRACT}")
        return self._read(name, self.files[name])

    def certificate(self) -> Mapping[str, Any]:
        """Return the certificate, {} where there is none.

        Raises:
            BundleError: if it is damaged, or no JSON object.
        """
        if CERTIFICATE not in self.files:
            return {}
        try:
            content = json.loads(self.file_bytes(CERTIFICATE))
        except (ValueError, RecursionError) as error:
            raise self._odd_certificate(str(error)) from error
        if not isinstance(content, dict):
            raise self._odd_certificate("it holds no JSON object")
        return content

    def _odd_certificate(self, fault: str) -> BundleError:
        return BundleError(
            f"the certificate of bundle '{self.name}' is malformed ({fault}); copy the bundle again"
        )

    def certificate_of(self, graph: Graph) -> Mapping[str, Any]:
        """Return what the certificate says of a graph, {} where it says nothing to be read."""
        try:
            judged = self.certificate().get("graphs")
        except BundleError:
            return {}
        entry = judged.get(graph.sha256) if isinstance(judged, dict) else None
        return entry if isinstance(entry, dict) else {}

    def certified(self, graph: Graph) -> bool:
        """Return whether a graph was judged as its precision demands, and passed.

        The export's parity with PyTorch is enough for fp32 only: it says nothing of what fp16 or
        int8 arithmetic does to a picture. What cannot be read certifies nothing.
        """
        entry = self.certificate_of(graph)
        if entry.get("passed") is not True:
            return False
        yardsticks = [g.sha256 for g in self.graphs if g.precision == "fp32"]
        beside = entry.get(FP32_SHA256) in yardsticks and entry.get("judged_by") == VERIFICATION
        return graph.precision == "fp32" or beside

    def layers_of(self, graph: Graph) -> GraphLayers:
        """Return the layers of a graph.

        Raises:
            BundleError: if the bundle was made by a kit that did not read them, they could not
                be read, or they are damaged.
        """
        again = "make the bundle again: crispstream export, calibrate, or verify BUNDLE -o NEW"
        if LAYERS not in self.files:
            raise BundleError(f"bundle '{self.name}' has no {LAYERS}; {again}")
        found = parse_layers(self.file_bytes(LAYERS)).get(graph.sha256)
        if found is None:
            raise BundleError(
                f"{LAYERS} of bundle '{self.name}' says nothing of its {graph.precision} graph, in "
                "which some shapes could not be found; export it again where onnxsim works"
            )
        return found

    def check_frames(self) -> tuple[str, ...]:
        """Return the names of the frames for the re-check on a device; see `file_bytes`."""
        return tuple(sorted(name for name in self.files if name.startswith("check/")))

    def _read(self, name: str, sha256: str) -> bytes:
        file = inside(self.path, name)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise BundleError(
                f"bundle '{self.name}' lacks its file '{name}'; copy the whole folder again"
            ) from None
        except OSError as error:
            raise BundleError(f"cannot read '{file}': {error.strerror}") from error
        if sha256_of(data) != sha256:
            raise BundleError(
                f"'{file}' is not the file that bundle '{self.name}' was made with (its SHA-256 "
                f"starts {sha256_of(data)[:12]}, expected {sha256[:12]}); copy the bundle again"
            )
        return data


def _parse(content: Any, path: Path) -> Bundle:  # noqa: ANN401  (whatever the file holds)
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, int):
        raise BundleError(f"'{path / CONTRACT}' has no schema number; it is not a bundle contract")
    if schema > SCHEMA:
        raise BundleError(
            f"bundle '{path}' has schema {schema}, this kit reads up to {SCHEMA}; update the kit"
        )
    try:
        return _bundle({k: v for k, v in content.items() if k != "schema"}, path)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"'{path / CONTRACT}' is malformed ({error}); copy it again") from error


def _bundle(content: dict[str, Any], path: Path) -> Bundle:
    graphs = tuple(Graph(**{**g, "backends": tuple(g["backends"])}) for g in content.pop("graphs"))
    states = tuple(StateTensor(**state) for state in content.pop("states", ()))
    size = content.pop("frame_size", None)
    fixed = None if size is None else tuple(size)
    bundle = Bundle(**content, graphs=graphs, states=states, frame_size=fixed, path=path)
    for name in (*(graph.file for graph in graphs), *bundle.files):
        inside(path, name)
    return bundle


def _is_size(sides: Sequence[Any], multiple_of: int) -> bool:
    plain = all(isinstance(side, int) and side > 0 for side in sides)
    return plain and len(sides) == 2 and not any(side % multiple_of for side in sides)
