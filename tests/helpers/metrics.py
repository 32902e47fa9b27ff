"""Metrics for tests: a stream whose books are filled by hand, and what a scrape of it says."""

import http.client
import socket

from crispstream.core.clock import FakeClock
from crispstream.runtime.latency import Latencies
from crispstream.runtime.measure.metrics.exposition import Exposition
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import STAGES
from crispstream.runtime.stream.watched import Watched

MS = 1_000_000
HANG_SECONDS = 20.0
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def fake_stream(
    clock: FakeClock, name: str = "door", budget_ms: float | None = None
) -> tuple[Watched, Ledger, Latencies]:
    """A stream as the loop would have it, of which nothing has come yet."""
    ledger = Ledger(Health("fake", clock), budget_ms=budget_ms, clock=clock)
    stages = Latencies(STAGES)
    ledger.histograms = (stages,)
    return Watched(name, ledger=ledger), ledger, stages


def scraped(*watched: Watched) -> Values:
    """Ask for the metrics of streams, and read them back."""
    text, _ = Exposition(lambda: watched, "1.2.3").text()
    return values_of(text.decode())


def values_of(text: str) -> Values:
    """Return (name, sorted labels) -> value of each sample in the text format."""
    from prometheus_client.parser import text_string_to_metric_families

    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    values = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}
    assert len(values) == len(samples), "a series is told twice"
    return values


def value(values: Values, name: str, camera: str = "door", **labels: str) -> float:
    """One value; KeyError where it is not told."""
    return values[f"crispstream_{name}", tuple(sorted({"camera": camera, **labels}.items()))]


def labelled(values: Values, name: str, label: str) -> dict[str, float]:
    """The values of a metric by one of its labels."""
    return {
        dict(labels)[label]: found
        for (told, labels), found in values.items()
        if told == f"crispstream_{name}"
    }


def get(port: int, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], str]:
    """Ask a server at this machine; return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.headers), answer.read().decode()
    connection.close()
    return found


def taken_port() -> tuple[socket.socket, int]:
    """A port at this machine that somebody listens on, until the socket is closed."""
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, listening.getsockname()[1]
