"""One model in the GPU check: engines built and judged, then all timed in turns.

A module that needs a package which may be missing is imported in the step that needs it, so that
its absence is the reason of that step and of no other.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_check.bench import DRY, Bench, check_frames
from benchmarks.gpu_check.claims import claim, comparisons
from benchmarks.gpu_check.device import polled
from benchmarks.gpu_check.kit import kit_variant
from benchmarks.gpu_check.opening import opening_figures
from benchmarks.gpu_check.record import PRECISIONS, REGIMES, Built, Judged, Row, expected
from benchmarks.gpu_check.steps import NotRun, there, tried
from benchmarks.gpu_check.timing import Variant, in_turns
from crispstream.core.bundle import Bundle
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend
from crispstream.runtime.engine.building.build import build_from_bundle
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.store.record import EngineRecord

if TYPE_CHECKING:
    from benchmarks.gpu_check.pytorch import Run, TorchSide

_COMPILE_SECONDS = 45
"""Left at least when torch.compile begins: nothing can stop it."""

_GROUP_SECONDS = 40
"""Budget of one regime of one model."""


@dataclass(frozen=True)
class Engine:
    """A built engine."""

    plan: bytes
    record: EngineRecord


class ModelCheck:
    """All steps of one model, in the order of their weight."""

    def __init__(self, bench: Bench, bundle: Bundle) -> None:
        """Cut the check frames to size; nothing is run yet."""
        self._bench = bench
        self._order = bench.order
        self._record = bench.record
        self._bundle = bundle
        self._model = bundle.name
        self._frames = check_frames(bundle, bench.order.size)
        self._least_ms: float | None = None
        self._engines: dict[str, Engine | str] = {}
        self._side: TorchSide | str = ""
        self._forms: dict[str, Run | str] = {}
        self._onnx: dict[str, Mapping[str, Any] | str] = {}

    def run(self) -> None:
        """Build, judge, time and open; the record is saved after every step."""
        self._estimate()
        for precision in PRECISIONS:
            self._engines[precision] = self._built(precision)
            self._bench.save()
        self._load_torch()
        for precision in ("fp16", "fp32"):
            make = partial(self._onnxruntime, precision)
            self._onnx[precision] = self._judge("onnxruntime-cuda", precision, make)
        for regime in REGIMES:
            self._time(regime)
            self._record.facts["polled"].append(polled(f"after {self._model} {regime}"))
            self._bench.save()
        self._record.fill("opening", Built(self._model, "fp16"), tried(self._opening))
        if not self._order.dry_run:
            claim(self._record, self._model)
        self._bench.save()

    def _estimate(self) -> None:
        """Note what a frame asks of the GPU, and the least time it can take."""

        def work() -> dict[str, Any]:
            from benchmarks.gpu_check.roofs import work_of

            macs = self._bundle.graph("fp16").macs_per_lr_pixel
            found = work_of(self._model, macs, *self._order.size)
            if not isinstance(self._bench.roofs, str) and not self._order.dry_run:
                self._least_ms = found.least_ms(self._bench.roofs)
            return found.as_json()

        self._record.facts["work"][self._model] = tried(work)

    def _built(self, precision: str) -> Engine | str:
        """Build and judge an engine; return it, or why it is not to be used."""
        built = tried(partial(self._build, precision))
        if isinstance(built, str):
            self._record.fill("engines", Built(self._model, precision), built)
            self._record.fill("accuracy", Judged(self._model, "engine", precision), built)
            return built
        kept = built.record
        figures = {
            "build_seconds": kept.build_seconds,
            "engine_bytes": kept.engine_bytes,
            "convolutions": dict(kept.convolutions),
            "retries": list(kept.retries),
        }
        self._record.fill("engines", Built(self._model, precision), figures)
        verdict = self._judge("engine", precision, partial(self._tensorrt, built, cuda_graph=True))
        if isinstance(verdict, str):
            return verdict
        here = self._bench.gpu.as_json() if self._bench.gpu else {}
        return Engine(built.plan, replace(kept, recheck={**verdict, "gpu": here}))

    def _build(self, precision: str) -> Engine:
        bench = self._bench
        if not bench.flavour or bench.gpu is None:
            raise NotRun(bench.why_no_engine)
        bench.deadline.check()
        aims = [bench.gpu.compute_capability] if bench.flavour == "tensorrt-rtx" else []
        plan, record = build_from_bundle(
            self._bundle,
            BuildOptions.static(self._order.size, *aims),
            flavour=bench.flavour,
            precision=precision,
            gpu=bench.gpu,
            allow_uncertified=True,  # the check itself judges
            on_progress=lambda *_: bench.deadline.check(),
        )
        return Engine(plan, record)

    def _tensorrt(self, engine: Engine, *, cuda_graph: bool) -> Backend:
        plan = self._plan(engine)
        return TensorRTBackend(
            lambda _height, _width: plan,
            flavour=self._bench.flavour,
            precision=engine.record.precision,
            states=self._bundle.states,
            cuda_graph=cuda_graph,
        )

    def _plan(self, engine: Engine) -> Plan:
        kernels = self._bench.scratch / f"{self._model}-{engine.record.precision}.runtime"
        return Plan(engine.plan, runtime_cache=kernels)

    def _onnxruntime(self, precision: str) -> Backend:
        if self._order.dry_run:
            raise NotRun(DRY)
        from benchmarks.gpu_check.ort import onnxruntime_backend

        return onnxruntime_backend(self._bundle, "onnxruntime-cuda", precision)

    def _judge(
        self, runs_on: str, precision: str, make: Callable[[], Backend]
    ) -> Mapping[str, Any] | str:
        """Compare with fp32 on the CPU; return the figures, or why this is not to be timed."""

        def verdict() -> Mapping[str, Any]:
            from crispstream.runtime.engine.trust.recheck import recheck

            self._bench.deadline.check()
            backend = make()
            try:
                graph = self._bundle.graph(precision)
                return recheck(self._bundle, graph, backend, self._order.size).as_json()
            finally:
                backend.close()

        found = tried(verdict)
        self._record.fill("accuracy", Judged(self._model, runs_on, precision), found)
        if isinstance(found, str) or found["passed"]:
            return found
        return f"not timed, as its accuracy failed: {found['reason']}"

    def _load_torch(self) -> None:
        """Load and judge PyTorch's forms of the model."""
        self._side = tried(self._torch_side)
        makers = {"torch": self._eager, "torch-compile": self._compiled}
        for runs_on, make in makers.items():
            run = tried(make)
            verdict = self._judge(runs_on, "fp16", partial(self._torch_backend, run, runs_on))
            self._forms[runs_on] = verdict if isinstance(verdict, str) else run
            self._bench.save()

    def _torch_side(self) -> "TorchSide":
        from benchmarks.gpu_check.pytorch import TorchSide

        return TorchSide.load(self._model, self._order.device, self._frames)

    def _eager(self) -> "Run":
        return there(self._side).network

    def _compiled(self) -> "Run":
        self._bench.deadline.check(0 if self._order.dry_run else _COMPILE_SECONDS)
        return there(self._side).compiled(self._order.compiler)

    def _torch_backend(self, run: "Run | str", name: str) -> Backend:
        return there(self._side).backend(there(run), name)

    def _time(self, regime: str) -> None:
        """Time all rows of a regime in turns, and compare them."""
        rows = [row for row in expected("rows", [self._model]) if isinstance(row, Row)]
        variants = []
        with ExitStack() as open_until:
            for row in (row for row in rows if row.regime == regime):
                made = tried(partial(self._variant, row, open_until))
                if isinstance(made, Variant):
                    variants.append(made)
                else:
                    self._record.fill("rows", row, made)
            timed = in_turns(variants, self._order.pace, self._bench.deadline, _GROUP_SECONDS)
        for row, found in timed.items():
            bound = (row.regime, row.precision, row.streams) == ("resident", "fp16", 1)
            least_ms = self._least_ms if bound else None
            figures = found if isinstance(found, str) else found.figures(least_ms)
            self._record.fill("rows", row, figures)
        if not self._order.dry_run:
            self._record.comparisons += comparisons(self._model, regime, timed)

    def _variant(self, row: Row, open_until: ExitStack) -> Variant:
        self._bench.deadline.check()
        if row.runs_on == "engine":
            return self._engine_variant(row, there(self._engines[row.precision]), open_until)
        if row.runs_on in self._forms:
            return there(self._side).variant(row, there(self._forms[row.runs_on]))
        if row.runs_on == "onnxruntime-cuda":
            there(self._onnx[row.precision])
        from benchmarks.gpu_check.ort import onnxruntime_variant

        return onnxruntime_variant(self._bundle, row, self._frames, open_until)

    def _engine_variant(self, row: Row, engine: Engine, open_until: ExitStack) -> Variant:
        if row.regime == "resident":
            from benchmarks.gpu_check.engines import resident_variant

            flavour, device = self._bench.flavour, self._order.device
            plan = self._plan(engine)
            return resident_variant(plan, flavour, row, self._frames, device, open_until)
        backend = self._tensorrt(engine, cuda_graph=row.cuda_graph)
        open_until.callback(backend.close)
        return kit_variant(backend, row, self._frames, open_until)

    def _opening(self) -> dict[str, Any]:
        engine = there(self._engines["fp16"])
        cache = self._bench.scratch / f"cache-{self._model}"
        return opening_figures(
            engine.plan, engine.record, self._order.size, cache, self._bench.deadline
        )
