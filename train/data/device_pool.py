"""Training batches that are cut on the device: the crops of a pool lie in its memory, as bytes.

A training step of an edge network takes a few milliseconds on a GPU, and cutting and turning its
patches on a core takes as long. Here a batch is one gather a field, told where by five numbers a
patch. The numbers of a whole pass over the pool are drawn at once, from the seed and the pass, so
that item k of a training is the same in every run and a resumed one goes on as if it had not
stopped. (They are other patches than `PatchSet` draws, of the same kinds.) On a CPU the gather is
ten times slower than the slices of `PatchSet`, so this is for GPUs.

Shape letters: N crops, B patches of a batch, C channels, H height, W width, S side of a crop.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crispstream.core.pixels import SCALE

from .patches import Batches
from .samples import Samples

FIELDS = ("lr", "hr")
AUGMENTATIONS = ("dihedral", "flip")

SHARE = 0.25
"""How much of a device's memory a pool may take."""

STEPS_AHEAD = 64
"""Steps whose numbers travel to the device together."""

_CHUNK = 256
"""Crops that travel together."""

Rows = npt.NDArray[np.int64]
"""Five numbers a patch, [B,5]: crop, top, left, quarter turns, whether flipped."""


class Pass(NamedTuple):
    """What is drawn for one pass over N crops."""

    order: npt.NDArray[np.int64]
    """Which crop is when, [N]."""
    places: npt.NDArray[np.float64]
    """Where patches lie, tops and lefts as shares of what is free: [N,2] in 0..1, without 1."""
    ways: npt.NDArray[np.int64]
    """Quarter turns and flips, [N,2]."""


