"""How a student is distilled, in the search and in its final training."""

from typing import Literal

from pydantic import NonNegativeFloat

from adarec_tf.config.base import Share
from adarec_tf.config.training import FitConfig

# Positions of an epoch of a student that begins with its teacher's table. Of a large log they teach
# more than fewer ones do that are seen again and again.
MAX_POSITIONS = 40_000_000
_NUM_TOP_ITEMS = 20


class DistillationConfig(FitConfig):
    """What the student learns from the teacher, in the search and in the final training."""

    kd_weight: Share = 0.5
    """Weight γ of the distillation loss; the task loss has 1 - γ."""
    embedding_weight: NonNegativeFloat = 1.0
    """Weight of the embeddings' term of the distillation loss."""
    hidden_weight: NonNegativeFloat = 0.0
    """Weight of the hidden layers' term; 1 in the paper. It paid where the student's table begins
    at random, or scores teach nothing; else it gained nothing that we could tell from noise."""
    logits_weight: NonNegativeFloat = 1.0
    """Weight of the logits' term of the distillation loss."""
    hidden_mapping: Literal["emd", "uniform"] = "emd"
    """How student layers are matched with teacher layers: by the Earth Mover's Distance (paper), or
    at equal steps."""
    ground_distance: Literal["kl", "mse"] = "kl"
    """Distance of two layers: KL of the softmaxed states (paper), or normalized squared error,
    which was better where layers paid at all."""
    logits_items: Literal["all", "sampled"] = "all"
    """Items of the logits' term and of the task loss: the catalog, or the teacher's best 20 and a
    sample of the others, for large catalogs."""
    initial_table: Literal["random", "teacher"] = "random"
    """Where the student's item table begins: at random, or as the teacher's in its own format."""

    @property
    def reads_layers(self) -> bool:
        """Whether the teacher's embedding and hidden states count, beside its scores."""
        return self.embedding_weight > 0 or self.hidden_weight > 0

    @property
    def num_kept_items(self) -> int:
        """Best items of the teacher at each position that its states have to come with."""
        return _NUM_TOP_ITEMS if self.logits_items == "sampled" else 0
