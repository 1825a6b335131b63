"""When a scene has changed: the limits of `adarec watch`."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from adarec_tf.config.base import Config, ShareBelowOne


class WatchConfig(Config):
    """When a scene has changed, and how exactly that is looked at."""

    min_gain: NonNegativeFloat = 0.02
    """Least share by which new events make Markov better, for the models to count as aged."""
    max_growth: PositiveFloat = 0.1
    """Largest number of new events, as a share of those that were trained on: more of them make a
    better student also where nothing has changed."""
    max_loss: ShareBelowOne = 0.2
    """Largest share that NDCG@10 may lose against what it was."""
    max_drift: Annotated[float, Field(gt=1)] = 2.0
    """How many times its earlier value a statistic of the events may be."""
    num_targets: PositiveInt = 10_000
    """New events that are predicted, drawn at random."""
    trial_epochs: PositiveInt = 2
    """Epochs of each of the two trainings that compare the genotype with its runner-up."""
