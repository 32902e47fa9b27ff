"""`crispstream build --format triton`: a model for Triton Inference Server."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crispstream.core.errors import UsageError

if TYPE_CHECKING:
    from crispstream.core.bundle import Bundle, Graph
    from crispstream.runtime.engine.building.options import BuildOptions
    from crispstream.runtime.engine.store.record import EngineRecord

REPOSITORY = Path("model_repository")
"""Where a model goes if nothing else is said; Triton's documents call such a folder so."""


def triton_place(
    model: "Bundle", flavour: str, repository: Path, *, overwrite: bool
) -> "Callable[[bytes, EngineRecord], Path]":
    """Return what writes an engine as a model, once it is sure that this can be done."""
    from crispstream.runtime.engine.building import triton

    triton.refuse_flavour(flavour)
    triton.refuse_states(model)
    triton.check_free(repository, model.name, overwrite=overwrite)

    def keep(engine: bytes, record: "EngineRecord") -> Path:
        written = triton.engine_model(engine, record)
        return triton.write_model(repository, written, overwrite=overwrite)

    return keep


def write_graph(
    model: "Bundle",
    options: "BuildOptions",
    precision: str,
    repository: Path,
    *,
    allow_uncertified: bool,
    overwrite: bool,
) -> "tuple[Path, Graph]":
    """Write a graph as a model, which needs no builder and no GPU; return where, and which."""
    from crispstream.runtime.engine.building import triton
    from crispstream.runtime.engine.building.build import check_sizes
    from crispstream.runtime.engine.choose import choose_graph

    if options != type(options)(options.profiles):
        raise UsageError("onnxruntime builds nothing; leave out the builder's options")
    check_sizes(model, options.profiles)
    # A server has a GPU; of the graphs for ONNX Runtime only int8 is made for CPUs.
    backend = "onnxruntime" if precision.startswith("int8") else "onnxruntime-cuda"
    graph = choose_graph(model, precision, backend, allow_uncertified)
    written = triton.onnx_model(model, graph, options.profiles)
    return triton.write_model(repository, written, overwrite=overwrite), graph


def tell_how_to_serve(folder: Path, *, version_compatible: bool = False) -> None:
    """Print the next command; `folder` is the model's."""
    command = f"tritonserver --model-repository={shlex.quote(str(folder.parent))}"
    if version_compatible:  # such an engine has code of its own, so Triton asks for permission
        command += " --backend-config=tensorrt,version-compatible=true"
    typer.echo(f"next: {command}")
