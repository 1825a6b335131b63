"""How a student is distilled, in the search and in its final training."""

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from adarec_tf.config.base import Config, Share
from adarec_tf.config.training import TrainingConfig

_Schedule = Literal["constant", "fall", "rise"]


class DistillationConfig(Config):
    """What the student learns from the teacher, in the search and in the final training."""

    kd_weight: Share = 0.5
    """Weight γ of the distillation loss; the task loss has 1 - γ."""
    embedding_weight: NonNegativeFloat = 1.0
    """Weight of the embeddings' term in the distillation loss."""
    hidden_weight: NonNegativeFloat = 0.0
    """Weight of the hidden layers' term, the paper's Earth Mover's Distance; the paper has 1, but
    it adds nothing that could be told from noise, and takes time."""
    logits_weight: NonNegativeFloat = 1.0
    """Weight of the logits' term in the distillation loss."""
    embedding_schedule: _Schedule = "constant"
    """How the weight of the embeddings' term goes over the training, to 0 or from 0."""
    hidden_schedule: _Schedule = "constant"
    """How the weight of the hidden layers' term goes over the training."""
    logits_schedule: _Schedule = "constant"
    """How the weight of the logits' term goes over the training."""
    hidden_mapping: Literal["emd", "sinkhorn", "first", "last", "uniform"] = "emd"
    """Which student layer learns from which teacher layer: by the Earth Mover's Distance (paper),
    by an entropic plan, or a fixed mapping."""
    ground_distance: Literal["kl", "mse", "cosine"] = "kl"
    """Distance of two layers: KL of the softmaxed states (paper), normalized MSE, or cosine."""
    mass_update: Literal["softmax", "normalize", "none"] = "softmax"
    """How costs become masses of layers; `none` keeps them equal."""
    mass_temperature: PositiveFloat = 1.0
    """Temperature of the masses' softmax."""
    mass_momentum: Share = 0.9
    """Share of the old masses that an update keeps."""
    sinkhorn_regularization: PositiveFloat = 0.05
    """Of the entropic plan, in units of the mean ground distance."""
    kd_temperature: PositiveFloat = 1.0
    """Temperature of the logits' softmaxes."""
    logits_items: Literal["all", "top", "sampled"] = "all"
    """Items of the logits' term: the catalog; the union of the teacher's and the student's best;
    or a sample, the task loss's too, with the teacher's best."""
    num_top_items: PositiveInt = 100
    """Best items of the teacher, at each position, with `top` and `sampled`."""
    num_sampled_items: PositiveInt = 512
    """Other items, with `sampled`."""
    initial_weights: Literal["fresh", "supernet"] = "fresh"
    """Where the student's training begins: anew, or where the search ended."""
    initial_table: Literal["random", "teacher"] = "random"
    """Where the student's item table begins; `teacher`: the teacher's, in the student's format."""
    max_cache_bytes: NonNegativeInt = 4 * 2**30
    """Bytes of the teacher's outputs that are kept; with more, it runs in every step."""
    max_epochs: PositiveInt = 30
    """Epochs at most."""
    patience: PositiveInt = 3
    """Epochs without a better validation NDCG@10 before the training stops."""
    positions_per_batch: PositiveInt = 1024
    """Positions of a batch, padding included."""
    learning_rate: PositiveFloat = 2e-3
    """Highest learning rate."""
    warmup_share: Share = 0.05
    """Share of all steps in which the learning rate rises."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's."""
    clip_norm: PositiveFloat = 5.0
    """Largest norm of a gradient."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the catalog logits; bfloat16 where the CPU has it."""
    windows: Literal["last", "all"] = "last"
    """Of a history longer than a model sees: its last window, or all."""

    @property
    def num_kept_items(self) -> int:
        """Best items of the teacher at each position that its states have to come with."""
        return self.num_top_items if self.logits_items == "sampled" else 0

    def training(self) -> TrainingConfig:
        """The settings of the fit loop alone."""
        names = TrainingConfig.model_fields
        return TrainingConfig(**{n: getattr(self, n) for n in names if hasattr(self, n)})
