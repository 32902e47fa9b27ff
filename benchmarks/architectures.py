"""Architecture search at fixed cost: candidates trained alike, judged, timed and drawn.

    python benchmarks/architectures.py --train A F P2 --data ../shared/data --suite build/crisp-v1
    python benchmarks/architectures.py --take build/architectures/log.jsonl --save
    python benchmarks/architectures.py --time --save
    python benchmarks/architectures.py --plot

The first appends a line a candidate to --log, two to three minutes each of one core at 3,000
steps; the second makes the committed result of it; the third measures the exported graphs in
turns, on a machine that does nothing else; the fourth draws results/architectures.svg of the
result. Cost is in multiply-accumulates of what is learnt, a frame is 320x180.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.architectures_network import Candidate, Shape
from benchmarks.architectures_plot import chart
from benchmarks.architectures_training import (
    SETS,
    Training,
    gains_of,
    train_candidate,
    with_synthetic,
)
from benchmarks.architectures_variants import VARIANTS
from benchmarks.common import RESULTS, arguments, publish, result
from crispstream.core.errors import CrispstreamError, UsageError
from crispstream.core.files import write_atomically

NAME = "architectures"
SIZE = (320, 180)
COSTS = {
    "kmac_per_lr_pixel": "kMAC for an LR pixel",
    "cpu_ms": "milliseconds a frame, ONNX Runtime fp32 on the CPU",
    "gpu_ms": "milliseconds a frame, PyTorch fp16 on the GPU",
}
_ROUNDS = 5


def main() -> int:
    """Do what is asked for, in the order of the steps."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--train", nargs="+", metavar="NAME", default=[], help=", ".join(VARIANTS))
    parser.add_argument("--take", type=Path, help="lines of figures to make the result of")
    parser.add_argument("--time", action="store_true", help="measure the candidates of the result")
    parser.add_argument("--plot", action="store_true", help="draw the result")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--suite", type=Path, default=Path("build/crisp-v1"))
    parser.add_argument("--log", type=Path, default=Path("build/architectures/log.jsonl"))
    parser.add_argument("--cache", type=Path, default=Path("build/pools"))
    parser.add_argument("--steps", type=int, default=Training.steps)
    parser.add_argument("--optimizer", default=Training.optimizer)
    parser.add_argument("--learning-rate", type=float, default=Training.learning_rate)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    try:
        _train(chosen)
        _publish(chosen)
        if chosen.plot:
            write_atomically(RESULTS / f"{NAME}.svg", drawn(_committed()["figures"]).encode())
    except CrispstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _train(chosen: argparse.Namespace) -> None:
    import torch

    from crispstream.train.data.samples import open_samples
    from crispstream.train.recipes.registry import build_recipe

    if unknown := [name for name in chosen.train if name not in VARIANTS]:
        raise UsageError(f"there is no candidate '{unknown[0]}'; there are {', '.join(VARIANTS)}")
    if not chosen.train:
        return
    torch.set_num_threads(chosen.threads)
    recipe = build_recipe("edge-s")
    samples = open_samples(recipe.pool, [chosen.data], chosen.cache, chosen.threads, print)
    training = Training(
        chosen.steps, optimizer=chosen.optimizer, learning_rate=chosen.learning_rate
    )
    chosen.log.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen.train:
        shape = VARIANTS[name]
        done = train_candidate(lambda shape=shape: Candidate(shape), samples, training)
        row = {
            "name": name,
            "series": series_of(training),
            "shape": asdict(shape),
            "kmac": round(shape.kmac_per_lr_pixel(), 1),
            "steps": training.steps,
            "cpu": round(done.cpu_seconds),
            "wall": round(done.seconds),
            **gains_of(done.network, chosen.suite),
        }
        with chosen.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def series_of(training: Training) -> str:
    """Return the words for what a series has in common.

    >>> series_of(Training())
    'adam 0.002, 3000 steps of 12 x 48 px'
    """
    batches = f"{training.steps} steps of {training.batch} x {training.patch_px} px"
    return f"{training.optimizer} {training.learning_rate:g}, {batches}"


