"""The config of every kind of teacher; one of one's own is a subclass of `TeacherConfig`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

from pydantic import NonNegativeInt, PositiveInt, model_validator

from adarec_tf.config.base import Config, SettingError, ShareBelowOne


class TeacherConfig(Config):
    """The architecture of the teacher: what every one has; a subclass adds what its own needs.

    A subclass sets a default for `name`, which is a key of `adarec_tf.models.teachers.TEACHERS`.
    """

    name: str
    """Kind of teacher."""
    hidden_dim: PositiveInt = 128
    """Width of the embeddings and of every layer."""
    num_blocks: PositiveInt = 2
    """Blocks of layers, one above the other."""
    dropout: ShareBelowOne = 0.3
    """Share of inputs dropped in training; the papers' code has none, and overfits."""

    KINDS: ClassVar[dict[str, type["TeacherConfig"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Notes the kind, once the fields are known."""
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.model_fields["name"].default
        if isinstance(name, str):
            TeacherConfig.KINDS[name] = cls

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        kind = self.kind(self.name)
        self.require(type(self) is kind, "name", f"that of a {type(self).__name__}")
        return self

    @classmethod
    def kind(cls, name: str) -> type["TeacherConfig"]:
        """The config class of a teacher.

        Raises:
          SettingError: no teacher has this name.
        """
        if name not in cls.KINDS:
            raise SettingError("name", f"one of {', '.join(sorted(cls.KINDS))}", name)
        return cls.KINDS[name]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Builds the config of the teacher that `values["name"]` names.

        Raises:
          ValueError: there is no such teacher, a setting is unknown or missing, or its value is not
            allowed.
        """
        if cls is not TeacherConfig:
            return super().from_dict(values)
        return cast(Self, cls.kind(values.get("name", "")).from_dict(values))


class NextItNetConfig(TeacherConfig):
    """Dilated causal convolutions."""

    name: Literal["nextitnet"] = "nextitnet"
    """Kind of teacher."""
    num_blocks: PositiveInt = 4
    """Blocks of convolutions; the paper has 8 to 16, 4 are as accurate on short histories."""


class _AttentionConfig(TeacherConfig):
    """What the teachers with attention share."""

    num_heads: PositiveInt = 2
    """Heads of the attention, a divisor of `hidden_dim`."""
    feed_forward_dim: PositiveInt = 256
    """Width of the layers inside a block."""

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        self.require(
            self.hidden_dim % self.num_heads == 0,
            "num_heads",
            f"a divisor of hidden_dim={self.hidden_dim}",
        )
        return self


class SASRecConfig(_AttentionConfig):
    """Causal self-attention."""

    name: Literal["sasrec"] = "sasrec"
    """Kind of teacher."""


class BERT4RecConfig(_AttentionConfig):
    """Self-attention in both directions, trained on masked items."""

    name: Literal["bert4rec"] = "bert4rec"
    """Kind of teacher."""
    fine_tune_epochs: NonNegativeInt = 5
    """Epochs of next-item training with a causal mask, after the masked-item training; without
    them the model is no teacher, only a recommender."""
