"""Figures and counts as the pages write them."""

from collections.abc import Sequence

from crispstream.runtime.measure.figures import Observer

_LEAST_PERCENT = 0.001
"""Shares below, other than none, are told as being below."""


def milliseconds(value_ms: float) -> str:
    """Return a duration with three digits that matter.

    >>> milliseconds(0.0123), milliseconds(1.5), milliseconds(48.25), milliseconds(1234.5)
    ('0.012', '1.50', '48.2', '1234')
    """
    if value_ms >= 100:
        return f"{value_ms:.0f}"
    return f"{value_ms:.1f}" if value_ms >= 10 else f"{value_ms:.{2 if value_ms >= 0.1 else 3}f}"


def figure(value: float) -> str:
    """Return a number with three digits that matter, never as a power of ten.

    >>> figure(0.012345), figure(3.14159), figure(48.25), figure(999.7), figure(12345.6), figure(0)
    ('0.0123', '3.14', '48.2', '1000', '12346', '0')
    """
    if abs(value) >= 999.5:  # which `g` would round to 1e+03
        return f"{value:.0f}"
    return "0" if abs(value) < 5e-6 else f"{value:.3g}" if abs(value) >= 1e-4 else f"{value:.5f}"


def percent(share: float) -> str:
    r"""Return a share in per cent; the sign stays on the figure's line.

    >>> percent(0.5), percent(0.052), percent(0.0021), percent(1), percent(0)
    ('50\xa0%', '5.2\xa0%', '0.21\xa0%', '100\xa0%', '0\xa0%')
    >>> percent(0.0000071), percent(0.99996), percent(12.345), percent(-0.25)
    ('under 0.001\xa0%', '100\xa0%', '1234\xa0%', '-25\xa0%')
    """
    value = 100 * share
    size = abs(value)
    if 0 < size < _LEAST_PERCENT:
        return f"under {_LEAST_PERCENT:g}\u00a0%"
    if size >= 9.95 or value == 0:
        return f"{value:.0f}\u00a0%"
    return f"{value:.1f}\u00a0%" if size >= 0.995 else f"{value:.2g}\u00a0%"


def more_or_less(share: float) -> str:
    r"""Return how much more or less something is than another: a share with its sign.

    >>> more_or_less(0.123), more_or_less(-0.012), more_or_less(0), more_or_less(1e-7)
    ('+12\xa0%', '-1.2\xa0%', '0\xa0%', 'under 0.001\xa0%')
    """
    return f"{'+' if 100 * share >= _LEAST_PERCENT else ''}{percent(share)}"


def times(ratio: float) -> str:
    """Return a ratio.

    >>> times(0.50923), times(1), times(12.345)
    ('0.509', '1.000', '12.3')
    """
    return f"{ratio:.3f}" if ratio < 9.9995 else figure(ratio)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "frame"), counted(12, "frame")
    ('1 frame', '12 frames')
    """
    return f"{count} {plural(count, noun)}"


def plural(count: int, noun: str) -> str:
    """Return a noun as it follows a count.

    >>> plural(1, "frame"), plural(0, "frame")
    ('frame', 'frames')
    """
    return f"{noun}{'' if count == 1 else 's'}"


def joined(words: Sequence[str]) -> str:
    """Return an enumeration.

    >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def cost_words(observer: Observer) -> str:
    r"""Return what measuring cost, and how that was found out.

    >>> cost_words(Observer(0.0021, "timed alone", {"event_us": 5.16}))
    '0.21\xa0% of the time: timed alone (event us 5.16)'
    """
    details = [
        f"{name.replace('_', ' ')} {figure(value)}" for name, value in observer.details.items()
    ]
    cost = f"{percent(observer.share)} of the time: {observer.how}"
    return f"{cost} ({', '.join(details)})" if details else cost
