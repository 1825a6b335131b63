"""A whole run: the scene, the seed and every stage."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import NonNegativeInt, field_validator, model_validator

from adarec_tf.config.base import Config, Name, SettingError, Texts
from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.recipe import Effort, Recipe
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.serving import ServingConfig
from adarec_tf.config.spans import SpansConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig

# The stages whose settings a recipe decides.
_DECIDED_STAGES = ("teacher", "training", "student", "search", "distillation")


class PipelineConfig(Config):
    """A whole run: the scene, the seed and every stage."""

    scene: Name
    """Name of the run's data and settings."""
    seed: NonNegativeInt = 1
    """Seed of everything random."""
    effort: Effort = "none"
    """How much is tried to find the settings of teacher and student; `none` takes them as they
    are, and otherwise those that were not given by hand are decided from the scene."""
    fixed: Texts = ()
    """Settings that were given by hand, such as `teacher.dropout`."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the catalog logits in training; bfloat16 is fast where the CPU has it."""
    spans: SpansConfig = SpansConfig()
    data: DataConfig = DataConfig()
    teacher: TeacherConfig = NextItNetConfig()
    training: TrainingConfig = TrainingConfig()
    student: StudentConfig = StudentConfig()
    search: SearchConfig = SearchConfig()
    distillation: DistillationConfig = DistillationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    serving: ServingConfig = ServingConfig()

    @field_validator("teacher", mode="before")
    @classmethod
    def _read_teacher(cls, value: Any) -> Any:
        """Settings without a class are those of the kind that they name."""
        if not isinstance(value, Mapping):
            return value
        return TeacherConfig.kind(value.get("name", ""))(**value)

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        self.search.num_optional_cells(self.student.num_cells)
        for width in self.search.hidden_dims:
            self.student.replace(hidden_dim=width)
        return self

    def with_recipe(self, recipe: Recipe) -> Self:
        """The settings with all that was decided for the scene; nothing is left to decide.

        What was given by hand stays.

        Args:
          recipe: of the scene.
        """
        stages = {
            stage: recipe.applied(stage, getattr(self, stage), self.fixed)
            for stage in _DECIDED_STAGES
        }
        undecided = DataConfig()
        found = {
            name: getattr(recipe.scene, name)
            for name in ("max_length", "windows", "seen")
            if getattr(self.data, name) == getattr(undecided, name)
        }
        return self.replace(effort="none", data=self.data.replace(**found), **stages)

    def override(self, assignments: Sequence[str]) -> Self:
        """Returns a copy with `stage.field=value` (or `field=value`, as in `seed=7`) applied.

        An `effort` forgets what a scene's own recipe decided. Another `teacher.name` keeps the
        settings that both kinds have. A value is read as JSON where the setting is no text.

        Args:
          assignments: applied in their order, and checked together.

        Raises:
          ValueError: a setting is unknown (the valid ones are named), or a value is not allowed.
        """
        values = self.to_dict()
        settings = [_parse_assignment(assignment) for assignment in assignments]
        if dict(settings).get("effort", "none") != "none":
            defaults = type(self)(scene=self.scene).to_dict()
            values |= {stage: defaults[stage] for stage in _DECIDED_STAGES}
        for key, text in settings:
            if key == "teacher.name":
                defaults = TeacherConfig.kind(text)(name=text).to_dict()
                kept = {
                    name: values["teacher"].get(name, value) for name, value in defaults.items()
                }
                values["teacher"] = kept | {"name": text}
        for key, text in settings:
            self._assign(values, key, text)
        given = (key for key, _ in settings if key.partition(".")[0] in _DECIDED_STAGES)
        values["fixed"] = list(dict.fromkeys([*values["fixed"], *given]))
        return type(self).from_dict(values)

    def _assign(self, values: dict[str, Any], key: str, text: str) -> None:
        """Sets one setting in what `to_dict` returned."""
        stage, _, field = key.partition(".")
        is_stage = isinstance(getattr(self, stage, None), Config)
        holder = values[stage] if is_stage else values
        if is_stage and not field:
            fields = ", ".join(f"{stage}.{name}" for name in sorted(holder))
            raise SettingError(key, f"a single field: {fields}", text)
        name, *deeper = (field if is_stage else key).split(".")
        if name not in holder:
            raise ValueError(
                f"`{key}` should be a setting of the run: here one of {', '.join(sorted(holder))}. "
                f"Received: {name!r}."
            )
        if deeper:
            single = key.removesuffix(f".{'.'.join(deeper)}")
            raise SettingError(key, f"a single field: {single}", text)
        holder[name] = text if isinstance(holder[name], str) else _parse_json(text)


def _parse_assignment(assignment: str) -> tuple[str, str]:
    """Splits `stage.field=value` at the first `=`."""
    key, separator, text = assignment.partition("=")
    if not separator:
        raise ValueError(
            f"A setting should have the form stage.field=value. Received: {assignment!r}."
        )
    return key.strip(), text


def _parse_json(text: str) -> Any:
    """Reads JSON; what is none stays text, and its setting refuses it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
