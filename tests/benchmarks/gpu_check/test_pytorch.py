"""PyTorch's side of the GPU check, as far as a CPU goes."""

import numpy as np
import pytest
import torch

from benchmarks.gpu_check.pytorch import Lane, TorchSide
from benchmarks.gpu_check.record import Row
from benchmarks.gpu_check.roofs import Roofs, Work, measure_roofs, work_of
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.restorer import Restorer
from tests.helpers.pictures import soft_picture

FRAMES = [soft_picture(seed, 24, 32) for seed in range(2)]


def test_it_computes_what_the_shipped_graph_does() -> None:
    side = TorchSide.load("edge-n", "cpu", FRAMES)
    backend = side.backend(side.network, "torch")
    backend.allocate(24, 32, 1)
    backend.frame(0)[:] = FRAMES[0]
    backend.submit(0)
    with Restorer.open("edge-n", "fp32", "onnxruntime", threads=1) as restorer:
        expected = restorer.restore(FRAMES[0])
        assert np.abs(backend.restored(0).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("regime", ["resident", "copies", "end-to-end"])
def test_every_regime_runs_as_many_frames_as_asked(regime: str) -> None:
    seen: list[torch.Tensor] = []

    def run(x_bhwc: torch.Tensor) -> torch.Tensor:
        seen.append(x_bhwc.clone())
        return x_bhwc.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)

    side = TorchSide("edge-n", "cpu", FRAMES, torch.nn.Identity())
    variant = side.variant(Row("edge-n", regime, "torch", "fp16", False, 1), run)
    assert variant.burst(5) > 0
    assert len(seen) == 5
    assert variant.clock == "host"
    if regime == "end-to-end":  # the caller's frames, in turns
        for index, x_bhwc in enumerate(seen):
            np.testing.assert_array_equal(x_bhwc[0].numpy(), FRAMES[index % 2])


def test_work_beside_other_lanes_runs_the_same_frames() -> None:
    calls: list[int] = []

    def run(x_bhwc: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return x_bhwc

    Lane(FRAMES, "cpu", run).work(3)
    assert len(calls) == 3


def test_a_cuda_graph_without_cuda_is_refused() -> None:
    with pytest.raises(RuntimeError, match="needs CUDA"):
        Lane(FRAMES, "cpu", lambda x: x, cuda_graph=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what is to be missing")
def test_a_pytorch_without_a_gpu_says_so() -> None:
    with pytest.raises(RuntimeError, match=rf"PyTorch {torch.__version__[:3]}.*(no GPU|CUDA)"):
        TorchSide.load("edge-n", "cuda", FRAMES)


def test_the_least_time_is_that_of_arithmetic_or_of_traffic() -> None:
    roofs = Roofs(fp16_tflops=100.0, copy_gb_per_second=1000.0, matrix_side=1, copied_mib=1)
    assert Work(gflop=5.0, mb=20.0).least_ms(roofs) == pytest.approx(0.05)
    assert Work(gflop=5.0, mb=80.0).least_ms(roofs) == pytest.approx(0.08)


def test_work_counts_the_graph_and_the_bytes() -> None:
    graph = find_model("edge-n").graph("fp16")
    small = work_of("edge-n", graph.macs_per_lr_pixel, 32, 24)
    large = work_of("edge-n", graph.macs_per_lr_pixel, 64, 48)
    assert small.gflop == pytest.approx(2 * graph.macs_per_lr_pixel * 32 * 24 / 1e9)
    assert large.gflop == pytest.approx(4 * small.gflop)
    frames_mb = 32 * 24 * 3 * 17 / 1e6
    assert small.mb > frames_mb
    weights_mb = (4 * small.mb - large.mb) / 3  # what does not grow with the frame
    fused = TorchSide.load("edge-n", "cpu", FRAMES).network
    stored_mb = sum(p.numel() * p.element_size() for p in fused.parameters()) / 1e6
    assert weights_mb == pytest.approx(stored_mb, rel=1e-6)


def test_roofs_are_measured() -> None:
    roofs = measure_roofs("cpu")
    assert min(roofs.fp16_tflops, roofs.copy_gb_per_second) > 0
    assert set(roofs.as_json()) == {
        "fp16_tflops",
        "copy_gb_per_second",
        "matrix_side",
        "copied_mib",
    }
