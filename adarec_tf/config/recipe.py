"""The recipe of a scene: what was measured of it, and what was decided from that, with reasons."""

from collections.abc import Collection, Iterable
from typing import Any, Literal, TypeVar, get_args

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from adarec_tf.config.base import Config, Name, Share
from adarec_tf.config.teacher import TeacherConfig

Effort = Literal["none", "quick", "standard", "thorough"]
EFFORTS: tuple[str, ...] = get_args(Effort)[1:]

ConfigT = TypeVar("ConfigT", bound=Config)


class SceneProfile(Config):
    """What the decisions of a recipe are made from, all of it counted by the preprocessing."""

    num_users: NonNegativeInt
    """Histories."""
    num_items: PositiveInt
    """Items of the catalog."""
    vocabulary_bytes: NonNegativeInt
    """Bytes of the items' names, a line each, as a bundle holds them."""
    num_positions: NonNegativeInt
    """Positions of the training histories that have a next item."""
    mean_length: NonNegativeFloat
    """Items of a training history, on average."""
    max_length: PositiveInt
    """Items of a history that a model sees."""
    windows: str
    """`last` or `all`: which windows of longer histories are trained on."""
    seen: str
    """`exclude` or `keep`: whether items of the history are candidates."""
    repeat_share: Share
    """Training interactions with an item that the user had met before."""
    top_share: Share
    """Training interactions with the most popular hundredth of the items."""


class Decision(Config):
    """A setting, and why it has its value."""

    setting: Name
    """`stage.field`, as `--set` has it."""
    value: Any
    """As JSON has it."""
    reason: Name
    """Why, in a few words."""

    def __str__(self) -> str:
        return f"{self.setting}={self.value}: {self.reason}"


class Trial(Config):
    """A short training of one candidate."""

    candidate: Name
    """How it differs from what the scene's profile says."""
    epochs: PositiveInt
    """How long it was trained."""
    ndcg: NonNegativeFloat | None = None
    """NDCG@10 on validation targets; None where the trial failed."""
    seconds: NonNegativeFloat = 0.0
    """How long it took."""


class Recipe(Config):
    """All that was decided for a scene."""

    effort: Effort
    """How much was tried; `none` decides nothing."""
    scene: SceneProfile
    decisions: tuple[Decision, ...] = Field(default=(), strict=False)
    """In the order of the stages."""
    trials: tuple[Trial, ...] = Field(default=(), strict=False)
    """In the order in which they ran."""

    def applied(self, stage: str, config: ConfigT, fixed: Collection[str]) -> ConfigT:
        """A stage's config with what was decided.

        Args:
          stage: such as `teacher`.
          config: as it was given.
          fixed: settings that stay as they were given, such as `teacher.dropout`.
        """
        return apply_decisions(self.decisions, stage, config, fixed)


def apply_decisions(
    decisions: Iterable[Decision], stage: str, config: ConfigT, fixed: Collection[str]
) -> ConfigT:
    """A stage's config with what was decided.

    Args:
      decisions: of any stages.
      stage: whose decisions count.
      config: as it was given.
      fixed: settings that stay as they were given, such as `teacher.dropout`.
    """
    changes = {
        decision.setting.partition(".")[2]: decision.value
        for decision in decisions
        if decision.setting.startswith(f"{stage}.") and decision.setting not in fixed
    }
    kind: Any = type(config)
    values = config.to_dict()
    if isinstance(config, TeacherConfig):
        kind = TeacherConfig.kind(changes.get("name", config.name))
        defaults = {name: field.default for name, field in kind.model_fields.items()}
        values = {name: values.get(name, default) for name, default in defaults.items()}
    known = {name: value for name, value in changes.items() if name in kind.model_fields}
    return kind(**{**values, **known})
