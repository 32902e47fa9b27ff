"""What GPU there is: the facts that an engine is bound to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU and its driver."""

    name: str
    """As the driver calls it: "NVIDIA GeForce RTX 4070"."""
    compute_capability: tuple[int, int]
    """(8, 9) for instance."""
    driver: str
    """Version of the driver, "580.65.06"; "CUDA 12.6" where only what it supports is known."""
    memory_bytes: int
    integrated: bool
    """Whether it shares its memory with the CPU, as on a Jetson."""

    def as_json(self) -> dict[str, str]:
        """Return what an engine's record and key hold."""
        major, minor = self.compute_capability
        return {
            "name": self.name,
            "compute_capability": f"{major}.{minor}",
            "driver": self.driver,
        }
