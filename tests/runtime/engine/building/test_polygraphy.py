"""NVIDIA's Polygraphy as a second opinion: it builds the same graphs, and refuses the same.

A process each: it chooses its library once, when it is imported.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine.building.build import build_engine
from crispstream.runtime.engine.building.options import BuildOptions
from tests.helpers.graphs import bytes_shuffled, small_net

STATIC = BuildOptions.static((64, 48))
SHAPE = "frame:[1,48,64,3]"
needs_polygraphy = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("polygraphy", "tensorrt_rtx")),
    reason='TensorRT-RTX or Polygraphy is not installed: pip install "crispstream[rtx]"',
)


def polygraphy(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    tool = "import sys; from polygraphy.tools import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", tool, *arguments],
        cwd=folder,
        env={**os.environ, "POLYGRAPHY_USE_TENSORRT_RTX": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_polygraphy
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_it_builds_an_engine_of_the_same_size(tmp_path: Path, half: bool) -> None:
    graph = small_net(channels=64, half=half)
    (tmp_path / "x.onnx").write_bytes(graph)
    shapes = [f"--trt-{which}-shapes={SHAPE}" for which in ("min", "opt", "max")]
    done = polygraphy(tmp_path, "convert", "x.onnx", "-o", "x.engine", "--strongly-typed", *shapes)
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = (tmp_path / "x.engine").stat().st_size
    assert len(build_engine(graph, STATIC).plan) == pytest.approx(theirs, rel=0.02)


@needs_polygraphy
def test_the_command_that_a_refusal_names_lists_the_node(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        build_engine(bytes_shuffled(), STATIC)
    command = str(caught.value).rpartition(": ")[2]
    assert command == "POLYGRAPHY_USE_TENSORRT_RTX=1 polygraphy inspect capability GRAPH.onnx"
    (tmp_path / "GRAPH.onnx").write_bytes(bytes_shuffled())
    done = polygraphy(tmp_path, "inspect", "capability", "GRAPH.onnx")
    assert "operator: Transpose" in done.stdout
