"""What a running server counts, for Prometheus (on a port of its own, or read in process)."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
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
    """

    def __init__(self, models: ServedModels) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "adarec_requests", "Requests answered.", ["method", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "adarec_request_seconds",
            "From a thread taking up a request to its answer.",
            ["method"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rows = Histogram(
            "adarec_batch_rows",
            "Rows (histories) of one batched run of a model.",
            buckets=_ROWS,
            registry=self.registry,
        )
        self._in_progress = Gauge(
            "adarec_requests_in_progress",
            "Requests a thread works on.",
            registry=self.registry,
        )
        self.registry.register(_Versions(models))

    def count_begun(self) -> None:
        """A thread has taken up a request."""
        self._in_progress.inc()

    def count_answered(self, method: str, code: str, seconds: float) -> None:
        """A request has been answered.

        Args:
          method: its short name, such as Predict.
          code: name of the status it was answered with.
          seconds: how long it took.
        """
        self._in_progress.dec()
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def count_batch(self, num_rows: int) -> None:
        """A batched run of a model begins."""
        self._rows.observe(num_rows)


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


class MetricsPort:
    """Serves metrics over HTTP (any path) until it is closed.

    Args:
      metrics: what is served.
      host: address to listen on.
      port: port to listen on.

    Raises:
      OSError: the address cannot be bound.
    """

    def __init__(self, metrics: ServerMetrics, host: str, port: int) -> None:
        self._server, self._thread = start_http_server(port, host, metrics.registry)

    def close(self) -> None:
        """Frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
