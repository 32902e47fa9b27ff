"""What an engine is found by: everything that it depends on, and a name that people can read."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crispstream.core.sizes import SizeRange, size_text
from crispstream.runtime.engine.native import TENSORRT

from .record import BUILDER_RECIPE, EngineRecord

SUFFIX = ".engine"
_LONGEST_NAME = 200  # of 255 that file systems take: the sidecar's and temporary names are longer
_LONGEST_VERSION = 40
_DIGITS = 8

SAME_GPU = ("name", "multiprocessors", "memory_gib")
"""What tells GPUs of one compute capability apart: all modules of Jetson Orin are called "Orin"."""


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What makes two engines interchangeable: one of an equal digest serves.

    Attributes:
        graph_sha256: hash of the ONNX graph, its weights included.
        flavour: "tensorrt" or "tensorrt-rtx".
        flavour_version: version of that library.
        options: the orders that are asked for, as `BuildOptions.as_json` gives them.
        gpu: as `Gpu.as_json` gives it, {} where there is none. Only TensorRT binds an engine to
            it; TensorRT-RTX builds for compute capabilities, which are among the options.
        builder_recipe: see `record.BUILDER_RECIPE`.
    """

    graph_sha256: str
    flavour: str
    flavour_version: str
    options: Mapping[str, Any]
    gpu: Mapping[str, str] = field(default_factory=dict)
    builder_recipe: int = BUILDER_RECIPE

    @staticmethod
    def of(record: EngineRecord) -> "EngineKey":
        """Return the key under which a built engine is found: by what was asked for."""
        return EngineKey(
            record.graph_sha256,
            record.flavour,
            record.flavour_version,
            record.asked_options or record.options,
            record.gpu,
            record.builder_recipe,
        )

    @property
    def digest(self) -> str:
        """SHA-256 over what counts, 64 hexadecimal digits."""
        facts = {
            "recipe": self.builder_recipe,
            "graph": self.graph_sha256,
            "flavour": self.flavour,
            "version": self._version_that_counts,
            "options": dict(self.options),
            "gpu": self._gpu_that_counts,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def short(self) -> str:
        """The part of the digest that is in file names, 8 digits."""
        return self.digest[:_DIGITS]

    def file_name(self, record: EngineRecord) -> str:
        """Return a name that tells what the engine is; `record` adds bundle and precision.

        Only letters, digits and `. + _ -`, at most 200 characters.
        """
        head = ".".join(
            part
            for part in (
                safe(record.bundle).lstrip("."),
                safe(record.precision),
                "+".join(_size_part(each) for each in self.options["profiles"]),
                self._place,
            )
            if part
        )
        version = safe(".".join(self._version_that_counts.split(".")[:3]))[:_LONGEST_VERSION]
        tail = f".{safe(self.flavour)}-{version}.{self.short}{SUFFIX}"
        return (head[: _LONGEST_NAME - len(tail)].rstrip(".") or "engine") + tail

    @property
    def _version_that_counts(self) -> str:
        """A version-compatible engine runs on all later versions of its major one."""
        if self.options.get("version_compatible"):
            return self.flavour_version.partition(".")[0]
        return self.flavour_version

    @property
    def _gpu_that_counts(self) -> dict[str, str]:
        """What of the GPU binds an engine; drivers only by their major version."""
        if self.flavour != TENSORRT:
            return {}
        counts = {"driver": driver_major(self.gpu.get("driver", ""))}
        level = self.options.get("hardware_compatible", "none")
        if level != "ampere+":
            counts["compute_capability"] = self.gpu.get("compute_capability", "")
        if level == "none":
            counts.update({name: self.gpu.get(name, "") for name in SAME_GPU})
        return counts

    @property
    def _place(self) -> str:
        """The GPUs it is for, "" where the library chose them."""
        if self.flavour != TENSORRT:
            listed = "+".join(self.options.get("compute_capabilities", ()))
            return safe(f"cc{listed}") if listed else ""
        level = str(self.options.get("hardware_compatible", "none"))
        if level == "ampere+":
            return level
        kind = self.gpu.get("compute_capability", "")
        return safe(f"cc{kind}" if level != "none" else f"{self.gpu.get('name', '')}-{kind}")


def driver_major(version: str) -> str:
    """Return what counts of a driver's version: kernels change with the major one.

    >>> driver_major("580.65.06"), driver_major("CUDA 12.6")
    ('580', 'CUDA 12')
    """
    return version.partition(".")[0]


def safe(text: str) -> str:
    """Return a text as part of a file name.

    >>> safe("NVIDIA GeForce RTX 4070")
    'NVIDIA-GeForce-RTX-4070'
    """
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-")


def _size_part(profile: str) -> str:
    sizes = SizeRange.parse(profile)
    if sizes.is_static:
        return size_text(sizes.best)
    return f"{size_text(sizes.smallest)}-{size_text(sizes.largest)}"
