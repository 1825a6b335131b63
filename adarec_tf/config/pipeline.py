"""A whole run: the scene, the seed and every stage."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from adarec_tf.config.base import JsonConfig, assign, check, parse_assignment
from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.serving import ServingConfig
from adarec_tf.config.spans import SpansConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class PipelineConfig(JsonConfig):
    """A whole run: the scene, the seed and every stage."""

    scene: str
    seed: int = 1
    spans: SpansConfig = field(default_factory=SpansConfig)
    data: DataConfig = field(default_factory=DataConfig)
    teacher: TeacherConfig = field(default_factory=NextItNetConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)

    def __post_init__(self) -> None:
        check(bool(self.scene), "scene", "a non-empty name", self.scene)
        check(type(self.seed) is int and self.seed >= 0, "seed", "an integer >= 0", self.seed)
        check(
            not self.search.genotype or self.distillation.initial_weights != "supernet",
            "distillation.initial_weights",
            "fresh with search.genotype, which trains no supernet",
            self.distillation.initial_weights,
        )
        self.search.num_optional_cells(self.student.num_cells)
        for width in self.search.hidden_dims:
            dataclasses.replace(self.student, hidden_dim=width)

    def override(self, assignments: Sequence[str]) -> Self:
        """Returns a copy with `stage.field=value` (or `field=value`, as in `seed=7`) applied.

        A value is read as JSON where it is JSON, and as text otherwise.

        Raises:
          ValueError: a key is unknown (the valid ones are named), or a value is not allowed.
        """
        values = self.to_dict()
        settings = [parse_assignment(assignment) for assignment in assignments]
        for key, text in settings:
            if key == "teacher.name":
                values["teacher"] = _other_teacher(values["teacher"], text)
        for key, text in settings:
            assign(values, key.split("."), text, key)
        return type(self).from_dict(values)


def _other_teacher(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The settings of another kind of teacher: what both have is kept, the rest is by default."""
    defaults = TeacherConfig.kind(name)(name=name).to_dict()
    return {**defaults, **{k: v for k, v in values.items() if k in defaults}, "name": name}
