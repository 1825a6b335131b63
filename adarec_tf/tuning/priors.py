"""What a scene's profile says about teacher and student, before anything is tried.

Each rule generalizes what was best on validation on scenes that differ in the figure it reads;
docs/benchmarks.md has the trials. No rule knows a scene by name.
"""

import math
from typing import NamedTuple

from adarec_tf.config.distillation import MAX_POSITIONS
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.recipe import Decision, Effort, SceneProfile
from adarec_tf.data.batches import suggest_positions_per_batch

# Items of a history, on average, from which on width pays, and depth where there are many.
LONG_HISTORY = 50
# Training positions up to which a scene overfits before it learns, and two teachers cost little.
SMALL_SCENE = 200_000
# Training positions up to which no teacher takes long, so that it may be wide in any case.
_TINY_SCENE = 20_000
# Training positions an item from which on an item is known well: teachers of scenes with 26 and 41
# are better with the settings of one with 120, of scenes with 11 with others.
DENSE_ITEM = 20
# Meetings with an item in a whole training below which its row does not get far by itself; fewer
# where users meet items again, whose rows should not resemble those of their neighbors.
_FEW_MEETINGS, _FEW_WITH_REPEATS = 300, 60
# Items up to which a table is wide enough to begin with co-occurrences: of more, its directions
# hold next to nothing of most items' neighborhoods. Few epochs gain in any case.
_MOST_CO_OCCURRING_ITEMS = 25_000
# Items up to which the teacher learns, and teaches, with the scores of all of them; above, these
# cost most of a step, and a sample does as well.
SMALL_CATALOG = 5_000
# Epochs in which labels are not learnt by heart: what a teacher drops is missed.
_FEW_EPOCHS, _LITTLE_DROPOUT = 4, 0.1
# Steps in which the search trains its operations before it weighs them: pools win until then.
_WARMUP_STEPS = 450
# Least steps of a training; but an epoch costs more than its steps where these are few.
_LEAST_STEPS, _MOST_EPOCHS = 1_000, 60
# Of the teacher's bundle, that a student may have.
BUNDLE_SHARE = 0.2
# Of the teacher's weights, that a student may have in any case; and bytes, little beside its graph.
_LEAST_SHARE, _LEAST_BYTES = 0.1, 20_000
# Vectors of a student's width that stay float32: those of norms and biases.
_OTHER_VECTORS, _VECTORS_PER_CELL = 4, 2
# Where the encoder matters, two of a cell's three edges may have the largest convolution.
_EDGES_PER_CELL, _CONVOLUTIONS_PER_CELL, _KERNEL_SIZE = 3, 2, 5
# A bundle holds beside weights and names its graph, with warm-up requests and a manifest: that of a
# teacher of two blocks, of a student without operations, and more for each edge.
_TEACHER_GRAPH, _STUDENT_GRAPH, _EDGE_GRAPH = 208_000, 133_000, 4_500
_EPOCHS = {"quick": 0.5, "standard": 1.0, "thorough": 1.5}
_SEARCHED_USERS, _SEARCHED_POSITIONS = 30_000, 300_000
_NO_BUDGET = EvaluationConfig()


def needs_encoder(scene: SceneProfile) -> bool:
    """Whether students differ by their encoders, not by their tables alone.

    A small table leaves bytes for an encoder, which a student of pools alone would not use.
    """
    return is_long(scene) or is_dense(scene) or scene.num_items <= SMALL_CATALOG


class TeacherSize(NamedTuple):
    """What of a teacher decides about its student.

    Attributes:
      hidden_dim: its width.
      num_parameters: all of them.
    """

    hidden_dim: int
    num_parameters: int


def is_long(scene: SceneProfile) -> bool:
    """Whether histories are long, and enough for a deep model to learn from."""
    return scene.mean_length >= LONG_HISTORY and not is_small(scene)


def is_small(scene: SceneProfile) -> bool:
    """Whether a teacher overfits before it has learnt the scene, and is trained soon."""
    return scene.num_positions <= SMALL_SCENE


def is_dense(scene: SceneProfile) -> bool:
    """Whether an item is met often."""
    return scene.num_positions >= DENSE_ITEM * scene.num_items


