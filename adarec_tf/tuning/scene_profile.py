"""What a recipe is decided from."""

import numpy as np

from adarec_tf.config.recipe import SceneProfile
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics

_TOP = 0.01


def profile_scene(train: Histories, statistics: SequenceStatistics) -> SceneProfile:
    """Sums up a scene.

    Args:
      train: its training histories.
      statistics: of the preprocessing.
    """
    counts = np.sort(np.bincount(train.item_ids, minlength=statistics.num_items + 1)[1:])[::-1]
    num_interactions = max(1, len(train.item_ids))
    num_top = max(1, round(_TOP * statistics.num_items))
    return SceneProfile(
        num_users=train.num_users,
        num_items=statistics.num_items,
        vocabulary_bytes=statistics.vocabulary_bytes,
        num_positions=int(np.maximum(train.lengths - 1, 0).sum()),
        mean_length=round(num_interactions / max(1, train.num_users), 1),
        max_length=statistics.max_length,
        windows=statistics.windows,
        seen=statistics.seen,
        repeat_share=round(statistics.repeat_share, 4),
        top_share=round(float(counts[:num_top].sum() / num_interactions), 4),
    )
