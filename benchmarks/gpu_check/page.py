"""The record of the GPU check as text: what was measured, and what was not and why."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.gpu_check.record import TABLES, Key, Record, Row


def page(record: Record) -> str:
    """Return the record for people."""
    return "\n".join([*_head(record), *_tables(record), *_ratios(record), *_reasons(record)])


def _head(record: Record) -> Iterator[str]:
    if record.dry_run:
        yield "DRY RUN: nothing here was measured on a GPU; no figure below means anything"
    else:
        gpu = record.facts["gpu"]
        yield f"{gpu['name']}, driver {gpu['driver']}"
    yield f"engines: {' '.join(record.facts['engine'].values())}"
    yield f"roofs: {_roofs(record.facts['roofs'])}"


def _roofs(told: Mapping[str, Any]) -> str:
    if "not_run" in told:
        return f"not measured, {told['not_run']}"
    (figures,) = told.values()
    product, copy = figures["fp16_tflops"], figures["copy_gb_per_second"]
    return f"{product:.4g} TFLOP/s in fp16, {copy:.4g} GB/s copied"


def _tables(record: Record) -> Iterator[str]:
    for table in TABLES:
        for key, found in record.entries(table).items():
            if isinstance(found, str):
                continue
            if isinstance(key, Row):
                share = found["roof_share"]
                roof = "" if share is None else f", {share:.0%} of the roof"
                ms, rate = found["ms_per_frame"]["median"], found["frames_per_second"]
                yield f"  {key}: {ms:.3f} ms, {rate:.0f} frames/s{roof}"
            elif table == "accuracy":
                verdict = "passed" if found["passed"] else f"FAILED: {found['reason']}"
                yield f"  accuracy {_words(key)}: {found['psnr_to_fp32_db']} dB to fp32, {verdict}"
            elif table == "engines":
                size = found["engine_bytes"] / 2**20
                yield f"  engine {_words(key)}: {found['build_seconds']:.1f} s, {size:.1f} MiB"
            else:
                yield f"  opening {_words(key)}: {found['beyond_seconds']:.2f} s beyond native"


def _ratios(record: Record) -> Iterator[str]:
    for each in record.comparisons:
        ratio = each.ratio
        span = f"{ratio.low:.2f} to {ratio.high:.2f}, {ratio.pairs} pairs"
        yield f"  {each.of} is {ratio.median:.2f} times as fast as {each.over} ({span})"
    for name, limit in record.limits.items():
        bound = ", ".join(
            f"{side.replace('_', ' ')} {value:g}" for side, value in limit.bound.items()
        )
        yield f"  {name}: {limit.value:.3g}, {bound}: {'met' if limit.met else 'NOT MET'}"


def _reasons(record: Record) -> Iterator[str]:
    """Each reason once, with how much it kept from being run."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for table in TABLES:
        for key, found in record.entries(table).items():
            if isinstance(found, str):
                reasons[found].append(f"{table} {_words(key)}")
    for reason, keys in reasons.items():
        yield f"  not run, {len(keys)} entries from '{keys[0]}' on: {reason}"
    yield from (f"  warning: {message}" for message in record.facts["warnings"])


def _words(key: Key) -> str:
    return str(key) if isinstance(key, Row) else " ".join(key)
