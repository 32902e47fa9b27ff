"""From what is asked of a stream to what the loop takes."""

import threading
from collections.abc import Callable, Mapping, Sequence

from crispstream.core.clock import Clock, monotonic_ns
from crispstream.core.errors import SourceError, UsageError
from crispstream.core.pixels import SCALE
from crispstream.core.uris import masked
from crispstream.runtime.frame import StreamInfo

from .ledger import Ledger
from .live.backoff import Backoff
from .sink import DEFAULT_OPTIONS, Sink, SinkOptions, open_sink
from .source import Source, SourceOptions, open_source, path_of


def policy_for(policy: str, info: StreamInfo, budget_ms: float | None = None) -> str:
    """Return what `auto` means for a stream.

    `all` for one that waits until it is read, as a file does; for a live one `deadline` if there
    is a budget, else `latest`. Any other policy is returned as it is.

    Raises:
        UsageError: for `auto` with a budget, where the stream waits: nothing in it gets old.
    """
    if policy != "auto":
        return policy
    if info.live:
        return "latest" if budget_ms is None else "deadline"
    if budget_ms is not None:
        raise UsageError(
            f"a budget of {budget_ms:g} ms is asked for a source that is not live, and of which no "
            "frame is lost; leave the budget out, or choose the policy deadline"
        )
    return "all"


def open_input(
    uri: str,
    clock: Clock = monotonic_ns,
    *,
    options: SourceOptions | None = None,
    roi: str | None = None,
    stop: threading.Event | None = None,
) -> Source:
    """Open a source, and of its pictures only the region `X,Y,WIDTH,HEIGHT` if one is given.

    `stop`, set from any thread, gives up within about 2 s what does not answer.

    Raises:
        UsageError: if there is no such source or region.
        SourceError: if the source does not answer, cannot be read, or `stop` was set before.
    """
    source = open_source(uri, clock, options=options, stop=stop)
    if roi is None:
        return source
    from .sources.roi import RoiSource, parse_roi

    try:
        return RoiSource(source, parse_roi(roi))
    except BaseException:
        source.close()
        raise


def wait_for_source(
    uri: str,
    open_once: Callable[[], Source],
    stop: threading.Event,
    on_failure: Callable[[SourceError], None],
    backoff: Backoff | None = None,
) -> Source:
    """Open a source; one that is no file is tried again, with growing waits, until it answers.

    Args:
        uri: of the source.
        open_once: opens it.
        stop: set it, from any thread, to give up.
        on_failure: told why a try failed, before the next.
        backoff: the waits.

    Raises:
        SourceError: if a file cannot be read, or of the last try when `stop` was set.
        UsageError: if there is no such source; another try would not help.
    """
    waits = backoff or Backoff()
    while True:
        try:
            return open_once()
        except SourceError as error:  # noqa: PERF203 - a try a second is no hot loop
            if path_of(uri) is not None:
                raise
            on_failure(error)
            if stop.wait(waits.next_seconds()):
                raise


def open_sinks(
    uris: Sequence[str],
    info: StreamInfo,
    *,
    source: str,
    overwrite: bool = False,
    options: SinkOptions = DEFAULT_OPTIONS,
    ledger: Ledger | None = None,
) -> dict[str, Sink]:
    """Open several sinks of one stream, by the names they have in reports.

    What `open_sink` raises is raised once those already open are closed.
    """
    opened: dict[str, Sink] = {}
    try:
        for uri in uris:
            opened[_unused(masked(uri), opened)] = open_sink(
                uri,
                info,
                SCALE,
                source=source,
                overwrite=overwrite,
                options=options,
                ledger=ledger,
            )
    except BaseException:
        for sink in opened.values():
            sink.close(complete=False)
        raise
    return opened


def _unused(name: str, taken: Mapping[str, Sink]) -> str:
    """Return the name, numbered if it is taken: outputs that keep nothing may be alike."""
    number, unused = 1, name
    while unused in taken:
        number += 1
        unused = f"{name} ({number})"
    return unused
