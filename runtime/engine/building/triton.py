"""A folder that Triton Inference Server serves: `<repository>/<model>/config.pbtxt` and `1/`.

Triton's TensorRT backend runs plans of TensorRT, of the version it was made with; a plan of
TensorRT-RTX is another format. Its ONNX Runtime backend runs the graph itself. Fields and their
meaning: `model_config.proto` of triton-inference-server/common, and src/instance_state.cc of
triton-inference-server/tensorrt_backend for what they do to an engine.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from crispstream.core.bundle import Bundle, Graph
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.files import refuse_to_replace, write_folder_atomically
from crispstream.core.pixels import SCALE
from crispstream.core.sizes import Size, SizeRange
from crispstream.core.tensors import FRAME, RESTORED
from crispstream.runtime.engine.native import TENSORRT
from crispstream.runtime.engine.store.record import EngineRecord

CONFIG = "config.pbtxt"
VERSION = "1"
"""Folder of the only version there is of the model."""


class TritonModel(NamedTuple):
    """One model of a repository."""

    name: str
    """Its folder, and what clients ask for."""
    files: Mapping[str, bytes]
    """Path inside the folder -> content."""


class _Word(str):
    """A value that the text format has without quotes: the name of an enum's member."""

    __slots__ = ()


def engine_model(plan: bytes, record: EngineRecord) -> TritonModel:
    """Return the model of an engine of TensorRT.

    A CUDA graph is recorded of each profile at its best size, where Triton's default is to do so.

    Raises:
        UsageError: if the engine is one of TensorRT-RTX, or a name does not do for a folder.
    """
    refuse_flavour(record.flavour)
    sizes = [SizeRange.parse(text) for text in record.options["profiles"]]
    facts = {
        "bundle": record.bundle,
        "precision": record.precision,
        "graph_sha256": record.graph_sha256,
        "engine_sha256": record.engine_sha256,
        "tensorrt_version": record.flavour_version,
    }
    group = {
        "count": 1,
        "kind": _Word("KIND_GPU"),
        # Without names Triton uses the first profile only.
        "profile": [str(index) for index in range(len(sizes))],
    }
    settings = {
        "backend": "tensorrt",
        **_common(record.bundle, sizes, facts, group, "model.plan"),
        "optimization": {"cuda": {"graphs": True}},
    }
    return _model(record.bundle, settings, "model.plan", plan)


def onnx_model(bundle: Bundle, graph: Graph, sizes: Sequence[SizeRange]) -> TritonModel:
    """Return the model of a bundle's graph, for Triton's ONNX Runtime backend.

    It runs on the GPU where there is one; int8-cpu, which is made for CPUs, on the CPU.

    Raises:
        UsageError: if the bundle carries states, or its name does not do for a folder.
        BundleError: if the graph is missing or damaged.
    """
    refuse_states(bundle)
    facts = {"bundle": bundle.name, "precision": graph.precision, "graph_sha256": graph.sha256}
    kind = _Word("KIND_CPU" if graph.precision == "int8-cpu" else "KIND_AUTO")
    settings = {
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        **_common(bundle.name, sizes, facts, {"count": 1, "kind": kind}, "model.onnx"),
    }
    return _model(bundle.name, settings, "model.onnx", bundle.graph_bytes(graph))


def refuse_flavour(flavour: str) -> None:
    """Raise UsageError for engines that Triton cannot load."""
    if flavour != TENSORRT:
        raise UsageError(
            f"Triton Inference Server loads engines of TensorRT, not of {flavour}; choose "
            "--backend tensorrt on a machine like the server, or --backend onnxruntime"
        )


def refuse_states(bundle: Bundle) -> None:
    """Raise UsageError for a recurrent network."""
    if bundle.states:
        raise UsageError(
            f"{bundle.name} carries states from frame to frame ({bundle.states[0].name}), which "
            "Triton would mix up between clients; serve a bundle without states, or use "
            "crispstream run"
        )