def teacher_decisions(scene: SceneProfile, effort: Effort) -> list[Decision]:
    """The settings of teacher and training.

    Args:
      scene: its profile.
      effort: `none` decides nothing.
    """
    if effort == "none":
        return []
    history = f"{scene.mean_length:g} items a history"
    positions = f"{scene.num_positions:,} positions"
    an_item = f"{scene.num_positions / scene.num_items:.0f} positions an item"
    items = f"{scene.num_items:,} items"
    long, small, dense = is_long(scene), is_small(scene), is_dense(scene)
    batch = suggest_positions_per_batch(scene.num_positions, scene.mean_length, scene.max_length)
    wanted = _num_epochs(scene.num_positions, batch, at_least=24 if small and not dense else 12)
    epochs = min(wanted, max(1, round(MAX_POSITIONS / max(1, scene.num_positions))))
    epochs = _scaled(epochs, effort)
    dropout, of_dropout = 0.2 if dense else 0.5 if small else 0.3, f"{an_item}, {positions}"
    if epochs <= _FEW_EPOCHS:
        dropout, of_dropout = _LITTLE_DROPOUT, f"{epochs} epochs"
    is_wide = dense or scene.mean_length >= LONG_HISTORY or scene.num_positions <= _TINY_SCENE
    sampled = scene.num_items > SMALL_CATALOG
    rate = 2e-3 if sampled else 1.5e-3 if long else 1e-3
    # Fewer steps are larger ones.
    rate = round(rate * max(1.0, wanted / epochs) ** 0.5, 4)
    meetings = epochs * scene.num_positions / scene.num_items
    few = _FEW_MEETINGS if scene.seen == "exclude" else _FEW_WITH_REPEATS
    fits = scene.num_items <= _MOST_CO_OCCURRING_ITEMS or epochs <= _FEW_EPOCHS
    table = "co_occurrences" if sampled and fits and meetings < few else "random"
    # They are trained at the same time.
    num_teachers = (2 if small or long else 1) + (effort == "thorough")
    return [
        Decision(setting=setting, value=value, reason=reason)
        for setting, value, reason in (
            ("teacher.name", "sasrec", "best or near the best on every scene measured"),
            ("teacher.hidden_dim", 128 if is_wide else 64, f"{history}, {positions}, {an_item}"),
            ("teacher.num_blocks", 3 if long else 2, f"{history}, {positions}"),
            ("teacher.feed_forward_dim", 256, "wider layers were not better"),
            ("teacher.dropout", dropout, of_dropout),
            ("training.loss", "sampled_softmax" if sampled else "softmax", items),
            ("training.positions_per_batch", batch, positions),
            ("training.learning_rate", rate, f"{items}, {history}, {epochs} epochs"),
            ("training.weight_decay", 0.05 if small and not dense else 0.0, an_item),
            ("training.max_epochs", epochs, f"{positions}, effort {effort}"),
            ("training.patience", 5, "the rate falls until the last epoch"),
            ("training.initial_table", table, f"{items}, {meetings:.0f} meetings with an item"),
            ("training.num_teachers", num_teachers, f"{positions}, effort {effort}"),
        )
    ]


