"""What the GPU can do, measured with two small kernels, and what a frame asks of it.

The share of the roof that a row reaches is the least time a frame can take over the time it took.
Peaks come from the GPU at hand, never from a data sheet.
"""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from benchmarks.gpu_check.pytorch import Restoring, refuse_without, seconds_of
from crispstream.core.pixels import SCALE

COUNTED = (
    "2 FLOP a multiply-accumulate of the convolutions; bytes of the frame, the restored frame, "
    "the weights, and what each convolution reads and writes, once; additions, activations, gates "
    "and enlargements are taken to be part of a convolution's kernel"
)
_REPEATS = 10


@dataclass(frozen=True)
class Roofs:
    """Peaks of a device."""

    fp16_tflops: float
    """Of a large fp16 matrix product, in 10^12 floating-point operations a second."""
    copy_gb_per_second: float
    """Of a copy within the device's memory, bytes read and written, in 10^9 a second."""
    matrix_side: int
    copied_mib: int

    def as_json(self) -> dict[str, float]:
        """Return what the record holds."""
        return asdict(self)


@dataclass(frozen=True)
class Work:
    """What one frame asks for, in fp16."""

    gflop: float
    mb: float
    """10^6 bytes moved."""
    counted: str = COUNTED

    def as_json(self) -> dict[str, float | str]:
        """Return what the record holds."""
        return asdict(self)

    def least_ms(self, roofs: Roofs) -> float:
        """Return the least milliseconds a frame can take: arithmetic or traffic alone."""
        return max(self.gflop / roofs.fp16_tflops, self.mb / roofs.copy_gb_per_second)


def measure_roofs(device: str) -> Roofs:
    """Measure a "cuda" device; "cpu" runs the same with next to nothing.

    Sizes follow the free memory, so that a small device takes part too.

    Raises:
        RuntimeError: if this PyTorch has no such device.
    """
    refuse_without(device)
    free_bytes = torch.cuda.mem_get_info()[0] if device == "cuda" else 0
    side = 64 if device == "cpu" else 8192 if free_bytes > 4 << 30 else 2048
    copied = 1 << 20 if device == "cpu" else min(1 << 30, free_bytes // 8)
    tflops = 2 * side**3 / _product_seconds(side, device) / 1e12
    gb_per_second = 2 * copied / _copy_seconds(copied, device) / 1e9
    if device == "cuda":
        torch.cuda.empty_cache()  # the engines want memory too
    return Roofs(tflops, gb_per_second, side, copied >> 20)


def _product_seconds(side: int, device: str) -> float:
    generator = torch.Generator(device).manual_seed(0)  # zeros would run faster than real data
    shape, half = (side, side), torch.float16
    a = torch.randn(shape, device=device, dtype=half, generator=generator)
    b = torch.randn(shape, device=device, dtype=half, generator=generator)
    product = torch.empty_like(a)
    return _median_seconds(lambda: torch.mm(a, b, out=product), device)


def _copy_seconds(copied_bytes: int, device: str) -> float:
    source = torch.arange(copied_bytes // 4, device=device, dtype=torch.int32)
    target = torch.empty_like(source)
    return _median_seconds(lambda: target.copy_(source), device)


def _median_seconds(work: Callable[[], object], device: str) -> float:
    """Return the median of some runs, after a warm-up."""
    for _ in range(3):
        work()
    return statistics.median(seconds_of(work, on_gpu=device == "cuda") for _ in range(_REPEATS))


def work_of(model: str, macs_per_lr_pixel: int, width: int, height: int) -> Work:
    """Return what a frame of this size asks of an edge network in fp16; see COUNTED."""
    pixels = width * height
    frame_bytes = 3 * pixels * (1 + SCALE * SCALE)
    network = Restoring(model, "fp16").to("meta")
    weights = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    moved = frame_bytes + weights + _convolution_bytes(network, width, height)
    return Work(2 * macs_per_lr_pixel * pixels / 1e9, moved / 1e6)


def _convolution_bytes(network: nn.Module, width: int, height: int) -> int:
    """Return what the convolutions read and write, found by running without values."""
    moved: list[int] = []

    def count(_: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        moved.extend(tensor.numel() * tensor.element_size() for tensor in (*given, result))

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, height, width, 3, dtype=torch.uint8, device="meta"))
    return sum(moved)
