"""Reading a source to its end, whatever that is."""

from crispstream.core.errors import CrispstreamError
from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.source import Source
from crispstream.runtime.stream.sources.synth import read_counter


def until_error(source: Source) -> tuple[list[Frame], CrispstreamError | None]:
    """Return the frames and the error they ended with, None for a good end; close the source."""
    frames: list[Frame] = []
    try:
        for frame in source:
            frames.append(frame)  # noqa: PERF402 (what came before the error is the point)
    except CrispstreamError as error:
        return frames, error
    finally:
        source.close()
    return frames, None


def numbers(frames: list[Frame], width: int = 64, height: int = 48) -> list[int | None]:
    """Return the numbers painted in frames."""
    return [read_counter(frame.pixels_hwc, width, height) for frame in frames]


def is_one_sentence(error: BaseException | None) -> bool:
    """Return whether an error speaks in one sentence."""
    return error is not None and "\n" not in str(error) and ". " not in str(error)
