"""A histogram of one tensor over many frames, in one pass and constant memory."""

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.errors import UsageError

BINS = 8192
"""Over -reach to +reach. Reach is less than about twice the largest value, so that at least
sixteen bins lie in each step of symmetric INT8 over the full range."""

_INSIDE = 0.9999  # OpenCV takes the bounds as fp32, and the last one is outside

Floats = npt.NDArray[np.float64]


class Histogram:
    """Counts the values of a tensor; the range grows by merging pairs of bins.

    Attributes:
        low: the smallest value seen.
        high: the largest.
        values: how many values were counted.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.low, self.high = 0.0, 0.0
        self.values = 0
        self._reach = 0.0
        self._counts: Floats = np.zeros(BINS)

    @property
    def centres(self) -> Floats:
        """The middle of each bin."""
        numbers: Floats = np.arange(BINS, dtype=np.float64)
        return (numbers + 0.5) * (2 * self._reach / BINS) - self._reach

    @property
    def counts(self) -> Floats:
        """How many values fell into each bin."""
        return self._counts

    def add(self, name: str, tensor: npt.NDArray[np.float32]) -> None:
        """Count the values of `tensor`, called `name` in messages.

        Raises:
            UsageError: if one is NaN or infinite.
        """
        flat = tensor.reshape(-1, 1)
        low, high = float(flat.min()), float(flat.max())
        if not np.isfinite(low + high):  # NaN wins in both
            raise UsageError(
                f"the tensor '{name}' holds NaN or infinity on a calibration frame; train the "
                "network again: such weights cannot be calibrated"
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._stretch(max(-low, high))
        if self._reach:
            bounds = [-self._reach, self._reach]
            self._counts += cv2.calcHist([flat], [0], None, [BINS], bounds).ravel()
        self.values += flat.size

    def _stretch(self, largest: float) -> None:
        """Double the reach until it holds `largest`; bins merge about zero, which stays an edge."""
        if not self._reach and largest:
            self._reach = largest * 1.001  # the last bin's upper bound is not part of it
            self._counts[BINS // 2] = self.values  # zeros so far
        while largest >= self._reach * _INSIDE > 0:
            pairs = self._counts.reshape(-1, 2).sum(1)
            quarter = BINS // 4
            self._counts = np.pad(pairs, (quarter, quarter))
            self._reach *= 2

    def magnitudes(self) -> tuple[Floats, Floats]:
        """Return centres and counts of the values' magnitudes, from 0 up."""
        half = BINS // 2
        return self.centres[half:], self._counts[half:] + self._counts[:half][::-1]
