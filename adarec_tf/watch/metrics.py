"""A check as Prometheus metrics, for the text-file collector of the node exporter."""

from collections.abc import Mapping
from typing import Any

from adarec_tf.config.extras import MissingExtraError
from adarec_tf.watch.scene_check import EXIT_CODES

try:
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
except ModuleNotFoundError as error:
    raise MissingExtraError("serving", ["prometheus_client"]) from error


def write_metrics(path: str, record: Mapping[str, Any]) -> None:
    """Writes the figures of a check; the file is replaced as a whole.

    Args:
      path: ends in `.prom`, where a collector reads it.
      record: of `watch.jsonl`.
    """
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"adarec_watch_{name}", text, labels, registry=registry)

    answers = gauge("answer", "1 for the answer that was given", "answer")
    for answer in EXIT_CODES:
        answers.labels(answer).set(answer == record["answer"])
    gauge("new_events", "Events after those of the run").set(record["num_events"])
    ndcg = gauge("ndcg", "NDCG@10 on the next events", "model", "period")
    for model in ("student", "markov"):
        for period in ("now", "earlier"):
            ndcg.labels(model, period).set(record[model][period]["mean"])
    signals = {
        "value": gauge("signal", "A signal, of the new events", "signal"),
        "earlier": gauge("signal_earlier", "What the signal was", "signal"),
        "is_raised": gauge("signal_raised", "1 where the signal is beyond its limit", "signal"),
    }
    for signal in record["signals"]:
        for field, of_field in signals.items():
            if signal[field] is not None:
                of_field.labels(signal["name"]).set(signal[field])
    write_to_textfile(path, registry)
