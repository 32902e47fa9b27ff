"""How candidates of the search are trained and judged: all alike, and shortly.

A row of figures compares only with rows of the same series: the same pool, steps, patches,
optimiser and loss.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.architectures_network import Candidate
from crispstream.core.bicubic import upscale_x4
from crispstream.core.errors import UsageError
from crispstream.core.metrics import psnr_db
from crispstream.core.pixels import Bytes, round_to_bytes
from crispstream.train.data.device_pool import device_loader
from crispstream.train.data.patches import Batches, PatchSet, as_floats
from crispstream.train.data.samples import Samples
from crispstream.train.evaluate import Sample, read_pairs
from crispstream.train.losses import charbonnier
from crispstream.train.muon import Muon
from crispstream.train.precision import training_precision
from crispstream.train.schedules import Phase, Schedule

NEEDS = ("lr", "hr")
SETS = {
    "weak": "motion-weak",
    "medium": "motion-medium",
    "strong": "motion-strong",
    "still": "sharp",
    "noisy": "noise-high",
    "real": "real",
}
"""Names of the sets in the results, and the parts of the suite crisp-v1 that they are."""
SYNTHETIC = ("weak", "medium", "strong")
"""The mean of these is what candidates are ranked by."""
_AVERAGE_DECAY = 0.998
_OPTIMIZERS: dict[str, Callable[[nn.Module, float], torch.optim.Optimizer]] = {
    "adam": lambda net, rate: torch.optim.Adam(net.parameters(), rate, betas=(0.9, 0.99)),
    "muon": lambda net, rate: Muon(net.parameters(), rate),
}


@dataclass(frozen=True)
class Training:
    """What all candidates of a series have in common."""

    steps: int = 3000
    batch: int = 12
    patch_px: int = 48
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what is not known."""
        if self.optimizer not in _OPTIMIZERS:
            raise UsageError(f"there is no optimiser '{self.optimizer}'; take {[*_OPTIMIZERS]}")


@dataclass(frozen=True)
class Trained:
    """A candidate with the averaged weights, and what that took."""

    network: Candidate
    cpu_seconds: float
    seconds: float


def train_candidate(make: Callable[[], Candidate], samples: Samples, training: Training) -> Trained:
    """Train a fresh candidate; the same batches in the same order for all."""
    torch.manual_seed(training.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = make().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _OPTIMIZERS[training.optimizer](network, training.learning_rate)
    averaged = copy.deepcopy(network).requires_grad_(False)
    cpu, wall = time.process_time(), time.monotonic()
    for step, batch in enumerate(_batches(samples, training)):
        rate = Schedule().rate(training.learning_rate, step, training.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        floats = as_floats({name: tensor.to(device) for name, tensor in batch.items()})
        _learn(network, optimizer, floats)
        _average(averaged, network, min(_AVERAGE_DECAY, (1 + step) / (10 + step)))
    if device.type == "cuda":
        torch.cuda.synchronize()
    spent = time.process_time() - cpu, time.monotonic() - wall
    return Trained(averaged.cpu().eval(), *spent)


def _batches(samples: Samples, training: Training) -> Iterator[Mapping[str, Tensor]]:
    items, side, seed = training.steps * training.batch, training.patch_px, training.seed
    patches = PatchSet(samples, NEEDS, items=items, patch_px=side, augment="dihedral", seed=seed)
    batches = Batches(patches, [Phase(training.steps, side, training.batch)])
    there = device_loader(samples, NEEDS, batches, first_step=0, augment="dihedral", seed=seed)
    yield from there or DataLoader(batches, None)


def _learn(
    network: Candidate, optimizer: torch.optim.Optimizer, batch: Mapping[str, Tensor]
) -> None:
    optimizer.zero_grad()
    lr, hr = batch["lr"], batch["hr"]
    is_mixed = training_precision(mixed=True) == "bf16-mixed"
    with torch.autocast(lr.device.type, torch.bfloat16, enabled=is_mixed):
        restored = network(lr)
    charbonnier(restored.float(), hr).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for kept, new in zip(averaged.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def gains_of(network: Candidate, suite: Path) -> dict[str, float]:
    """Return the mean gain over bicubic in dB, by set, and that of the synthetic ones.

    Raises:
        UsageError: if the suite has not been built.
    """
    found = {name: gain_db(network, read_pairs(suite / part)) for name, part in SETS.items()}
    return with_synthetic(found)


def with_synthetic(gains: Mapping[str, float]) -> dict[str, float]:
    """Return the gains, and the mean of the synthetic sets as one more.

    >>> with_synthetic({"weak": 1.0, "medium": 2.0, "strong": 3.0})["synthetic"]
    2.0
    """
    return {**gains, "synthetic": round(mean(gains[name] for name in SYNTHETIC), 3)}


def gain_db(network: Candidate, samples: Iterator[Sample]) -> float:
    """Return the mean gain of a network over bicubic, in dB."""
    gains = [
        psnr_db(restored(network, sample.lr), sample.hr) - psnr_db(upscale_x4(sample.lr), sample.hr)
        for sample in samples
    ]
    return round(mean(gains), 3)


@torch.inference_mode()
def restored(network: Candidate, frame_hwc: Bytes) -> Bytes:
    """Return the restored frame [4H,4W,3]; sides that do not divide by 4 are mirrored on."""
    height, width = frame_hwc.shape[:2]
    ends = [(0, -side % network.size_multiple) for side in (height, width)]
    padded = np.pad(frame_hwc, [*ends, (0, 0)], mode="symmetric")
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    levels = network(x)[0].permute(1, 2, 0).numpy() * 255
    return round_to_bytes(levels[: 4 * height, : 4 * width])
