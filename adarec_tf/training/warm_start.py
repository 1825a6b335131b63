"""A model that continues from an earlier one, which knows the first of its items."""

import keras


def warm_start_from(model: keras.Model, earlier: keras.Model) -> None:
    """Gives a model the weights of an earlier one of the same architecture.

    Ids of the earlier model's items are the same in both, so it scores them as that did; items that
    are new to it keep the rows they were made with.

    Args:
      model: built; a sequence model of no fewer items. All its weights are changed but those rows.
      earlier: built; not changed.

    Raises:
      ValueError: the earlier model is of another kind, has more items, or weights of other shapes.
    """
    if type(model) is not type(earlier):
        raise ValueError(
            f"A model should continue from one of its kind, {type(model).__name__}. "
            f"Received: {type(earlier).__name__}."
        )
    table, smaller = (one.sequence_embedding.item_table for one in (model, earlier))
    weights, sources = _other_weights(model), _other_weights(earlier)
    shapes, given = ([tuple(v.shape) for v in variables] for variables in (weights, sources))
    if shapes != given:
        raise ValueError(
            f"A {type(model).__name__} should continue from one of its architecture and "
            f"max_length, with weights of the shapes {shapes}. Received: {given}."
        )
    table.grow_from(smaller)
    for weight, source in zip(weights, sources, strict=True):
        weight.assign(source)


def _other_weights(model: keras.Model) -> list[keras.Variable]:
    """All but the item table's."""
    table = model.sequence_embedding.item_table.variable
    return [variable for variable in model.weights if variable is not table]
