"""Repeats: which of several interactions of a history with one item stay.

    repeats           a b b a c b   of a history
    keep              a b b a c b
    drop_consecutive  a b   a c b   one of each run
    keep_first        a b     c     the first of each item
    keep_last               a c b   the last of each item

What stays keeps its place. Where events have weights it is the heaviest of a run or of an item, and
of those that weigh the same the last for `keep_last`, else the first.
"""

import numpy as np
import pyarrow as pa

from adarec_tf.data.log.encoded import ORDERED_SCHEMA, WEIGHT_FIELD


def drop_repeats(interactions: pa.Table, repeats: str) -> pa.Table:
    """Removes repeats within each history.

    Args:
      interactions: `encoded.ORDERED_SCHEMA`, and maybe `WEIGHT_FIELD`; the interactions of a user
        are together.
      repeats: one of `DataConfig.choices("repeats")`.

    Returns:
      The interactions that stay, in their order, without weights.
    """
    weights = None
    if WEIGHT_FIELD.name in interactions.column_names:
        weights = interactions[WEIGHT_FIELD.name].to_numpy()
        interactions = interactions.select(ORDERED_SCHEMA.names)
    if repeats == "keep" or len(interactions) == 0:
        return interactions
    users, items = (interactions[name].to_numpy().astype(np.int64) for name in ("user", "item"))
    groups = users * (items.max() + 1) + items
    if repeats == "drop_consecutive":
        groups = np.cumsum(np.append(False, groups[1:] != groups[:-1]))
    places = np.arange(len(groups))
    places = -places if repeats == "keep_last" else places
    order = np.lexsort((places, groups) if weights is None else (places, -weights, groups))
    is_first = np.append(True, groups[order][1:] != groups[order][:-1])
    return interactions.take(pa.array(np.sort(order[is_first])))
