"""From the supernet to the student it found, weights included."""

import keras

from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.models.students.student import Student
from adarec_tf.search.space.supernet import Supernet


def transfer_weights(student: Student, supernet: Supernet) -> None:
    """Gives a derived student the weights its operations had in the supernet.

    Args:
      student: a built student whose width, nodes and item table are the supernet's, with all of its
        cells or the lowest ones; it is changed.
      supernet: where the weights come from.
    """
    _copy_weights(supernet.sequence_embedding, student.sequence_embedding)
    _copy_weights(supernet.final_norm, student.final_norm)
    search_cells = supernet.cells[: len(student.cells)]
    for search_cell, cell in zip(search_cells, student.cells, strict=True):
        _copy_weights(search_cell.combine, cell.combine)
        for edge, operation in zip(cell.edges, cell.operations, strict=True):
            if PRIMITIVES[edge.primitive].kernel_size == 0:
                continue
            mixed = search_cell.edges[search_cell.ends.index((edge.source, edge.target))]
            convolution, norm = operation.convolution, operation.norm
            for variable, value in zip(
                (convolution.kernel, convolution.bias, norm.gamma, norm.beta),
                mixed.convolution_weights(edge.primitive),
                strict=True,
            ):
                variable.assign(value)


def _copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    for old, new in zip(source.weights, target.weights, strict=True):
        new.assign(old)
