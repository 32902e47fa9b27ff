"""What readings of a machine mean for the numbers that were taken meanwhile, in words."""

from collections.abc import Iterator, Sequence

from crispstream.runtime.measure.figures import Reading

_VARIED = 0.05
"""Share by which a clock may differ from its highest before that is worth a note."""
_STOLEN, _OTHERS = 0.01, 0.05
"""Shares of the cores' time, on average."""
_LOADED = 0.5
"""Load average at the beginning, for each core."""


def notes_on(readings: Sequence[Reading], cores: int) -> tuple[str, ...]:
    """Return what disturbed the measurement as far as the machine tells, a sentence each."""
    return (*_of_the_gpu(readings), *_of_the_cpu(readings, cores))


def _of_the_gpu(readings: Sequence[Reading]) -> Iterator[str]:
    told = _words(readings, "gpu_throttle")
    if slowed := [reasons for reasons in told if reasons]:
        why = ", ".join(sorted({reason for each in slowed for reason in each.split(", ")}))
        yield f"the GPU was throttled in {len(slowed)} of {len(told)} readings: {why}"
    yield from _varied("the GPU's clock", _numbers(readings, "gpu_clock_mhz"))
    lowest, highest = (_numbers(readings, f"gpu_{end}_clock_mhz") for end in ("lowest", "highest"))
    if lowest and highest and lowest[-1] < highest[-1]:
        yield (
            f"the GPU's clock follows the load, {lowest[-1]:.0f} to {highest[-1]:.0f} MHz; "
            "sudo jetson_clocks holds it"
        )


def _of_the_cpu(readings: Sequence[Reading], cores: int) -> Iterator[str]:
    yield from _varied("the CPU's clock", _numbers(readings, "cpu_clock_mhz"))
    if (times := _last(readings, "cpu_throttles")) > 0:
        yield f"the CPU was throttled for its heat {times:.0f} times"
    if (held_ms := _last(readings, "quota_held_ms")) > 0:
        yield f"the container's CPU quota held its threads back for {held_ms:.0f} ms in all"
    if (stolen := _mean(readings, "stolen_share")) > _STOLEN:
        yield f"other virtual machines took {stolen:.0%} of the cores' time (steal)"
    if (others := _mean(readings, "others_share")) > _OTHERS:
        yield f"other processes used {others:.0%} of the {cores} cores' time"
    load = _numbers(readings, "load_average")
    if load and load[0] > _LOADED * cores:
        yield f"the machine was not idle before: load average {load[0]:.1f} on {cores} cores"


def _varied(what: str, clocks_mhz: Sequence[float]) -> Iterator[str]:
    if clocks_mhz and min(clocks_mhz) < (1 - _VARIED) * max(clocks_mhz):
        yield f"{what} ranged from {min(clocks_mhz):.0f} to {max(clocks_mhz):.0f} MHz"


def _numbers(readings: Sequence[Reading], name: str) -> list[float]:
    told = (reading.facts.get(name) for reading in readings)
    return [value for value in told if isinstance(value, int | float)]


def _words(readings: Sequence[Reading], name: str) -> list[str]:
    return [str(reading.facts[name]) for reading in readings if name in reading.facts]


def _last(readings: Sequence[Reading], name: str) -> float:
    return (_numbers(readings, name) or [0.0])[-1]


def _mean(readings: Sequence[Reading], name: str) -> float:
    """Return the mean of a share; each reading tells it of the time since the one before."""
    total = seconds = before = 0.0
    for reading in readings:
        share, length = reading.facts.get(name), reading.seconds - before
        before = reading.seconds
        if isinstance(share, int | float):
            total += share * length
            seconds += length
    return total / seconds if seconds > 0 else 0.0
