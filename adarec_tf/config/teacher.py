"""The config of every kind of teacher; one of one's own is a subclass of `TeacherConfig`."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from adarec_tf.config.base import (
    JsonConfig,
    check,
    check_choice_of,
    check_non_negative_integer,
    check_positive_integer,
    check_share_below_one,
)


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(JsonConfig):
    """The architecture of the teacher: what every one has; a subclass adds what its own needs.

    `name` is a key of `adarec_tf.models.teachers.TEACHERS`, and says which class reads the JSON.
    """

    name: str
    hidden_dim: int = 128
    num_blocks: int = 2
    dropout: float = 0.3  # not in the papers' released code: short histories overfit without it

    KINDS: ClassVar[dict[str, type["TeacherConfig"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # The field's default, which is on the class before `dataclass` decorates it.
        name = cls.__dict__.get("name", "")
        if name:
            TeacherConfig.KINDS[name] = cls

    def __post_init__(self) -> None:
        kind = self.kind(self.name)
        check(type(self) is kind, "teacher.name", f"that of a {type(self).__name__}", self.name)
        check_positive_integer(self, "hidden_dim", "num_blocks")
        check_share_below_one(self, "dropout")

    @classmethod
    def kind(cls, name: str) -> type["TeacherConfig"]:
        """The config class of a teacher.

        Raises:
          ValueError: no teacher has this name.
        """
        check_choice_of("teacher.name", name, sorted(cls.KINDS))
        return cls.KINDS[name]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Builds the config of the teacher that `values["name"]` names.

        Raises:
          ValueError: there is no such teacher, a key is unknown or missing, or a value not allowed.
        """
        if cls is not TeacherConfig:
            return super().from_dict(values)
        return typing.cast(Self, cls.kind(values.get("name", "")).from_dict(values))


@dataclass(frozen=True, kw_only=True)
class NextItNetConfig(TeacherConfig):
    """Dilated causal convolutions."""

    name: str = "nextitnet"
    num_blocks: int = 4  # paper: 8 to 16; 4 reach the same accuracy on short histories
    kernel_size: int = 3
    dilations: tuple[int, ...] = (1, 4)  # a block has one convolution a dilation; cycles per block

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive_integer(self, "kernel_size")
        valid = len(self.dilations) > 0 and all(type(d) is int and d > 0 for d in self.dilations)
        check(valid, "dilations", "one or more positive integers", self.dilations)


@dataclass(frozen=True, kw_only=True)
class _AttentionConfig(TeacherConfig):
    """What the teachers with attention share."""

    name: str = ""
    num_heads: int = 2
    feed_forward_dim: int = 512  # inside a block

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive_integer(self, "num_heads", "feed_forward_dim")
        check(
            self.hidden_dim % self.num_heads == 0,
            "num_heads",
            f"a divisor of hidden_dim={self.hidden_dim}",
            self.num_heads,
        )


@dataclass(frozen=True, kw_only=True)
class SASRecConfig(_AttentionConfig):
    """Causal self-attention."""

    name: str = "sasrec"


@dataclass(frozen=True, kw_only=True)
class BERT4RecConfig(_AttentionConfig):
    """Self-attention in both directions, trained on masked items."""

    name: str = "bert4rec"
    mask_probability: float = 0.2  # of an item of a training history; the last always is masked
    # Of next-item training with a causal mask, after the masked-item training: without it the model
    # is no teacher, only a recommender.
    fine_tune_epochs: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share_below_one(self, "mask_probability")
        check_non_negative_integer(self, "fine_tune_epochs")
