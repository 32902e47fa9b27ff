"""Training patches: a cut through a sample's fields, turned over, as tensors.

Item k of a training is the same in every run: the order of each pass is drawn from the seed and
the pass, the cut from the seed and k. So a resumed training goes on as if it had not stopped.

Tensors are [B,C,H,W] and lie in memory as [B,H,W,C], the order of the samples and of the fastest
convolutions.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from crispstream.core.bicubic import resize_bicubic
from crispstream.core.errors import UsageError
from crispstream.core.metrics import luma
from crispstream.core.pixels import SCALE
from crispstream.train.schedules import Phase

from .bsr import zoom_sample
from .samples import Array, Samples

QUARTERS = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)
QUICK_TYPES = (np.uint8, np.float32)
QUICK_CHANNELS = 4
"""What OpenCV turns of every kind that there is here."""

ZOOMS = (1.0, 1.2, 1.5)
LUMA_SCALES = (2, 3, 4)
_DERIVED = {"lr_sharp": "hr", "y": "hr", "y_interpolated": "hr"}
"""What can be computed of a patch where a data set does not have it, and of which field."""


class PatchSet(Dataset[dict[str, Tensor]]):
    """Patches for a whole training; an item is {field: tensor [C,h,w]}.

    Bytes stay bytes until `as_floats`: a batch travels to its device at a quarter of the size.
    """

    def __init__(
        self,
        samples: Samples,
        needs: Sequence[str],
        *,
        items: int,
        patch_px: int,
        augment: str,
        seed: int,
        first: int = 0,
    ) -> None:
        """Draw `items` patches from `samples`, from item `first` on.

        Raises:
            UsageError: if the samples lack a field that is needed and cannot be computed.
        """
        self._samples, self._needs, self._items = samples, tuple(needs), items
        self._patch_px, self._augment, self._seed, self._first = patch_px, augment, seed, first
        there = samples.sample(0)
        self._read = {_DERIVED.get(n, n) if n not in there else n for n in self._needs}
        if missing := sorted(self._read - set(there)):
            raise UsageError(
                f"this data set has {', '.join(sorted(there))}, but the recipe learns from "
                f"{', '.join(missing)}; build the kind of data set that the recipe names"
            )

    def __len__(self) -> int:
        """Return the number of patches of the whole training."""
        return self._items

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """Draw the patch of this item."""
        patch = self.patch(self._first + item, self._patch_px)
        return {name: _tensor([array])[0] for name, array in patch.items()}

    def patch(self, number: int, patch_px: int) -> dict[str, Array]:
        """Draw the patch of an item of the whole training, each field [h,w,C]."""
        turn, place = divmod(number, len(self._samples))
        sample = self._samples.sample(int(_order(self._seed, turn, len(self._samples))[place]))
        rng = np.random.default_rng([self._seed, number])
        # No np.memmap, whose every slice is a Python call.
        fields = {name: np.asarray(sample[name]) for name in self._read}
        patch = _augmented(_cut(fields, patch_px, rng), self._augment, rng)
        return _completed(patch, self._needs, rng)


class Batches(Dataset[dict[str, Tensor]]):
    """The batches of a training, one for each step; {field: tensor [B,C,h,w]}.

    A step's items are numbered on from those of the steps before, however large batches are.
    """

    def __init__(self, patches: PatchSet, phases: Sequence[Phase], first_step: int = 0) -> None:
        """Begin with 0-based `first_step`; after the last phase, that one goes on."""
        self._patches, self._phases, self._first_step = patches, tuple(phases), first_step

    def __len__(self) -> int:
        """Return the number of steps of the whole training."""
        return sum(phase.steps for phase in self._phases)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """Draw the batch of a step."""
        numbers, patch_px = self.items_of(self._first_step + item)
        drawn = [self._patches.patch(number, patch_px) for number in numbers]
        return {name: _tensor([patch[name] for patch in drawn]) for name in drawn[0]}

    def items_of(self, step: int) -> tuple[range, int]:
        """Return the numbers of the items of a step of the whole training, and their patch_px."""
        first = 0
        for phase in self._phases[:-1]:
            if step < phase.steps:
                break
            step -= phase.steps
            first += phase.steps * phase.batch
        else:
            phase = self._phases[-1]
        begin = first + step * phase.batch
        return range(begin, begin + phase.batch), phase.patch_px


@lru_cache(maxsize=2)
def _order(seed: int, turn: int, count: int) -> npt.NDArray[np.int64]:
    """Return the order of one pass over the samples."""
    return np.random.default_rng([seed, turn, count]).permutation(count)


def _cut(sample: Mapping[str, Array], side: int, rng: np.random.Generator) -> dict[str, Array]:
    """Cut the same square from every field; `side` counts pixels of the smallest."""
    if not side:
        return dict(sample)
    # Where a set keeps only large images, the patch is still measured in pixels of LR.
    heights = [a.shape[0] for a in sample.values()]
    base = min(heights) // (SCALE if set(sample) == {"hr"} else 1)
    width = min(a.shape[1] * base // a.shape[0] for a in sample.values())
    top, left = int(rng.integers(base - side + 1)), int(rng.integers(width - side + 1))
    cut = {}
    for name, array in sample.items():
        scale = array.shape[0] // base
        rows, cols = slice(top * scale, (top + side) * scale), slice(left * scale, None)
        cut[name] = array[rows, cols][:, : side * scale]
    return cut


def _augmented(patch: dict[str, Array], augment: str, rng: np.random.Generator) -> dict[str, Array]:
    """Turn all fields over in the same way; see `Recipe.augment`."""
    flip, second = bool(rng.integers(2)), int(rng.integers(12))
    if augment == "flip-zoom":
        patch = zoom_sample(patch, ZOOMS[second % len(ZOOMS)])
    if augment == "dihedral":
        return {name: _turned(array, second % 4, flip) for name, array in patch.items()}
    if augment == "flip-transpose" and second % 2:
        patch = {name: array.swapaxes(0, 1) for name, array in patch.items()}
    return {name: _turned(array, 0, flip) for name, array in patch.items()}


def _turned(array: Array, quarters: int, flip: bool) -> Array:
    """Turn [h,w,C] by quarters to the left, then left to right if `flip`.

    OpenCV's copies take a tenth of the time of copying NumPy's views, which goes pixel by pixel.
    """
    if array.dtype not in QUICK_TYPES or array.shape[2] > QUICK_CHANNELS:
        turned = np.rot90(array, quarters)
        return turned[:, ::-1] if flip else turned
    channels = array.shape[2:]
    if quarters:
        array = cv2.rotate(array, QUARTERS[quarters - 1])
    if flip:
        array = cv2.flip(array, 1)
    return array.reshape(*array.shape[:2], *channels)  # OpenCV drops a single channel


def _completed(
    patch: dict[str, Array], needs: Sequence[str], rng: np.random.Generator
) -> dict[str, Array]:
    """Add what is computed of the large patch, and leave out what was only for that."""
    made = dict(patch)
    if "lr_sharp" in needs and "lr_sharp" not in made:
        made["lr_sharp"] = _floats(resize_bicubic(patch["hr"], 1 / SCALE) / 255)
    if "y" in needs and "y" not in made:
        made["y"] = _floats(luma(patch["hr"])[..., None] / 255)
        made["y_interpolated"] = _softened(made["y"], int(rng.choice(LUMA_SCALES)))
    return {name: made[name] for name in needs}


def _softened(y: Array, scale: int) -> Array:
    """Return the luma reduced and enlarged by `scale`, bicubic both ways."""
    rows, cols = (n // scale * scale for n in y.shape[:2])
    small = resize_bicubic(y[:rows, :cols], 1 / scale)
    large = resize_bicubic(small, float(scale))
    edge = ((0, y.shape[0] - rows), (0, y.shape[1] - cols), (0, 0))
    return _floats(np.pad(large, edge, mode="edge"))


def _floats(values: Array) -> Array:
    return np.asarray(values, np.float32)


def _tensor(arrays_hwc: Sequence[Array]) -> Tensor:
    # Stacking copies: a map that is only read must not become a tensor.
    return torch.from_numpy(np.stack(arrays_hwc)).permute(0, 3, 1, 2)


def as_floats(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the batch with byte images in 0..1; labels stay what they are."""
    return {
        name: tensor / 255 if tensor.dtype == torch.uint8 and name != "labels" else tensor
        for name, tensor in batch.items()
    }
