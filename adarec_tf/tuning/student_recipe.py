"""The part of a recipe that is the student's, decided once the teacher is there."""

import logging
from collections.abc import Mapping
from typing import Any

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.recipe import Recipe
from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.models.model_cost import count_parameters
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.teachers import build_teacher
from adarec_tf.tuning.by_hand import go_with
from adarec_tf.tuning.priors import TeacherSize, student_decisions

logger = logging.getLogger(__name__)


def size_of(teacher: NextItemModel | EnsembleTeacher) -> TeacherSize:
    """The size of a teacher, or of the first of several."""
    first = teacher.members[0] if isinstance(teacher, EnsembleTeacher) else teacher
    return TeacherSize(first.sequence_embedding.hidden_dim, count_parameters(first).total)


def with_student(
    recipe: Recipe,
    teacher: NextItemModel | EnsembleTeacher,
    *,
    given: Mapping[str, Any],
    budget: EvaluationConfig,
) -> Recipe:
    """A recipe with what the scene says of the student.

    Args:
      recipe: of the teacher; one that has decided about a student already stays as it is.
      teacher: trained; or several as one.
      given: settings of the student that were given by hand, and their values; the others go with
        them.
      budget: how large the student's bundle may be; a fifth of the teacher's if it says nothing.
    """
    is_decided = any(one.setting.startswith("student.") for one in recipe.decisions)
    if is_decided or recipe.effort == "none":
        return recipe
    decided = student_decisions(recipe.scene, size_of(teacher), recipe.effort, budget)
    is_bound = bool(budget.max_bundle_bytes or budget.max_teacher_share)
    decisions = go_with(decided, given, is_bound=is_bound)
    for decision in decisions:
        logger.info("%s", decision, extra={"line": str(decision)})
    return recipe.replace(decisions=(*recipe.decisions, *decisions))


def foresee_student(
    recipe: Recipe,
    teacher: TeacherConfig,
    *,
    given: Mapping[str, Any],
    budget: EvaluationConfig,
    seed: int,
) -> Recipe:
    """A recipe with what it will say of the student when its teacher is trained.

    Args:
      recipe: of the teacher.
      teacher: as it was given.
      given: settings of the student that were given by hand, and their values.
      budget: how large the student's bundle may be; a fifth of the teacher's if it says nothing.
      seed: of the teacher that is built, for its parameters to be counted.
    """
    decided, scene = recipe.applied("teacher", teacher, ()), recipe.scene
    model = build_teacher(decided, scene.num_items, scene.max_length, seed=seed)
    return with_student(recipe, model, given=given, budget=budget)
