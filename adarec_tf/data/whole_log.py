"""A whole log in memory, filtered as the pipeline's preprocessor filters it block by block."""

import numpy as np
import pyarrow as pa

from adarec_tf.config import DataConfig
from adarec_tf.data import global_time_split, sequences
from adarec_tf.data.interactions import (
    InteractionColumns,
    inspect_log,
    list_input_files,
    read_interactions,
)


def read_kept_interactions(path: str, config: DataConfig) -> pa.Table:
    """Reads a log and applies the filters.

    Args:
      path: a file or folder.
      config: columns and minimum counts.

    Returns:
      Interactions of `sequences.LOG_SCHEMA`, in the order of the log.

    Raises:
      InteractionsError: the log cannot be read, or a row of it is bad.
    """
    columns = InteractionColumns(config.user_column, config.item_column, config.time_column)
    files = list_input_files(path)
    time_scale = inspect_log(files, columns).time_scale
    table = pa.Table.from_batches(
        batch for file in files for batch in read_interactions(file, columns, time_scale=time_scale)
    )
    table = table.append_column("arrival", pa.array(np.arange(len(table)), pa.int64()))
    table = sequences.remove_duplicates(table).interactions
    for column, min_count in (
        ("item_id", config.min_item_interactions),
        ("user_id", config.min_user_interactions),
    ):
        counts = sequences.count_keys(table[column])
        table = sequences.filter_min_counts(table, column, counts, min_count).interactions
    return table


def count_items(path: str, config: DataConfig) -> int:
    """How many items the vocabulary of a log has; errors as `read_kept_interactions`."""
    table = read_kept_interactions(path, config)
    if config.split == "global_time":
        cuts = global_time_split.find_time_cuts(
            global_time_split.count_times(table["timestamp"].to_numpy()),
            valid_time_share=config.valid_time_share,
            test_time_share=config.test_time_share,
        )
        table = global_time_split.training_interactions(table, cuts)
    return len(sequences.count_keys(table["item_id"]).keys)
