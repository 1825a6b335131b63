"""What is wrong with the form of new events: TensorFlow Data Validation's anomalies and drift.

The schema and the statistics are those of the run that is compared with. The reader has checked
each row by then; what is left are event types that there were not, and single users, items or
types that have taken over: TFDV's drift is the largest change of a value's share (L-infinity).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import tensorflow_data_validation as tfdv

from adarec_tf.data.log.interactions import read_interactions
from adarec_tf.data.log.readers import InteractionColumns
from components.interactions_validator import describe_anomalies, tighten_schema

MAX_SHARE_CHANGE = 0.05
_SAMPLE_ROWS = 100_000


def find_anomalies(
    files: Sequence[str],
    columns: InteractionColumns,
    *,
    since: float,
    time_scale: int,
    schema_path: str,
    statistics_path: str,
) -> list[str]:
    """Compares the rows after a time with the schema and the statistics of an earlier run.

    Args:
      files: of the log.
      columns: the names of its columns.
      since: rows of later times are looked at.
      time_scale: of the log, what its times are multiplied by.
      schema_path: file of the schema, as text.
      statistics_path: file of the statistics.

    Returns:
      A phrase for each anomaly, by feature.
    """
    schema = tighten_schema(tfdv.load_schema_text(schema_path))
    for feature in schema.feature:
        if feature.name in ("user_id", "item_id", "event"):
            feature.drift_comparator.infinity_norm.threshold = MAX_SHARE_CHANGE
    anomalies = tfdv.validate_statistics(
        tfdv.generate_statistics_from_dataframe(
            _sample(files, columns, since, time_scale).to_pandas()
        ),
        schema,
        previous_statistics=tfdv.load_stats_binary(statistics_path),
    )
    return describe_anomalies(anomalies)


def _sample(
    files: Sequence[str], columns: InteractionColumns, since: float, scale: int
) -> pa.Table:
    """Some of the rows after a time, evenly, with the features of InteractionsGen's examples."""
    rows = pa.Table.from_batches(_rows_after(files, columns, since * scale, scale))
    step = max(1, -(-len(rows) // _SAMPLE_ROWS))
    rows = rows.take(np.arange(0, len(rows), step))
    # TFDV takes no dictionaries.
    if "event" in rows.column_names:
        place = rows.column_names.index("event")
        rows = rows.set_column(place, "event", rows["event"].cast(pa.string()))
    return rows.append_column("arrival", pa.array(np.arange(len(rows))))


def _rows_after(
    files: Sequence[str], columns: InteractionColumns, time: float, scale: int
) -> Iterator[pa.RecordBatch]:
    for file in files:
        for batch in read_interactions(file, columns, time_scale=scale):
            yield batch.filter(pa.array(batch["timestamp"].to_numpy() > time))
