"""What this GPU makes of the kit: engines built, judged and timed, against PyTorch and others.

One command for a machine with an NVIDIA GPU, done within 8 minutes. It writes one record to
results/; docs/gpu-check.md says what is in it. What cannot run here stands there with the reason.

    make gpu-check
    build/venv/bin/python -m benchmarks.gpu_check --dry-run --output dry.json    # tried on a CPU

Exit code 0 if all that could run is accurate, 1 if not, 2 if there is no GPU.
"""

import argparse
import logging
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import RESULTS
from benchmarks.gpu_check.bench import DRY, Bench, Order
from benchmarks.gpu_check.device import file_part, flavour_here, gpu_facts, polled, software
from benchmarks.gpu_check.model import ModelCheck
from benchmarks.gpu_check.page import page
from benchmarks.gpu_check.record import BENCHMARK, DRY_FIGURES, Record, faults
from benchmarks.gpu_check.steps import Deadline, tried
from benchmarks.gpu_check.timing import Pace
from crispstream.core.errors import CrispstreamError
from crispstream.core.files import write_json_atomically
from crispstream.core.sizes import SizeRange, parse_size, size_text
from crispstream.runtime.engine.available import THIS_MACHINE, Probes, said_and_fix
from crispstream.runtime.engine.building.build import check_sizes
from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.models import find_model, shipped_names
from crispstream.runtime.measure.host import host_facts

if TYPE_CHECKING:
    from benchmarks.gpu_check.roofs import Roofs

PROGRAM = "python -m benchmarks.gpu_check"
DRY_PACE = Pace(rounds=2, burst_seconds=0.0, warm_seconds=0.0)


def check(
    order: Order, gpu: dict[str, Any] | None, output: Path, probes: Probes | None = None
) -> Record:
    """Run everything and return the record, which is written to `output` as it grows.

    `gpu` are the facts of the GPU, None in a dry run. `probes` ask for TensorRT; None asks this
    machine, and in a dry run nobody.
    """
    deadline = Deadline(60 * order.minutes)
    heard = _Heard()
    record = Record(dry_run=order.dry_run, models=order.models, facts=_facts(order, gpu, heard))
    flavour, why = _flavour(order, probes)
    record.facts["engine"] = {"flavour": flavour} if flavour else {"not_run": why}

    def save() -> None:
        record.facts["took_seconds"] = round(deadline.spent_seconds, 1)
        write_json_atomically(output, record.content())

    found = (probes or THIS_MACHINE).find_gpu() if flavour else ""
    with tempfile.TemporaryDirectory() as scratch, heard:
        roofs = tried(lambda: _roofs(order))
        key = DRY_FIGURES if order.dry_run else "figures"
        told = {"not_run": roofs} if isinstance(roofs, str) else {key: roofs.as_json()}
        record.facts["roofs"] = told
        kit_gpu = found if isinstance(found, Gpu) else None
        bench = Bench(order, record, deadline, flavour, why, kit_gpu, roofs, Path(scratch), save)
        try:
            for model in order.models:
                ModelCheck(bench, find_model(model)).run()
        finally:
            save()
    return record


def _facts(order: Order, gpu: dict[str, Any] | None, heard: "_Heard") -> dict[str, Any]:
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "took_seconds": 0.0,
        "host": {**asdict(host_facts()), "load_average": os.getloadavg()[0]},
        "gpu": gpu,
        "polled": [] if order.dry_run else [polled("at the start")],
        "software": software(),
        "settings": {
            "models": list(order.models),
            "size": size_text(order.size),
            "minutes": order.minutes,
            **asdict(order.pace),
        },
        "warnings": heard.messages,
        "work": {},
    }


def _flavour(order: Order, probes: Probes | None) -> tuple[str, str]:
    if order.dry_run and probes is None:
        return "", DRY
    return flavour_here(probes or THIS_MACHINE)


def _roofs(order: Order) -> "Roofs":
    from benchmarks.gpu_check.roofs import measure_roofs

    return measure_roofs(order.device)


class _Heard(logging.Handler):
    """Keeps what the kit warns of meanwhile, each sentence once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.messages:
            self.messages.append(message)

    def __enter__(self) -> None:
        logging.getLogger("crispstream").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("crispstream").removeHandler(self)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check this machine's GPU; return the exit code."""
    chosen = _chosen(arguments)
    try:
        order = _order(chosen)
    except CrispstreamError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    gpu = None if order.dry_run else gpu_facts()
    if isinstance(gpu, str):
        said, _ = said_and_fix(gpu)  # the way out is for who runs models
        print(f"no GPU to check: {said}; crispstream doctor tells what to do", file=sys.stderr)
        dry_run = f"{PROGRAM} --dry-run --output dry.json"
        print(f"to see that the check itself works: {dry_run}", file=sys.stderr)
        return 2
    record = check(order, gpu, output := chosen.output or _place(gpu))
    wrong_form = faults(record.content())
    print(page(record))
    print(f"written to {output}, after {record.facts['took_seconds']:.0f} s")
    for fault in wrong_form:
        print(f"the record has a fault, which is one of the check: {fault}", file=sys.stderr)
    return 1 if record.wrong or wrong_form else 0


def _place(gpu: dict[str, Any] | None) -> Path:
    return RESULTS / f"{BENCHMARK}-{file_part(gpu['name'] if gpu else 'none')}.json"


def _chosen(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog=PROGRAM, description=about)
    parser.add_argument(
        "--minutes",
        type=float,
        default=Order.minutes,
        help="Begin nothing new after so many minutes (default: %(default)s).",
    )
    parser.add_argument(
        "--size",
        metavar="WIDTHxHEIGHT",
        default=size_text(Order.size),
        help="Size of the frames in pixels (default: %(default)s).",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=Order.models,
        choices=shipped_names(),
        help=f"Models to check, in this order (default: {' '.join(Order.models)}).",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"Where the record goes (default: benchmarks/results/{BENCHMARK}-GPU.json).",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="Try the check itself on the CPU; its figures mean nothing. Needs --output.",
    )
    chosen = parser.parse_args(arguments)
    if not 0 < chosen.minutes < math.inf:
        parser.error(f"--minutes is {chosen.minutes:g}; give a number above 0")
    inside = chosen.output and chosen.output.resolve().is_relative_to(RESULTS)
    if chosen.dry_run and (inside or not chosen.output):
        parser.error("a dry run measures nothing: name a file outside of results/ with --output")
    return chosen


def _order(chosen: argparse.Namespace) -> Order:
    order = Order(tuple(chosen.models), parse_size(chosen.size), chosen.minutes)
    for model in order.models:
        check_sizes(find_model(model), [SizeRange.only(order.size)])
    if chosen.dry_run:
        return replace(order, pace=DRY_PACE, device="cpu", compiler="eager")
    return order
