"""What a student must show to be blessed."""

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from adarec_tf.config.base import Config, Share


class EvaluationConfig(Config):
    """What a student must show to be blessed."""

    min_teacher_ndcg_share: NonNegativeFloat = 0.9
    """Lowest NDCG@10 on the test targets, as a share of the teacher's."""
    max_latency_ms: PositiveFloat = 50.0
    """Highest median latency of one request, in process, in milliseconds."""
    max_bundle_bytes: NonNegativeInt = 0
    """Most bytes of the student's bundle; 0: any number."""
    max_teacher_share: Share = 0.0
    """Most bytes of the student's bundle, as a share of the teacher's; 0: any."""
