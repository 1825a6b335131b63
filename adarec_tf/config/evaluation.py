"""What a student must show to be blessed."""

from pydantic import NonNegativeFloat, PositiveFloat

from adarec_tf.config.base import Config


class EvaluationConfig(Config):
    """What a student must show to be blessed."""

    min_teacher_ndcg_share: NonNegativeFloat = 0.9
    """Lowest NDCG@10 on the test targets, as a share of the teacher's."""
    max_latency_ms: PositiveFloat = 50.0
    """Highest median latency of one request, in process, in milliseconds."""
