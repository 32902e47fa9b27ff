"""What the GPU check runs on: the GPU, its clocks and temperature, and the software around it."""

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.gpu_check.steps import tried
from crispstream.runtime.engine.available import THIS_MACHINE, Probes, candidates
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.native import FLAVOURS, load_flavour

_POLLED = {
    "clocks.sm": "sm_mhz",
    "clocks.mem": "memory_mhz",
    "temperature.gpu": "temperature_c",
    "power.draw": "power_w",
}
_SMI_SECONDS = 10


def gpu_facts(probes: Probes = THIS_MACHINE) -> dict[str, Any] | str:
    """Return name, compute_capability, driver and memory_mib of the GPU, or why there is none.

    The kit's own question comes first; PyTorch's answer fills in where pycuda is missing, so that
    what needs no TensorRT can still be measured.
    """
    found = probes.find_gpu()
    if isinstance(found, Gpu):
        told = found.as_json()
        facts = {name: told[name] for name in ("name", "compute_capability", "driver")}
        return {**facts, "memory_mib": found.memory_bytes >> 20}
    by_torch = tried(_told_by_torch)
    return by_torch if isinstance(by_torch, dict) else found


def _told_by_torch() -> dict[str, Any]:
    torch = importlib.import_module("torch")
    facts = torch.cuda.get_device_properties(0)
    return {
        "name": facts.name,
        "compute_capability": f"{facts.major}.{facts.minor}",
        "driver": _ask_smi("driver_version").get("driver_version", "unknown"),
        "memory_mib": facts.total_memory >> 20,
    }


def file_part(gpu_name: str) -> str:
    """Return a GPU's name as a part of a file's name.

    >>> file_part("NVIDIA GeForce RTX 4070")
    'nvidia-geforce-rtx-4070'
    """
    return re.sub(r"[^a-z0-9]+", "-", gpu_name.lower()).strip("-")


def polled(when: str) -> dict[str, Any]:
    """Return clocks, temperature and power at this moment, null where nothing tells them.

    nvidia-smi disturbs what runs, so this is called between measurements only.
    """
    told = _ask_smi(*_POLLED)
    return {"when": when, **{name: _number(told.get(query)) for query, name in _POLLED.items()}}


def _ask_smi(*queries: str) -> Mapping[str, str]:
    """Return what nvidia-smi says of the first visible GPU; {} where it says nothing."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    asked = [f"--query-gpu={','.join(queries)}", "--format=csv,noheader,nounits"]
    command = [program, *asked, "-i", visible or "0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = [value.strip() for value in done.stdout.strip().split(",")]
    return dict(zip(queries, values, strict=True)) if len(values) == len(queries) else {}


def _number(text: str | None) -> float | None:
    """Return a figure of nvidia-smi; it writes [N/A] for what a GPU does not tell."""
    try:
        return float(text or "")
    except ValueError:
        return None


def flavour_here(probes: Probes = THIS_MACHINE) -> tuple[str, str]:
    """Return the flavour of TensorRT that runs here and "", or "" and why none does."""
    judged = [one for one in candidates(probes) if one.name in FLAVOURS]
    for one in judged:
        if one.usable:
            return one.name, ""
    return "", "; ".join(dict.fromkeys(f"{one.name}: {one.why}" for one in judged))


def software() -> dict[str, str]:
    """Return the version of what takes part, or why it does not."""
    asked: dict[str, Callable[[], str]] = {
        **{flavour: partial(_version_of, flavour) for flavour in FLAVOURS},
        "torch": partial(_attribute, "torch", "__version__"),
        "torch_cuda": partial(_attribute, "torch.version", "cuda"),
        "onnxruntime": partial(_attribute, "onnxruntime", "__version__"),
        "pycuda": partial(_attribute, "pycuda", "VERSION_TEXT"),
        "cuda-bindings": partial(_attribute, "cuda.bindings", "__version__"),
    }
    return {name: tried(ask) for name, ask in asked.items()}


def _version_of(flavour: str) -> str:
    return str(load_flavour(flavour).__version__)


def _attribute(module: str, name: str) -> str:
    return str(getattr(importlib.import_module(module), name))
