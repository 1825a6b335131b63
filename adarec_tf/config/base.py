"""What every config is made of: checks of its values, and its way to JSON and back."""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Self


def check(condition: bool, name: str, requirement: str, received: object) -> None:
    """Raises a ValueError that says what a setting should be, unless the condition holds."""
    if not condition:
        raise ValueError(f"`{name}` should be {requirement}. Received: {name}={received!r}.")


def check_positive_integer(config: object, *names: str) -> None:
    """Checks that these fields are integers above 0."""
    for name in names:
        value = getattr(config, name)
        check(type(value) is int and value > 0, name, "a positive integer", value)


def is_non_negative_number(value: object) -> bool:
    """Whether a value is a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0


def check_non_negative_number(config: object, *names: str) -> None:
    """Checks that these fields are finite numbers of at least 0."""
    for name in names:
        value = getattr(config, name)
        check(is_non_negative_number(value), name, "a finite number of at least 0", value)


def check_positive_number(config: object, *names: str) -> None:
    """Checks that these fields are finite numbers above 0."""
    check_non_negative_number(config, *names)
    for name in names:
        check(getattr(config, name) > 0, name, "greater than 0", getattr(config, name))


def check_fraction(config: object, *names: str) -> None:
    """Checks that these fields are between 0 and 1."""
    check_non_negative_number(config, *names)
    for name in names:
        check(getattr(config, name) <= 1, name, "between 0 and 1", getattr(config, name))


def check_share_below_one(config: object, name: str) -> None:
    """Checks that a field is at least 0 and less than 1."""
    check_fraction(config, name)
    check(getattr(config, name) < 1, name, "less than 1", getattr(config, name))


def check_non_negative_integer(config: object, *names: str) -> None:
    """Checks that these fields are integers of at least 0."""
    for name in names:
        value = getattr(config, name)
        check(type(value) is int and value >= 0, name, "an integer of at least 0", value)


def check_choice_of(name: str, value: object, choices: Sequence[str]) -> None:
    """Checks that a value is one of those known."""
    check(value in choices, name, f"one of {', '.join(choices)}", value)


def check_choice(config: object, name: str, choices: Sequence[str]) -> None:
    """Checks that a field is one of the values known."""
    check_choice_of(name, getattr(config, name), choices)


class JsonConfig:
    """JSON round trip shared by all stage configs."""

    def to_dict(self) -> dict[str, Any]:
        """The config as plain JSON types, nested configs included."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[call-overload]

    def to_json(self) -> str:
        """The config as one line of JSON with sorted keys (stable: it is part of cache keys)."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def override(self, assignments: Sequence[str]) -> Self:
        """Returns a copy with `field=value` applied, `section.field=value` in nested configs.

        A value is read as JSON where it is JSON, and as text otherwise.

        Raises:
          ValueError: a key is unknown (the valid ones are named), or a value is not allowed.
        """
        values = self.to_dict()
        for key, text in map(parse_assignment, assignments):
            assign(values, key.split("."), text, key)
        return self.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Builds the config from plain JSON types.

        Raises:
          ValueError: a key is unknown or missing, or a value is not allowed.
        """
        hints = typing.get_type_hints(cls)
        names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(names))
        missing = sorted(set(names) - set(values))
        if unknown or missing:
            raise ValueError(
                f"A {cls.__name__} should have exactly the keys {', '.join(names)}. "
                f"Received unknown keys {unknown} and no value for {missing}."
            )
        return cls(**{name: _from_plain(hints[name], values[name]) for name in names})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Builds the config from what `to_json` returned.

        Raises:
          ValueError: the text is not a JSON object, or its keys or values are not allowed.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"A {cls.__name__} should be a JSON object. Received: {text[:80]!r}.")
        return cls.from_dict(values)


def _from_plain(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, JsonConfig):
        return hint.from_dict(value)
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        kinds = typing.get_args(hint)
        if kinds[-1] is Ellipsis or len(kinds) != len(value):
            kinds = kinds[:1] * len(value)
        return tuple(map(_from_plain, kinds, value))
    # JSON (and Kubeflow, for its parameters) turns a whole float into an integer.
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def parse_assignment(assignment: str) -> tuple[str, str]:
    """Splits `stage.field=value` at the first `=`.

    Raises:
      ValueError: there is none.
    """
    key, separator, text = assignment.partition("=")
    if not separator:
        raise ValueError(
            f"A setting should have the form stage.field=value. Received: {assignment!r}."
        )
    return key.strip(), text


def assign(values: dict[str, Any], path: Sequence[str], text: str, key: str) -> None:
    """Sets one field in the plain values of a config.

    Args:
      values: what `to_dict` returned; changed in place.
      path: the names that lead to the field, from the outermost.
      text: the new value, as JSON where the field is no text.
      key: what the user wrote, for error messages.

    Raises:
      ValueError: there is no such field, or the value is of another kind.
    """
    name, rest = path[0], path[1:]
    if name not in values:
        raise ValueError(
            f"`{key}` should be a setting of the run: here one of {', '.join(sorted(values))}. "
            f"Received: {name!r}."
        )
    is_stage = isinstance(values[name], dict)
    if is_stage != bool(rest):
        given = key.removesuffix("." + ".".join(rest))
        valid = (
            ", ".join(f"{given}.{field_name}" for field_name in sorted(values[name]))
            if is_stage
            else given
        )
        raise ValueError(f"`{key}` should be a single field: {valid}. Received: {key}={text}.")
    if is_stage:
        assign(values[name], rest, text, key)
        return
    values[name] = _parse_like(values[name], text, key)


def _parse_like(old: Any, text: str, key: str) -> Any:
    """Reads `text` as a value of the same kind as `old`."""
    if isinstance(old, str):
        return text
    try:
        new = json.loads(text)
    except json.JSONDecodeError:
        new = text
    is_number = isinstance(new, int | float) and not isinstance(new, bool)
    kinds: dict[type, tuple[str, bool]] = {
        bool: ("true or false", isinstance(new, bool)),
        int: ("an integer", is_number and isinstance(new, int)),
        float: ("a number", is_number),
        list: (
            "a JSON list such as [1, 4], or an object where names have values",
            isinstance(new, list | dict),
        ),
    }
    expected, matches = kinds[type(old)]
    if not matches:
        raise ValueError(f"`{key}` should be {expected}. Received: {key}={text}.")
    # What names values, {"a": 1}, is a list of pairs.
    return list(map(list, new.items())) if isinstance(new, dict) else new
