"""A search so small that its steps take no time."""

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.bilevel.state import SearchBatch, SearchState
from adarec_tf.search.space.alphas import OPERATIONS, fixed_architecture
from adarec_tf.search.space.supernet import Supernet

NUM_ITEMS, LENGTH, NUM_EDGES = 12, 5, 3
STUDENT = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2, dropout=0.0)


def small_search(learning_rate: float = 1e-2, num_cells: int = 1) -> SearchState:
    """The state of a search that has not begun."""
    student = STUDENT.replace(num_cells=num_cells)
    keras.utils.set_random_seed(3)
    teacher = build_teacher(NextItNetConfig(hidden_dim=6, num_blocks=2), NUM_ITEMS, LENGTH, seed=1)
    supernet = Supernet(student, NUM_ITEMS, LENGTH)
    supernet(tf.zeros([1, 1], tf.int64), fixed_architecture([0] * NUM_EDGES))
    objective = DistillationObjective(
        supernet.sequence_embedding,
        num_cells,
        teacher,
        DistillationConfig(hidden_weight=1.0),
    )
    alphas = keras.Variable(np.zeros((NUM_EDGES, len(OPERATIONS)), np.float32))
    depth_alphas = keras.Variable(np.zeros(1, np.float32))
    weight_optimizer = keras.optimizers.Adam(learning_rate)
    alpha_optimizer = keras.optimizers.Adam(1e-1)
    state = SearchState(
        supernet, objective, alphas, depth_alphas, weight_optimizer, alpha_optimizer
    )
    weight_optimizer.build(state.weights)
    alpha_optimizer.build([alphas, depth_alphas])
    return state


def small_batch(state: SearchState, seed: tuple[int, int] = (1, 2)) -> SearchBatch:
    """Six rows, the same for every first number of the seed."""
    items = np.random.default_rng(seed[0]).integers(1, NUM_ITEMS + 1, (6, LENGTH + 1))
    item_ids, labels = tf.constant(items[:, :-1]), tf.constant(items[:, 1:])
    teacher = state.objective.teacher_states(item_ids, labels)
    return SearchBatch(item_ids, labels, teacher, tf.constant(seed), tf.constant(1.0))