def student_decisions(
    scene: SceneProfile,
    teacher: TeacherSize,
    effort: Effort,
    budget: EvaluationConfig = _NO_BUDGET,
) -> list[Decision]:
    """The settings of student, search and distillation.

    Args:
      scene: its profile.
      teacher: of the teacher that was decided.
      effort: `none` decides nothing.
      budget: how large the student's bundle may be; a fifth of the teacher's if it says nothing.
    """
    if effort == "none":
        return []
    long, small = is_long(scene), is_small(scene)
    max_bytes = student_bytes(scene, teacher, budget)
    width, encoder = _student_width(scene, teacher, max_bytes), needs_encoder(scene)
    sampled = scene.num_items > SMALL_CATALOG
    batch = suggest_positions_per_batch(scene.num_positions, scene.mean_length, scene.max_length)
    max_users = min(_SEARCHED_USERS, round(_SEARCHED_POSITIONS / max(1.0, scene.mean_length)))
    searched = min(1.0, max_users / max(1, scene.num_users))
    # The weights have one half of the users.
    steps = searched * scene.num_positions / 2 / max(256, batch)
    warmup = max(_scaled(4, effort), min(_MOST_EPOCHS, math.ceil(_WARMUP_STEPS / max(1.0, steps))))
    distillation_batch, of_batch = min(2048, 2 * batch), "twice the teacher's"
    positions = min(MAX_POSITIONS, scene.num_positions)
    # Scores are learnt longer than labels are without being learnt by heart.
    epochs = _num_epochs(positions, distillation_batch, at_least=24 if small else 12)
    epochs = min(epochs, round(MAX_POSITIONS / max(1, positions)))
    # Labels teach what is met often, and more where they are not seen often enough to be learnt by
    # heart; of all else, the teacher's scores say more.
    kd_weight = 0.8 if long else 0.5 if is_dense(scene) else 1.0 if small else 0.9
    of_kd = f"{scene.num_positions / scene.num_items:.0f} positions an item"
    if epochs <= _FEW_EPOCHS:
        kd_weight, of_kd = min(kd_weight, 0.5), f"{epochs} epochs"
        distillation_batch, of_batch = batch, f"the teacher's: {epochs} epochs have few steps"
    share = f"the bundle may have {max_bytes:,} bytes of weights"
    history, items = f"{scene.mean_length:g} items a history", f"{scene.num_items:,} items"
    return [
        Decision(setting=setting, value=value, reason=reason)
        for setting, value, reason in (
            ("student.hidden_dim", width, share),
            ("student.precision", "int4", "at equal bytes, width is worth more than precision"),
            ("student.num_cells", _num_cells(scene), history),
            ("student.num_nodes", 2, "more nodes gained nothing"),
            ("student.dropout", 0.0, "the teacher's scores keep it from overfitting"),
            ("search.alphas", "per_cell" if long else "shared", history),
            ("search.max_epochs", 2 * warmup, f"{steps:.0f} steps an epoch, effort {effort}"),
            ("search.warmup_epochs", warmup, "half of the epochs"),
            ("search.positions_per_batch", max(256, batch), "speed"),
            ("search.learning_rate", 3e-3, "short trainings"),
            ("search.cost_weight", 0.0 if encoder else 0.05, "bytes are the budget"),
            ("search.max_bytes", max_bytes, share),
            ("search.num_evaluations", _scaled(20, effort), f"effort {effort}"),
            ("search.max_users", max_users, "a short search"),
            ("distillation.kd_weight", kd_weight, of_kd),
            ("distillation.hidden_weight", 0.0, "layers taught nothing beside scores"),
            ("distillation.embedding_weight", 0.0, "the student begins with the teacher's table"),
            ("distillation.initial_table", "teacher", "it is most of what a teacher knows"),
            ("distillation.logits_items", "sampled" if sampled else "all", items),
            ("distillation.positions_per_batch", distillation_batch, of_batch),
            ("distillation.learning_rate", 4e-3, "the table is learnt already"),
            ("distillation.max_epochs", _scaled(epochs, effort), f"effort {effort}"),
            ("distillation.patience", 8, "the rate falls until the last epoch"),
        )
    ]


def student_bytes(scene: SceneProfile, teacher: TeacherSize, budget: EvaluationConfig) -> int:
    """The bytes of weights with which a student's bundle is as large as it may be.

    Args:
      scene: its profile.
      teacher: of the teacher that was decided.
      budget: how large it may be; a fifth of the teacher's if it says nothing.
    """
    weights, names = 4 * teacher.num_parameters, scene.vocabulary_bytes
    bundle = weights + names + _TEACHER_GRAPH
    others = names + _STUDENT_GRAPH + _EDGES_PER_CELL * _num_cells(scene) * _EDGE_GRAPH
    if budget.max_teacher_share or budget.max_bundle_bytes:
        bounds = (budget.max_teacher_share * bundle, budget.max_bundle_bytes)
        return max(1, round(min(bound for bound in bounds if bound)) - others)
    # Where the catalog is small, the graph alone is more than a fifth.
    least = max(round(_LEAST_SHARE * weights), _LEAST_BYTES)
    return max(round(BUNDLE_SHARE * bundle) - others, least)


def _student_width(scene: SceneProfile, teacher: TeacherSize, max_bytes: int) -> int:
    """The widest student, up to the teacher's width, whose bytes suffice for table and encoder."""
    num_cells = _num_cells(scene)
    others = _OTHER_VECTORS + _VECTORS_PER_CELL * num_cells
    for width in range(teacher.hidden_dim // 16 * 16, 16, -16):
        least = scene.num_items * (width // 2 + 4)  # two numbers a byte, and a scale a row
        least += scene.max_length * (width + 4) + 4 * others * width
        encoder = num_cells * _CONVOLUTIONS_PER_CELL * _KERNEL_SIZE * width**2
        if least + needs_encoder(scene) * encoder <= max_bytes:
            return width
    return min(16, teacher.hidden_dim)


def _num_epochs(num_positions: float, batch: int, *, at_least: int) -> int:
    """Epochs of a training with batches of so many positions, which has steps enough."""
    steps = max(1.0, num_positions / batch)
    return max(at_least, min(_MOST_EPOCHS, math.ceil(_LEAST_STEPS / steps)))


def _num_cells(scene: SceneProfile) -> int:
    return 4 if is_long(scene) else 2


def _scaled(epochs: int, effort: Effort) -> int:
    return max(1, round(epochs * _EPOCHS[effort]))
