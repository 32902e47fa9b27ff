"""What the machine tells of itself while something is measured, asked for between rounds only.

Reading files takes well under a millisecond, asking nvidia-smi tens of them: neither belongs into
anything timed, and the more seldom it is done, the less it disturbs.
"""

from crispstream.runtime.measure.figures import Reading

from .machine import Machine
from .machine_cpu import CpuTeller
from .machine_gpu import Jetson, NvidiaSmi

EVERY_SECONDS = 1.0
_IN_FULL = 600
"""So many readings are a second apart; later ones as far as makes a day 3,000 of them."""


class Telemetry:
    """Asks a machine now and then; `run_bench` calls it between rounds."""

    def __init__(
        self,
        *,
        gpu: bool = True,
        machine: Machine | None = None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        """Look what there is to be asked; a GPU is left in peace unless `gpu` is set."""
        machine = machine or Machine()
        self._cpu = CpuTeller(machine)
        self._gpus = (NvidiaSmi(machine), Jetson(machine)) if gpu else ()
        self._every_seconds = every_seconds
        self._next_seconds = 0.0
        self._begun = False

    def __call__(self, seconds: float, over: bool = False) -> Reading | None:
        """Return what the machine tells `seconds` after the run began, the first time before it.

        What it counts is counted from that first time on: what came before was no part of the
        measurement. None if it tells nothing, or was asked a short while ago and it is not `over`.
        """
        if seconds < self._next_seconds and not over:
            return None
        if not self._begun:
            self._begun = True
            self._cpu.restart()
        self._next_seconds = seconds + max(self._every_seconds, seconds / _IN_FULL)
        facts = dict(self._cpu.facts())
        for gpu in self._gpus:
            facts.update(gpu.facts())
        return Reading(seconds, facts) if facts else None
