"""The library's progress monitor: it passes phases on and cancels a build."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

Progress = Callable[[str, int, int], None]
"""Called with the name of a building phase, its steps done, and its steps in all."""


def monitor_of(
    trt: ModuleType,
    on_progress: Progress | None,
    interrupted: Callable[[], bool],
    raised: list[BaseException],
) -> Any:  # noqa: ANN401 (class made at run time)
    """Return a monitor for one build; the library may call it from several threads of its own.

    The build is cancelled after the step in which `interrupted` becomes true or `on_progress`
    raises; what that raised is kept in `raised`, as C++ would swallow it.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined,misc]
        """Passes phases on; called from the library's threads."""

        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._steps[name] = steps
            self._tell(name, 0)

        def step_complete(self, name: str, step: int) -> bool:
            self._tell(name, step + 1)
            return not raised and not interrupted()

        def phase_finish(self, name: str) -> None:
            self._tell(name, self._steps.get(name, 0))

        def _tell(self, name: str, done: int) -> None:
            if on_progress is None or raised or interrupted():
                return
            try:
                on_progress(name, done, self._steps.get(name, 0))
            except BaseException as error:  # noqa: BLE001 (kept, and raised after the build)
                raised.append(error)

    return Monitor()
