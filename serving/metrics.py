"""What a running server counts, for Prometheus (on a port of its own, or read in process)."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.served_models import ServedModels

# From a fifth of a millisecond, what a small model takes, to client timeouts.
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics:
    """Counters of one server, in a registry of their own.

    Args:
      models: whose versions are told.

    Attributes:
      requests: requests answered, by method and status code.
      seconds: from a thread taking up a request to its answer, by method.
      batch_rows: rows (histories) of each batched run of a model.
      in_progress: requests that a thread works on.
    """

    def __init__(self, models: ServedModels) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "adarec_requests", "Requests answered.", ["method", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "adarec_request_seconds",
            "From a thread taking up a request to its answer.",
            ["method"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_rows = Histogram(
            "adarec_batch_rows",
            "Rows (histories) of one batched run of a model.",
            buckets=_ROWS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "adarec_requests_in_progress", "Requests a thread works on.", registry=self.registry
        )
        self.registry.register(_Versions(models))


class _Versions(Collector):
    """The versions that answer requests, looked up when asked."""

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "adarec_model_available", "1 for each version served.", labels=["model", "version"]
        )
        for name, versions in self._models.available_versions.items():
            for version in versions:
                family.add_metric([name, str(version)], 1)
        yield family
