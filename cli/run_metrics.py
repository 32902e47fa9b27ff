"""`crispstream run --metrics`: what a run measures, served to Prometheus while it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .warn import say

if TYPE_CHECKING:
    from crispstream.runtime.stream.watched import Watched


@contextmanager
def served(where: str, watched: "Callable[[], Sequence[Watched]]") -> Iterator[None]:
    """Serve the metrics of the streams that `watched` gives, and say where, in a `with` statement.

    Raises:
        UsageError: if `where` is no address, or cannot be listened on.
        MissingExtraError: if prometheus_client is not installed.
    """
    from crispstream.runtime.measure.host import host_facts
    from crispstream.runtime.measure.metrics.address import read_address
    from crispstream.runtime.measure.metrics.exposition import Exposition
    from crispstream.runtime.measure.metrics.server import MetricsServer

    address = read_address(where)
    exposition = Exposition(watched, version=host_facts().packages["crispstream"])
    server = MetricsServer(address, exposition.text)
    try:
        say(f"the metrics are at {server.url}")
        if not server.address.private:
            say(
                f"warning: the metrics at {server.url} have no password: everybody who can reach "
                "this machine sees the names of the cameras and how they do"
            )
        yield
    finally:
        server.stop()


@contextmanager
def served_stream(where: str | None) -> "Iterator[Watched | None]":
    """Serve the metrics of one stream, whose parts are to be put into what this gives.

    None where no metrics are asked for. Raises as `served` does.
    """
    if where is None:
        yield None
        return
    from crispstream.runtime.measure.metrics.families import SINGLE
    from crispstream.runtime.stream.watched import Watched

    watched = Watched(SINGLE)
    with served(where, lambda: (watched,)):
        yield watched


@contextmanager
def served_cameras(where: str | None, names: Sequence[str]) -> "Iterator[list[Watched]]":
    """Serve the metrics of several cameras, whose `Watched` are to replace those this gives.

    Until then they are told to be connecting. Raises as `served` does.
    """
    if where is None:
        yield []
        return
    from crispstream.runtime.stream.watched import Watched

    watched = [Watched(name) for name in names]
    with served(where, lambda: tuple(watched)):
        yield watched
