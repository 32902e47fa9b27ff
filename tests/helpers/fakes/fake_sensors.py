"""A fake machine for telemetry: files and programs as plain values, which a test may change."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatch

from crispstream.runtime.measure.bench.machine import Machine

Answer = str | None


class FakeSensors(Machine):
    """What is not named is not there.

    Attributes:
        files: path -> text.
        asked: the commands that were run.
        own_seconds: CPU time of this process.
    """

    def __init__(
        self,
        files: Mapping[str, str] | None = None,
        answer: Callable[[tuple[str, ...]], Answer] = lambda _: None,
        cores: tuple[int, ...] = (0, 1),
    ) -> None:
        self.files = dict(files or {})
        self.asked: list[tuple[str, ...]] = []
        self.own_seconds = 0.0
        self._answer = answer
        self._cores = cores

    def read(self, path: str) -> str:
        return self.files.get(path, "")

    def glob(self, pattern: str) -> list[str]:
        folders = {path.rsplit("/", 1)[0] for path in self.files}
        return sorted(path for path in {*self.files, *folders} if fnmatch(path, pattern))

    def run(self, *command: str) -> Answer:
        self.asked.append(command)
        return self._answer(command)

    def cores(self) -> tuple[int, ...]:
        return self._cores

    def own_cpu_seconds(self) -> float:
        return self.own_seconds

    def ticks_a_second(self) -> int:
        return 100

    def visible_gpu(self) -> str:
        return "0"
