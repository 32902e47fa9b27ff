"""Samples in the text formats of Prometheus, through its own client library."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from crispstream.core.optional import require
from crispstream.runtime.stream.watched import Watched

from .buckets import EDGES_SECONDS, Cumulative
from .families import CAMERA, FAMILIES, Family
from .samples import Sample, samples_of

if TYPE_CHECKING:
    from prometheus_client import Metric

_EDGES = (*map(str, EDGES_SECONDS), "+Inf")


class Exposition:
    """A registry of its own: what other code in the process measures is not told here.

    Reads the books when it is asked, and holds nothing between.
    """

    def __init__(self, watched: Callable[[], Sequence[Watched]], version: str) -> None:
        """Tell of the streams that `watched` gives at the moment of asking.

        Raises:
            MissingExtraError: if prometheus_client is not installed.
        """
        require("prometheus_client", "metrics")
        from prometheus_client.registry import CollectorRegistry

        self._watched = watched
        self._version = version
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def collect(self) -> "Iterator[Metric]":
        """Give every metric with the samples of all cameras; called by the registry."""
        told: dict[Family, list[tuple[str, Sample]]] = {family: [] for family in FAMILIES}
        for watched in self._watched():
            for sample in samples_of(watched, self._version):
                told[sample.family].append((watched.name, sample))
        for family, samples in told.items():
            yield _metric(family, samples)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics, and the content type, in the format that an Accept header prefers."""
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _metric(family: Family, samples: Iterable[tuple[str, Sample]]) -> "Metric":
    """Return one metric of the client library, with the samples of all cameras."""
    from prometheus_client.core import Metric

    metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
    for camera, sample in samples:
        labels = dict(zip((CAMERA, *family.labels), (camera, *sample.labels), strict=True))
        if isinstance(sample.value, Cumulative):
            _add_histogram(metric, labels, sample.value)
        else:
            metric.add_sample(family.name, labels, sample.value)
    return metric


def _add_histogram(metric: "Metric", labels: dict[str, str], found: Cumulative) -> None:
    for edge, count in zip(_EDGES, found.counts, strict=True):
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": edge}, count)
    metric.add_sample(f"{metric.name}_count", labels, found.counts[-1])
    metric.add_sample(f"{metric.name}_sum", labels, found.sum_seconds)
