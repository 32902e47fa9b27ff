"""From values to places across or up a chart, and the round numbers to write beside them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

_MOST_TICKS = 7


class Scale(Protocol):
    """Where values are."""

    def place(self, value: float) -> float:
        """Return 0 at the lower end to 1 at the upper; what lies beyond is at the end."""

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round values within, a few."""


@dataclass(frozen=True)
class Linear:
    """Equal steps are equal lengths."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Return 0 to 1.

        >>> Linear(10, 20).place(15), Linear(10, 20).place(30), Linear(0, 0).place(3)
        (0.5, 1.0, 0.0)
        """
        span = self.high - self.low
        return min(max((value - self.low) / span, 0.0), 1.0) if span > 0 else 0.0

    @property
    def ticks(self) -> tuple[float, ...]:
        """Multiples of 1, 2 or 5 times a power of ten.

        >>> Linear(0, 20).ticks, Linear(0.48, 1.2).ticks
        ((0.0, 5.0, 10.0, 15.0, 20.0), (0.6, 0.8, 1.0, 1.2))
        """
        if self.high <= self.low:
            return (self.low,)
        step = _step((self.high - self.low) / (_MOST_TICKS - 2))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(float(f"{index * step:.12g}") for index in range(first, last + 1))


@dataclass(frozen=True)
class Log:
    """Equal ratios are equal lengths; both ends are above 0."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Return 0 to 1.

        >>> Log(1, 100).place(10), Log(1, 100).place(0), Log(1, 100).place(1e6)
        (0.5, 0.0, 1.0)
        """
        place = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return min(place, 1.0)

    @property
    def ticks(self) -> tuple[float, ...]:
        """1, 2 and 5 times powers of ten, or fewer where that is too many.

        >>> Log(10, 50).ticks, Log(0.001, 100).ticks
        ((10.0, 20.0, 50.0), (0.001, 0.01, 0.1, 1.0, 10.0, 100.0))
        """
        for digits, every in (((1, 2, 5), 1), ((1,), 1), ((1,), 2), ((1,), 4)):
            ticks = tuple(_decimal(self.low, self.high, digits, every))
            if len(ticks) <= _MOST_TICKS:
                break
        return ticks


def _decimal(low: float, high: float, digits: tuple[int, ...], every: int) -> Iterable[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for exponent in exponents:
        for digit in digits:
            value = float(f"{digit}e{exponent}")
            if low * 0.999 <= value <= high * 1.001 and exponent % every == 0:
                yield value


def _step(span: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is no less than a span."""
    power = 10.0 ** math.floor(math.log10(span))
    return power * next(digit for digit in (1, 2, 5, 10) if digit * power >= span * 0.999)


def log_around(values: Iterable[float], least: float = 1e-3) -> Log:
    """Return a logarithmic scale around the values, its ends 1, 2 or 5 times a power of ten.

    >>> log_around([11.0, 32.0]), log_around([]), log_around([0.0, 1.0])
    (Log(low=10.0, high=50.0), Log(low=0.001, high=0.002), Log(low=0.001, high=1.0))
    """
    kept = [max(value, least) for value in values] or [least]
    low, high = _below(min(kept)), _step(max(kept))
    return Log(low, high if high > low * 1.5 else _step(low * 1.1))


def _below(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    digit = next(digit for digit in (5, 2, 1) if digit * power <= value * 1.001)
    return float(f"{digit * power:.12g}")


def linear_around(values: Iterable[float], *, zero_below: float = 0.5) -> Linear:
    """Return a linear scale around the values with round ends.

    It begins at 0 where the smallest value lies below a share, `zero_below`, of the largest.

    >>> linear_around([9.8, 10.9]), linear_around([1, 10]), linear_around([5]), linear_around([])
    (Linear(low=9.5, high=11.0), Linear(low=0.0, high=10.0), Linear(low=4.0, high=6.0), \
Linear(low=0.0, high=1.0))
    """
    kept = list(values) or [0.0]
    low, high = min(kept), max(kept)
    if low == high:
        return Linear(low * 0.8, high * 1.2) if low > 0 else Linear(0.0, 1.0)
    low = 0.0 if 0 <= low < zero_below * high else low
    step = _step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Linear(float(f"{first * step:.12g}"), float(f"{last * step:.12g}"))
