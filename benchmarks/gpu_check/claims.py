"""What the GPU check compares, and what the kit claims of a GPU."""

from collections.abc import Mapping

from benchmarks.common import Limit
from benchmarks.gpu_check.opening import LIMIT_SECONDS
from benchmarks.gpu_check.record import Built, Comparison, Record, Row
from benchmarks.gpu_check.timing import Timed, compare


def comparisons(model: str, regime: str, timed: Mapping[Row, Timed | str]) -> list[Comparison]:
    """Return the ratios of a regime that both sides were measured for, fp16 first."""

    def engine(precision: str = "fp16", *, cuda_graph: bool = True, streams: int = 1) -> Row:
        return Row(model, regime, "engine", precision, cuda_graph, streams)

    def other(runs_on: str, *, cuda_graph: bool = False, precision: str = "fp16") -> Row:
        return Row(model, regime, runs_on, precision, cuda_graph, 1)

    pairs = [
        (engine(), other("torch-compile", cuda_graph=True)),
        (engine(), other("torch-compile")),
        (engine(), other("torch")),
        (engine(), other("onnxruntime-cuda")),
        (engine(), other("onnxruntime-cpu", precision="fp32")),
        (engine(), engine(cuda_graph=False)),
        (engine(), engine("fp32")),
        (engine("int8"), engine()),
        (engine(streams=4), engine()),
    ]
    found = (compare(timed, of, over) for of, over in pairs)
    return [each for each in found if each is not None]


def claim(record: Record, model: str) -> None:
    """Put the claims about a model into the record, as far as they were measured.

    - `MODEL_over_torch_compile`: throughput of the resident fp16 engine over that of
      torch.compile in fp16, whichever of its two forms is faster.
    - `MODEL_opening_seconds`: opening a stored engine and its first frame, beyond what loading the
      engine takes.
    """
    over = [
        each.ratio.median
        for each in record.comparisons
        if each.of == Row(model, "resident", "engine", "fp16", True, 1)
        and each.over.runs_on == "torch-compile"
    ]
    if over:
        record.limits[f"{model}_over_torch_compile"] = Limit(min(over), at_least=1.0)
    opening = record.found("opening", Built(model, "fp16"))
    if not isinstance(opening, str):
        seconds = opening["beyond_seconds"]
        record.limits[f"{model}_opening_seconds"] = Limit(seconds, at_most=LIMIT_SECONDS)
