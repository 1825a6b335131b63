"""A real log as split histories in memory, as the pipeline's preprocessor would write them."""

from typing import NamedTuple

import numpy as np

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories import splits as sequences
from adarec_tf.data.histories.value_counts import count_values
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.whole_log import load_interactions


class SceneHistories(NamedTuple):
    """What a teacher is trained and measured on."""

    splits: sequences.Splits
    num_items: int
    max_length: int
    seen: str
    vocabulary: ItemVocabulary


def read_scene(path: str, config: DataConfig) -> SceneHistories:
    """Reads a log and splits it by leave-one-out."""
    kept = load_interactions(path, config)
    counts = count_values(kept.interactions["item"].to_numpy())
    vocabulary = ItemVocabulary.from_counts(kept.item_keys.take(counts.values), counts.counts)
    histories = sequences.to_histories(
        kept.interactions, kept.user_keys, vocabulary.encode(kept.item_keys)
    )
    splits = sequences.split_leave_one_out(histories)
    share = sequences.repeat_share(
        sequences.count_repeats(splits.train), len(splits.train.item_ids)
    )
    seen = sequences.resolve_seen(config.seen, share, config.max_repeat_share)
    return SceneHistories(splits, vocabulary.num_items, config.max_length, seen, vocabulary)


def take_users(scene: SceneHistories, num_users: int) -> SceneHistories:
    """A scene of some users, the same in every split, and of all items; 0 takes all users."""
    if num_users == 0:
        return scene
    total = scene.splits.train.num_users
    users = np.sort(np.random.default_rng(0).permutation(total)[:num_users])
    splits = sequences.Splits(*(split.take(users) for split in scene.splits))
    return scene._replace(splits=splits)
