"""What a student must show to be blessed."""

from dataclasses import dataclass

from adarec_tf.config.base import (
    JsonConfig,
    check_non_negative_number,
    check_positive_integer,
    check_positive_number,
)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(JsonConfig):
    """What a student must show to be blessed."""

    min_teacher_ndcg_share: float = 0.9  # of the teacher's NDCG@10 on the test targets
    max_latency_ms: float = 50.0  # p50 of one request, in process
    latency_requests: int = 200

    def __post_init__(self) -> None:
        check_non_negative_number(self, "min_teacher_ndcg_share")
        check_positive_number(self, "max_latency_ms")
        check_positive_integer(self, "latency_requests")
