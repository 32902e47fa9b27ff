"""Every error the kit raises on purpose, as one small tree.

    CrispstreamError              exit code 1: the work failed
    |- UsageError                 exit code 2: asked for something that cannot be
    |- MissingExtraError          an optional package is not installed
    |- BundleError                a bundle breaks its contract (hash, path, schema)
    |- FrameError                 a frame breaks the model's contract (size, dtype)
    |- SourceError                an input cannot be read or decoded
    |- SinkError                  an output cannot be written
    |- EngineError                a backend or a builder refused (`native_log`)
    |- ExportError                a graph does not match its network
    `- TrainError                 data, recipe or checkpoint unfit for training

A message says what was seen, what was expected and what to do about it.
"""


class CrispstreamError(Exception):
    """Base of the kit's own errors; the command line prints its text and no traceback."""

    exit_code = 1


class UsageError(CrispstreamError):
    """The request itself cannot be served: an unknown name, a missing file, a bad value."""

    exit_code = 2


class MissingExtraError(CrispstreamError):
    """An optional dependency is not installed; the message names the pip line."""


class BundleError(CrispstreamError):
    """A bundle is damaged, incomplete, or from a newer kit."""


class FrameError(CrispstreamError):
    """A frame has a size, type or channel count the model cannot take."""


class SourceError(CrispstreamError):
    """An input cannot be opened, decoded or read to its end."""


class SinkError(CrispstreamError):
    """An output cannot be opened or written."""


class EngineError(CrispstreamError):
    """A backend or an engine builder refused its work.

    `native_log` keeps the library's own first error line, which is what a search engine knows.
    """

    def __init__(self, message: str, native_log: str = "") -> None:
        """Store the sentence for the user and the library's own words."""
        super().__init__(message)
        self.native_log = native_log


class ExportError(CrispstreamError):
    """An exported graph differs from the network it came from."""


class TrainError(CrispstreamError):
    """Training data, a recipe or a checkpoint cannot be used."""


def first_line(error: Exception) -> str:
    r"""Return the first line of what an error says, or its kind if it says nothing.

    >>> first_line(ImportError("no libGL.so.1\nand more")), first_line(RuntimeError())
    ('no libGL.so.1', 'RuntimeError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
