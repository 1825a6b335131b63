"""What every config is made of: a pydantic model with one-sentence errors, and its way to JSON."""

import json
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Self

import pydantic

Share = Annotated[float, pydantic.Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, pydantic.Field(ge=0, lt=1)]
Name = Annotated[str, pydantic.Field(min_length=1)]
# Tuples take lists, which is what JSON has; their items are as strict as every other value.
Texts = Annotated[tuple[str, ...], pydantic.Strict(False)]
Sizes = Annotated[tuple[pydantic.PositiveInt, ...], pydantic.Strict(False)]

# What pydantic's own words do not say as well, by the type of its error.
_REQUIREMENTS = {
    "dict_type": 'a JSON object, such as {{"view": 1}}',
    "float_type": "a number",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_type": "an integer",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "missing": "given",
    "string_too_short": "a non-empty name",
    "string_type": "text",
    "tuple_type": 'a JSON list, such as [1, 4] or ["view"]',
}


class SettingError(ValueError):
    """A setting has a value that is not allowed.

    Args:
      path: the setting, with the stages that lead to it.
      requirement: what it should be.
      received: what it was.
    """

    def __init__(self, path: str, requirement: str, received: object) -> None:
        super().__init__(path, requirement, received)
        self.path, self.requirement, self.received = path, requirement, received

    def __str__(self) -> str:
        return (
            f"`{self.path}` should be {self.requirement}. Received: {self.path}={self.received!r}."
        )


class Config(pydantic.BaseModel):
    """The settings of a stage: checked when they are made, and never changed.

    A whole number may stand for a float, since TFX and Kubeflow write 1.0 as 1. Nothing else is
    converted: "3" is no integer, and true is no number.

    Raises:
      SettingError: a setting is unknown, or its value is not allowed.
    """

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,  # the text below a field is its description
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise self._setting_error(error) from None

    @classmethod
    def _setting_error(cls, error: pydantic.ValidationError) -> SettingError:
        """The first of pydantic's errors as one sentence."""
        first = error.errors(include_url=False)[0]
        path, context = ".".join(map(str, first["loc"])), first.get("ctx", {})
        inner = context.get("error")
        if isinstance(inner, SettingError):
            inner_path = ".".join(filter(None, (path, inner.path)))
            return SettingError(inner_path, inner.requirement, inner.received)
        if first["type"] == "extra_forbidden":
            names = ", ".join(sorted(cls.model_fields))
            return SettingError(path, f"one of the settings {names}", first["input"])
        words = _REQUIREMENTS.get(first["type"])
        requirement = (
            words.format(**context) if words else first["msg"].removeprefix("Input should be ")
        )
        return SettingError(path, requirement, first["input"])

    def require(self, condition: bool, name: str, requirement: str) -> None:
        """Raises an error that says what a setting should be, unless the condition holds.

        Args:
          condition: what must hold.
          name: the setting.
          requirement: what it should be.

        Raises:
          SettingError: the condition does not hold.
        """
        if not condition:
            raise SettingError(name, requirement, getattr(self, name))

    @classmethod
    def choices(cls, name: str) -> tuple[Any, ...]:
        """The values that a setting may have, which is declared as a `Literal`."""
        return typing.get_args(cls.model_fields[name].annotation)

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with other values, checked as a whole.

        Raises:
          SettingError: a setting is unknown, or its value is not allowed.
        """
        return type(self)(**{**dict(self), **changes})

    def to_dict(self) -> dict[str, Any]:
        """The config as plain JSON types, nested configs included."""
        return self.model_dump(mode="json", serialize_as_any=True)

    def to_json(self) -> str:
        """The config as one line of JSON with sorted keys (stable: it is part of cache keys)."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Builds the config from what `to_dict` returned.

        Raises:
          ValueError: a setting is unknown or missing, or its value is not allowed.
        """
        config = cls(**values)
        missing = sorted(_paths(config.to_dict()) - _paths(values))
        if missing:
            raise ValueError(
                f"A {cls.__name__} should have a value for every setting. Received: none for "
                f"{', '.join(missing)}."
            )
        return config

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Builds the config from what `to_json` returned.

        Raises:
          ValueError: the text is not a JSON object, a setting is unknown or missing, or its value
            is not allowed.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"A {cls.__name__} should be a JSON object. Received: {text[:80]!r}.")
        return cls.from_dict(values)


def _paths(values: Any, parent: str = "") -> set[str]:
    """All the keys of nested objects, with dots."""
    if not isinstance(values, Mapping):
        return set()
    paths = {f"{parent}{name}": value for name, value in values.items()}
    return set(paths).union(*(_paths(value, f"{path}.") for path, value in paths.items()))
