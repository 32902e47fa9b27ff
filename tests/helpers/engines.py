"""Engines for the store's tests: any bytes, with the record of a build that never was."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from crispstream.core.files import sha256_of
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.record import EngineRecord, sidecar_of
from crispstream.runtime.engine.store.store import EngineStore

ENGINE = b"vtrt and so on"
RTX_4070 = {
    "name": "NVIDIA GeForce RTX 4070",
    "compute_capability": "8.9",
    "driver": "580.65.06",
    "multiprocessors": "46",
    "memory_gib": "12",
}
PASSED = {"passed": True, "gpu": RTX_4070, "psnr_to_fp32_db": 61.5, "largest_levels": 1}
"""What is read of a re-check that was passed there."""


def made_up_record(engine: bytes = ENGINE, **facts: Any) -> EngineRecord:
    """Return a record that fits `engine`, of TensorRT-RTX and 320x180 unless `facts` say else."""
    record = EngineRecord(
        bundle="tiny",
        graph_sha256="0" * 64,
        precision="fp16",
        flavour="tensorrt-rtx",
        flavour_version="1.7.1.116",
        options=BuildOptions.static((320, 180)).as_json(),
        gpu={},
        engine_sha256=sha256_of(engine),
        engine_bytes=len(engine),
        build_seconds=0.25,
        built_at="2026-11-21T18:00:00Z",
        crispstream_version="0.1.0",
        convolutions={"Half": 3, "Float": 1},
    )
    return replace(record, **facts)


def made_for_4070(engine: bytes = ENGINE, **facts: Any) -> EngineRecord:
    """Return the record of an engine that TensorRT bound to `RTX_4070`; `facts` go before."""
    usual = {"flavour": "tensorrt", "flavour_version": "10.16.1.11", "gpu": RTX_4070}
    return made_up_record(engine, **{**usual, **facts})


def with_orders(record: EngineRecord, **orders: Any) -> EngineRecord:
    """Return a record whose engine was built with some other options."""
    return replace(record, options={**record.options, **orders})


def key_of(record: EngineRecord, **facts: Any) -> EngineKey:
    """Return the key of a record, some of its facts replaced."""
    return replace(EngineKey.of(record), **facts)


def keep(store: EngineStore, record: EngineRecord, used_days_ago: float = 0) -> Path:
    """Add the engine of a record, last used so long ago; return where it lies."""
    path = store.add(EngineKey.of(record), ENGINE, record)
    then = time.time() - used_days_ago * 86_400
    os.utime(sidecar_of(path), (then, then))
    return path