def _publish(chosen: argparse.Namespace) -> None:
    """Make or renew the result, if that is asked for."""
    if not chosen.take and not chosen.time:
        return
    if chosen.take:
        text = chosen.take.read_text(encoding="utf-8")
        figures = taken(json.loads(line) for line in text.splitlines() if line.strip())
        settings: Mapping[str, Any] = {"sets": SETS, "size": SIZE}
    else:
        committed = _committed()
        figures, settings = committed["figures"], committed["settings"]
    if chosen.time:
        figures = timed(figures)
        settings = {**settings, "threads": chosen.threads, "rounds": _ROUNDS}
    publish(result(NAME, settings=settings, figures=figures, limits={}), chosen)


def _committed() -> dict[str, Any]:
    path = RESULTS / f"{NAME}.json"
    if not path.is_file():
        raise UsageError(f"'{path}' is not there; make it with --take LOG --save")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def taken(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the figures of the rows of a log, by name; what is no candidate is left out.

    A row has a name and kmac, steps, cpu, wall and a gain in dB for each set. Its name is that of
    a candidate, or has it between a prefix "x-", which tells series apart, and words after "_":
    "4-P2_muon_0.05". Its shape is that of the candidate if it tells none; what Muon trained was
    then plain, without branches. The last of several rows of one name counts.
    """
    figures = {}
    for row in rows:
        variant, series = read_name(row["name"])
        if variant in VARIANTS and set(SETS) <= set(row):
            plain = replace(VARIANTS[variant], rep=VARIANTS[variant].rep and "muon" not in series)
            shape = Shape(**row["shape"]) if "shape" in row else plain
            figures[row["name"]] = {
                "variant": variant,
                "series": row.get("series", series),
                "shape": asdict(shape),
                "kmac_per_lr_pixel": round(shape.kmac_per_lr_pixel(), 1),
                "steps": row["steps"],
                "training_cpu_seconds": row["cpu"],
                "gain_db": with_synthetic({name: row[name] for name in SETS}),
            }
    return figures


def read_name(name: str) -> tuple[str, str]:
    """Return the candidate that a row is of, and the words of its series.

    >>> read_name("4-P2_muon_0.05"), read_name("s-F_half48"), read_name("A")
    (('P2', '4: muon 0.05'), ('F', 's: adam 0.002'), ('A', 'adam 0.002'))
    """
    prefix, _, rest = name.rpartition("-")
    variant, *words = rest.split("_")
    optimizer = " ".join(words) if words and words[0].startswith(("adam", "muon")) else "adam 0.002"
    return variant, f"{prefix}: {optimizer}" if prefix else optimizer


def timed(figures: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the figures with the median milliseconds of each candidate's graph, in turns."""
    from benchmarks.architectures_timing import cpu_graph, cpu_ms, gpu_ms, has_gpu

    shapes = {row["variant"]: Shape(**row["shape"]) for row in figures.values()}
    graphs = {name: cpu_graph(Candidate(shape)) for name, shape in shapes.items()}
    rounds = [{name: cpu_ms(graph, SIZE) for name, graph in graphs.items()} for _ in range(_ROUNDS)]
    on_cpu = _medians(rounds)
    on_gpu: dict[str, float] = {}
    if has_gpu():
        rounds = [
            {name: gpu_ms(Candidate(shape), SIZE) for name, shape in shapes.items()}
            for _ in range(_ROUNDS)
        ]
        on_gpu = _medians(rounds)
    return {
        name: {**row, "cpu_ms": on_cpu[row["variant"]], "gpu_ms": on_gpu.get(row["variant"])}
        for name, row in figures.items()
    }


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(r[name] for r in rounds), 3) for name in rounds[0]}


def drawn(figures: Mapping[str, Any]) -> str:
    """Return the chart of the result."""
    return chart(figures, COSTS, "synthetic")


if __name__ == "__main__":
    sys.exit(main())