def check_free(repository: Path, name: str, *, overwrite: bool) -> None:
    """Raise UsageError unless a model of this name may be written into the repository."""
    _check_name(name)
    refuse_to_replace(repository / name, marker=CONFIG, noun="Triton model", overwrite=overwrite)


def write_model(repository: Path, model: TritonModel, *, overwrite: bool = False) -> Path:
    """Write a model's folder, whole or not at all, and return it.

    Raises:
        UsageError: if there is a folder that is no model, or may not be overwritten.
        EngineError: if the disk refuses.
    """
    check_free(repository, model.name, overwrite=overwrite)
    folder = repository / model.name
    try:
        write_folder_atomically(folder, model.files)
    except OSError as error:
        raise EngineError(
            f"cannot write {folder}: {error.strerror or error}; choose another place with -o"
        ) from error
    return folder


def _model(
    name: str, settings: Mapping[str, object], file_name: str, content: bytes
) -> TritonModel:
    _check_name(name)
    config = "\n".join(_lines({"name": name, **settings})) + "\n"
    return TritonModel(name, {CONFIG: config.encode(), f"{VERSION}/{file_name}": content})


def _check_name(name: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise UsageError(
            f"the bundle's name '{name}' cannot be a folder of a Triton repository; "
            "give it one of letters, digits, '.', '_' and '-'"
        )


def _common(
    name: str,
    sizes: Sequence[SizeRange],
    facts: Mapping[str, str],
    group: Mapping[str, object],
    file_name: str,
) -> dict[str, object]:
    """Return what every model says; dims have the batch, 1, as `max_batch_size` 0 demands."""
    width, height = _side(sizes, 0), _side(sizes, 1)
    large = [side if side < 0 else SCALE * side for side in (height, width)]
    return {
        "max_batch_size": 0,
        "default_model_filename": file_name,
        "version_policy": {"latest": {"num_versions": 1}},
        "input": [_tensor(FRAME, [1, height, width, 3])],
        "output": [_tensor(RESTORED, [1, *large, 3])],
        "instance_group": [group],
        "model_warmup": [_warm_up(size) for size in dict.fromkeys(each.best for each in sizes)],
        "parameters": [
            {"key": key, "value": {"string_value": value}} for key, value in facts.items()
        ],
    }


def _side(sizes: Sequence[SizeRange], axis: int) -> int:
    """Return a side that is always the same, else -1."""
    sides = {size[axis] for each in sizes for size in each}
    return sides.pop() if len(sides) == 1 else -1


def _tensor(name: str, dims: Sequence[int]) -> dict[str, object]:
    return {"name": name, "data_type": _Word("TYPE_UINT8"), "dims": list(dims)}


def _warm_up(size: Size) -> dict[str, object]:
    """The first request of a size is slow; Triton sends this one before it says it is ready."""
    width, height = size
    frame = {"data_type": _Word("TYPE_UINT8"), "dims": [1, height, width, 3], "zero_data": True}
    return {
        "name": f"black frame {width}x{height}",
        "batch_size": 1,  # what models without batching must have
        "inputs": [{"key": FRAME, "value": frame}],
    }


def _lines(message: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """Return a message in protobuf's text format; a list of messages is a repeated field."""
    for name, value in message.items():
        for each in _inner(value):
            yield f"{indent}{name} {{"
            yield from _lines(each, indent + "  ")
            yield f"{indent}}}"
        if not _inner(value):
            yield f"{indent}{name}: {_text(value)}"


def _inner(value: object) -> list[Mapping[str, object]]:
    """Return the messages in a field, none if it holds plain values."""
    each = value if isinstance(value, list) else [value]
    return [message for message in each if isinstance(message, Mapping)]


def _text(value: object) -> str:
    return value if isinstance(value, _Word) else json.dumps(value, ensure_ascii=False)
