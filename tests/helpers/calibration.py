"""What calibration leaves for training: plan.json and ranges.json, written by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FULL = (-4.0, 4.0)


def plan_of(**layers: list[str]) -> dict[str, Any]:
    """Return a plan; `int8=[...]` and `int8_cpu=[...]` are names of nodes."""
    graphs = {flavour.replace("_", "-"): {"layers": names} for flavour, names in layers.items()}
    nodes = sorted({node for names in layers.values() for node in names})
    inputs = {node: {"input": f"into {node}"} for node in nodes}
    return {"schema": 1, "kind": "quantisation plan", "graphs": graphs, "layers": inputs}


def ranges_of(
    plan: Mapping[str, Any], limits: Mapping[str, tuple[float, float]] | None = None
) -> dict[str, Any]:
    """Return ranges for a plan's layers: (low, high) by node, else -4 to 4."""
    tensors = {}
    for node, about in plan["layers"].items():
        low, high = (limits or {}).get(node, FULL)
        tensors[about["input"]] = {"amax": max(-low, high), "low": low, "high": high}
    about = {"graph_sha256": "f" * 64, "set_sha256": "5" * 64, "method": "mse", "frames": 8}
    return {"schema": 1, "kind": "ranges", **about, "tensors": tensors}


def write_calibration(folder: Path, plan: Any, ranges: Any) -> Path:
    """Write both files and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "ranges.json").write_text(json.dumps(ranges))
    return folder
