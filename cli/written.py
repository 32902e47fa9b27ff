"""Files that a command was asked to write: errors name them as they were asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crispstream.core.errors import SinkError


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Name the file that was asked for where it cannot be written.

    Raises:
        SinkError: instead of the system's error.
    """
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"'{path}' cannot be written ({error.strerror}); name another file"
        ) from error
