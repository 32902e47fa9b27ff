"""The whole examination: every check, every backend judged, and what the kit would run with."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from crispstream.runtime.engine.available import Candidate, Choice, candidates, choose_backend

from . import hardware, libraries, places, system
from .finding import Finding
from .machine import Machine

SCHEMA = 1
"""Of the JSON form; a change that breaks readers raises it."""

NOTHING = "nothing"
"""What models run with where not even ONNX Runtime can be loaded."""

Check = Callable[[Machine], Iterator[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("system", system.operating_system),
    ("Jetson", system.jetson),
    ("Python", system.python),
    ("processor", system.processor),
    ("memory", system.memory),
    ("driver", hardware.driver),
    ("CUDA toolkit", hardware.toolkit),
    ("GPU", hardware.gpu),
    ("power", hardware.power),
    ("TensorRT", libraries.tensorrt),
    ("bindings", libraries.bindings),
    ("filelock", libraries.filelock),
    ("ONNX Runtime", libraries.onnxruntime),
    ("OpenCV", libraries.opencv),
    ("PyAV", libraries.pyav),
    ("cache", places.cache),
    ("temporary", places.temporary),
)
"""In the order of the page: from the computer up to what the kit keeps on it.

What is mended first comes first: pycuda, which the GPU's check asks for, compiles with the toolkit.
"""


class Examination(NamedTuple):
    """What was found out about a machine."""

    findings: Sequence[Finding]
    backends: Sequence[Candidate]
    """Every backend, judged; better ones first."""
    runs_with: Choice
    """Its name is NOTHING where no backend can run."""
    version: str | None
    """Of the kit; None where it runs from a source folder."""

    @property
    def problems(self) -> list[Finding]:
        """The findings that want mending."""
        return [finding for finding in self.findings if finding.state == "problem"]

    def as_json(self) -> dict[str, Any]:
        """Return the page for machines; within a schema these keys stay what they are.

        - schema: version of this form, and crispstream: that of the kit, or null.
        - problems: their number; the exit code is 1 unless it is 0.
        - runs_with: name and reason of the backend that "auto" takes; the name is "nothing" where
          none can run.
        - backends: name, usable, why and fix of each, better ones first.
        - findings: topic, state (fine, note or problem), seen and fix of each; fix is "" where
          there is nothing to type.
        """
        return {
            "schema": SCHEMA,
            "crispstream": self.version,
            "problems": len(self.problems),
            "runs_with": self.runs_with._asdict(),
            "backends": [backend._asdict() for backend in self.backends],
            "findings": [finding._asdict() for finding in self.findings],
        }


def examine(machine: Machine, checks: Sequence[tuple[str, Check]] = CHECKS) -> Examination:
    """Run every check; one that fails is a finding itself."""
    findings = [found for topic, check in checks for found in _guarded(topic, check, machine)]
    backends = candidates(machine.probes)
    runs_with = _runs_with(machine, backends)
    return Examination(findings, backends, runs_with, machine.version_of("crispstream"))


def _runs_with(machine: Machine, backends: Sequence[Candidate]) -> Choice:
    """What "auto" takes is not tried out there; here it has been."""
    choice = choose_backend("auto", machine.probes)
    taken = next(backend for backend in backends if backend.name == choice.name)
    return choice if taken.usable else Choice(NOTHING, f"{NOTHING}: {taken.why}")


def _guarded(topic: str, check: Check, machine: Machine) -> list[Finding]:
    findings: list[Finding] = []
    try:
        for finding in check(machine):
            findings.append(finding)  # noqa: PERF402 (what came before a failure is kept)
    except Exception as error:  # noqa: BLE001 (a machine may be broken in ways nobody foresaw)
        said = f"this check failed: {type(error).__name__}: {error}"
        findings.append(Finding(topic, "problem", said, "report this line as a fault of doctor"))
    return findings
