"""A whole run: the scene, the seed and every stage."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import NonNegativeInt, field_validator, model_validator

from adarec_tf.config.base import Config, Name, parse_assignment
from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.serving import ServingConfig
from adarec_tf.config.spans import SpansConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig


class PipelineConfig(Config):
    """A whole run: the scene, the seed and every stage."""

    scene: Name
    """Name of the run's data and settings."""
    seed: NonNegativeInt = 1
    """Seed of everything random."""
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

    def override(self, assignments: Sequence[str]) -> Self:
        """Returns a copy with `stage.field=value` (or `field=value`, as in `seed=7`) applied.

        Another `teacher.name` keeps the settings that both kinds have. A value is read as JSON
        where the setting is no text.

        Args:
          assignments: applied in their order, and checked together.

        Raises:
          ValueError: a setting is unknown (the valid ones are named), or a value is not allowed.
        """
        values = self.to_dict()
        settings = [parse_assignment(assignment) for assignment in assignments]
        for key, text in settings:
            if key == "teacher.name":
                values["teacher"] = _other_teacher(values["teacher"], text)
        for key, text in settings:
            self._assign(values, key, text)
        return type(self).from_dict(values)


def _other_teacher(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The settings of another kind of teacher: what both have is kept, the rest is by default."""
    defaults = TeacherConfig.kind(name)(name=name).to_dict()
    return {**defaults, **{k: v for k, v in values.items() if k in defaults}, "name": name}