class DeviceLoader:
    """The batches of a training, {field: tensor [B,C,h,w]} of bytes, cut where they are needed.

    What is iterated over again begins anew, as a data loader does.
    """

    def __init__(
        self,
        samples: Samples,
        needs: Sequence[str],
        batches: Batches,
        device: torch.device,
        *,
        first_step: int,
        augment: str,
        seed: int,
    ) -> None:
        """Copy the crops to `device`; begin with 0-based `first_step`.

        `batches` tells how large the batches and their patches are; `servable` says for which
        samples and settings this works.
        """
        self._fields = {name: _held(samples, name, device) for name in needs}
        self._batches, self._first_step = batches, first_step
        self._device, self._count = device, len(samples)
        self._side = int(samples.sample(0)["lr"].shape[0])
        self._turns, self._seed = augment == "dihedral", seed

    def __len__(self) -> int:
        """Return the number of steps of the whole training."""
        return len(self._batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Cut the batches in their order."""
        end = self._first_step + len(self)
        for first in range(self._first_step, end, STEPS_AHEAD):
            steps = [self._batches.items_of(s) for s in range(first, min(first + STEPS_AHEAD, end))]
            rows = [self._rows(numbers, patch_px) for numbers, patch_px in steps]
            there = torch.from_numpy(np.concatenate(rows)).to(self._device)
            each = there.split_with_sizes([len(part) for part in rows])
            for part, (_, patch_px) in zip(each, steps, strict=True):
                yield self._cut(part, patch_px)

    def _rows(self, numbers: range, patch_px: int) -> Rows:
        """Return where the patches of one step are cut."""
        parts, start = [], numbers.start
        while start < numbers.stop:
            turn, place = divmod(start, self._count)
            drawn = drawn_for(self._seed, turn, self._count, self._turns)
            here = slice(place, place + numbers.stop - start)
            free = self._side - patch_px if patch_px else 0
            places = (drawn.places[here] * (free + 1)).astype(np.int64)
            parts.append(np.column_stack([drawn.order[here], places, drawn.ways[here]]))
            start += len(parts[-1])
        return np.concatenate(parts)

    def _cut(self, rows: Tensor, patch_px: int) -> dict[str, Tensor]:
        return {
            name: cut_patches(field, rows, patch_px, int(field.shape[1]) // self._side)
            for name, field in self._fields.items()
        }


def device_loader(
    samples: Samples,
    needs: Sequence[str],
    batches: Batches,
    *,
    first_step: int,
    augment: str,
    seed: int,
) -> DeviceLoader | None:
    """Return a loader on the GPU that trains; None where there is none or it does not suit."""
    if not torch.cuda.is_available() or not servable(samples, needs, augment):
        return None
    device = torch.device("cuda", torch.cuda.current_device())
    memory = torch.cuda.get_device_properties(device).total_memory
    if bytes_held(samples, needs) > SHARE * memory:
        return None
    return DeviceLoader(
        samples, needs, batches, device, first_step=first_step, augment=augment, seed=seed
    )


def servable(samples: Samples, needs: Sequence[str], augment: str) -> bool:
    """Tell whether patches of these samples can be cut on a device.

    They are square crops of one size, as pools have them, of which the objective needs `FIELDS`.
    """
    if augment not in AUGMENTATIONS or set(needs) - set(FIELDS):
        return False
    first, last = (
        {name: array.shape for name, array in samples.sample(number).items()}
        for number in (0, len(samples) - 1)
    )
    if first != last or set(FIELDS) - set(first):
        return False
    side = first["lr"][0]
    return first["lr"][:2] == (side, side) and first["hr"][:2] == (SCALE * side, SCALE * side)


def bytes_held(samples: Samples, needs: Sequence[str]) -> int:
    """Return what the needed fields of all samples take."""
    there = samples.sample(0)
    return len(samples) * sum(there[name].nbytes for name in needs)


def _held(samples: Samples, name: str, device: torch.device) -> Tensor:
    """Copy a field of all samples, [N,S,S,C], in chunks: a pool may be larger than the memory."""
    like = torch.from_numpy(np.array(samples.sample(0)[name]))
    held = torch.empty((len(samples), *like.shape), dtype=like.dtype, device=device)
    for begin in range(0, len(samples), _CHUNK):
        numbers = range(begin, min(begin + _CHUNK, len(samples)))
        chunk = np.stack([samples.sample(number)[name] for number in numbers])
        held[begin : begin + len(chunk)] = torch.from_numpy(chunk).to(device)
    return held


@lru_cache(maxsize=2)
def drawn_for(seed: int, turn: int, count: int, turns: bool) -> Pass:
    """Draw one pass over `count` crops, each of which comes once.

    Without `turns`, patches are only flipped.
    """
    rng = np.random.default_rng([seed, turn, count])
    quarters, flips = rng.integers(4 if turns else 1, size=count), rng.integers(2, size=count)
    return Pass(rng.permutation(count), rng.random((count, 2)), np.stack([quarters, flips], axis=1))


def cut_patches(field_nhwc: Tensor, rows: Tensor, patch_px: int, scale: int) -> Tensor:
    """Cut a patch for each of `rows` [B,5] out of [N,S,S,C]; returns [B,C,p,p], p = patch x scale.

    A patch is cut, turned by quarters against the clock as `np.rot90` does, then flipped left to
    right; a `patch_px` of 0 takes whole crops. Memory holds the channels last.
    """
    count, side, _, channels = field_nhwc.shape
    crop, top, left, turned, flipped = (column[:, None, None] for column in rows.unbind(1))
    size = patch_px * scale or side
    along = torch.arange(size, device=rows.device)
    down, across = along[None, :, None], along[None, None, :]
    across = torch.where(flipped == 1, size - 1 - across, across)
    is_odd = turned % 2 == 1
    row, column = torch.where(is_odd, across, down), torch.where(is_odd, down, across)
    row = torch.where(turned >= 2, size - 1 - row, row) + top * scale
    column = torch.where((turned == 1) | (turned == 2), size - 1 - column, column) + left * scale
    places = (crop * side + row) * side + column
    pixels = field_nhwc.view(count * side * side, channels).index_select(0, places.flatten())
    return pixels.view(len(rows), size, size, channels).permute(0, 3, 1, 2)
