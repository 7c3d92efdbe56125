"""Metrics in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counts requests, batches and latencies of one server.

    Args:
        waiting: returns the number of images that wait.

    Example:
        >>> metrics = Metrics(lambda: 0)
        >>> metrics.requests.labels("/v1/captions", "200").inc()
        >>> b"caption_tx_requests_total" in metrics.text()
        True
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "caption_tx_requests", "Requests by path and status.", ("path", "status"), registry=registry
        )
        self.seconds = Histogram(
            "caption_tx_request_seconds", "Seconds until a response.", ("path",), registry=registry, buckets=_SECONDS
        )
        self.batches = Histogram(
            "caption_tx_batch_size", "Images that were answered together.", registry=registry, buckets=_SIZES
        )
        self.images = Counter("caption_tx_images", "Images by outcome.", ("outcome",), registry=registry)
        gauge = Gauge("caption_tx_waiting_images", "Images that no worker has taken.", registry=registry)
        gauge.set_function(waiting)

    def text(self) -> bytes:
        """The current values."""
        return generate_latest(self.registry)
