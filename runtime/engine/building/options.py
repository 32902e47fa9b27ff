"""What an engine is to be built for: everything that the builder is told and the graph is not."""

from dataclasses import dataclass

from crispstream.core.errors import UsageError
from crispstream.core.sizes import Size, SizeRange

HARDWARE_LEVELS = ("none", "ampere+", "same-compute-capability")
"""On which other GPUs a TensorRT engine shall run, besides the kind it was built on."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The builder's orders.

    Attributes:
        profiles: frame sizes, after padding; one range for each profile. Of equal ones only the
            first is kept.
        compute_capabilities: GPUs to build for, (8, 6) for instance; () leaves them to the
            library. Sorted, each once: in another order they are no other orders. TensorRT-RTX
            only: TensorRT builds for the GPU it runs on.
        workspace_mib: scratch memory that kernels may ask for, in MiB; None sets no limit.
            TensorRT only: TensorRT-RTX fails a build that meets a limit.
        optimisation_level: 0 (fastest build) to 5 (fastest engine); None is the library's own.
        version_compatible: whether newer TensorRT of the same major version can run it.
        hardware_compatible: one of HARDWARE_LEVELS.

    Raises:
        UsageError: if there is no profile, or a number or level is none.
    """

    profiles: tuple[SizeRange, ...]
    compute_capabilities: tuple[tuple[int, int], ...] = ()
    workspace_mib: int | None = None
    optimisation_level: int | None = None
    version_compatible: bool = False
    hardware_compatible: str = "none"

    def __post_init__(self) -> None:
        """Refuse what no builder could do; make equal orders equal."""
        object.__setattr__(self, "profiles", tuple(dict.fromkeys(self.profiles)))
        aims = tuple(sorted(set(self.compute_capabilities)))
        object.__setattr__(self, "compute_capabilities", aims)
        if not self.profiles:
            raise UsageError("no frame size to build for; give for instance 320x180")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise UsageError(f"a workspace of {self.workspace_mib} MiB; give 1 or more, or none")
        if self.optimisation_level not in (None, 0, 1, 2, 3, 4, 5):
            raise UsageError(
                f"there is no optimisation level {self.optimisation_level}; give 0 to 5"
            )
        if self.hardware_compatible not in HARDWARE_LEVELS:
            raise UsageError(
                f"there is no hardware compatibility '{self.hardware_compatible}'; "
                f"choose one of {', '.join(HARDWARE_LEVELS)}"
            )

    @staticmethod
    def static(size: Size, *compute_capabilities: tuple[int, int]) -> "BuildOptions":
        """Return the orders for frames of exactly one size (width, height)."""
        return BuildOptions((SizeRange.only(size),), compute_capabilities)

    def as_json(self) -> dict[str, object]:
        """Return the orders as an engine's record and key hold them."""
        return {
            "profiles": [str(profile) for profile in self.profiles],
            "compute_capabilities": [f"{a}.{b}" for a, b in self.compute_capabilities],
            "workspace_mib": self.workspace_mib,
            "optimisation_level": self.optimisation_level,
            "version_compatible": self.version_compatible,
            "hardware_compatible": self.hardware_compatible,
        }
