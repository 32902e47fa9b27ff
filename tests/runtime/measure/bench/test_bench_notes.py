"""What a reader of a bench is told beside its figures, where no other test has it."""

from dataclasses import replace

from crispstream.core.clock import FakeClock
from crispstream.runtime.measure.bench.bench import run_bench
from tests.helpers.fakes.fake_benched import FakeBenched, frames, settings, sleeping, subject


def test_where_no_clock_of_the_gpu_tells_of_the_engine_that_is_said() -> None:
    clock = FakeClock()
    on_gpu = replace(subject("A", FakeBenched(clock, lambda _: 10)), backend="onnxruntime-cuda")
    for scopes, said in (("engine",), True), (("copies",), False):
        record = run_bench(
            [on_gpu], settings(), frames(), scopes=scopes, clock=clock, sleep=sleeping(clock)
        )
        told = [note for note in record.notes if note.startswith("A: ONNX Runtime tells no time")]
        assert bool(told) == said
