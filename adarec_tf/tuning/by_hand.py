"""Decisions about a student that go together with what was given by hand."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from adarec_tf.config.base import Config
from adarec_tf.config.recipe import Decision


def given_values(fixed: Collection[str], **stages: Config) -> dict[str, Any]:
    """The values of settings that were given by hand.

    Args:
      fixed: their names, such as `search.max_epochs`.
      **stages: configs by name; settings of other stages are left out.
    """
    names = (name.partition(".")[::2] for name in fixed)
    return {
        f"{stage}.{field}": getattr(stages[stage], field)
        for stage, field in names
        if stage in stages
    }


def go_with(
    decisions: Sequence[Decision], given: Mapping[str, Any], *, is_bound: bool
) -> list[Decision]:
    """Decisions without what was given by hand; others change where they would clash with it.

    Args:
      decisions: about student, search and distillation.
      given: setting to value.
      is_bound: whether the bytes of the student were bounded by hand: what is only aimed at gives
        way to a width or a precision.
    """
    changes: dict[str, Decision] = {}

    def change(setting: str, value: Any, cause: str) -> None:
        changes[setting] = Decision(setting=setting, value=value, reason=f"goes with {cause}")

    values = {**{one.setting: one.value for one in decisions}, **given}
    warmup, epochs = values["search.warmup_epochs"], values["search.max_epochs"]
    if warmup >= epochs:
        change("search.max_epochs", 2 * warmup, "search.warmup_epochs")
        change("search.warmup_epochs", epochs // 2, "search.max_epochs")
    for setting in ("student.hidden_dim", "search.hidden_dims"):
        # Int4 has two numbers a byte.
        if np.any(np.mod(given.get(setting, 0), 2)) and values["student.precision"] == "int4":
            change("student.precision", "int8", setting)
    for setting in ("student.hidden_dim", "student.precision"):
        if setting in given and not is_bound:
            change("search.max_bytes", 0, setting)
    return [changes.get(one.setting, one) for one in decisions if one.setting not in given]
