"""InteractionsGen: a raw log (file or folder) to blocks of checked interactions.

An interaction has user_id and item_id (bytes), timestamp (int64) and `arrival` (int64), its place
in the log: Beam keeps no order, and interactions of the same time are told apart by it. The blocks
are Parquet files that TFX reads as Examples. They are in the split `all`, which the sequence
preprocessor splits by time; `sample` has every n-th row, for statistics: those of TFX look at a row
for as long as everything else together takes. Every row of the log is checked here.
Where a column says what kind of event a row is, the blocks have `event` (bytes) as well.
"""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from google.protobuf import struct_pb2
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.types.standard_artifacts import Examples

from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.log.encoded import LOG_SCHEMA
from adarec_tf.data.log.interactions import DEFAULT_COLUMNS, inspect_log, read_interactions
from adarec_tf.data.log.readers import InteractionColumns
from adarec_tf.data.log.spans import SpanPattern, is_span_pattern
from adarec_tf.data.storage.atomic_file import written_whole
from components.input_spans import (
    SPAN_PATTERN_KEY,
    SPANS_CONFIG_KEY,
    SpansDriver,
    input_files,
    read_custom_config,
)
from components.interaction_blocks import write_block

SPLIT = "all"
SAMPLE_SPLIT = "sample"
_SCRATCH = "scratch"
_BLOCK_ROWS = 1 << 20
_SAMPLE_ROWS = 100_000
# Room for 10^12 rows a file: arrivals of different files cannot meet.
_ARRIVALS_PER_FILE = 1 << 40


class InteractionsGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Checks the whole log, then writes it block by block, in the order of the log.

    The stock executor base takes examples one by one through a shuffle. Here a worker writes the
    blocks of a file as it reads them, and holds one at a time.
    """

    def Do(  # noqa: N802 (the name TFX calls)
        self,
        input_dict: dict[str, list[Examples]],
        output_dict: dict[str, list[Examples]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits `all` and `sample`.

        Args:
          input_dict: empty.
          output_dict: one artifact, `examples`.
          exec_properties: of `interactions_gen`, resolved by the driver or not.

        Raises:
          InteractionsError: the log cannot be read; nothing has been written then.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        files, spans = input_files(exec_properties)
        settings = read_custom_config(exec_properties)
        columns = InteractionColumns(*(settings[name] for name in InteractionColumns._fields))
        summary = inspect_log(files, columns)
        examples = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.EXAMPLES_KEY]
        )
        splits = [SPLIT, SAMPLE_SPLIT]
        examples.split_names = artifact_utils.encode_split_names(splits)
        split_dirs = [artifact_utils.get_split_uri([examples], split) for split in splits]
        scratch = os.path.join(examples.uri, _SCRATCH)
        for folder in (*split_dirs, scratch):
            tf.io.gfile.makedirs(folder)
        step = -(-summary.num_interactions // _SAMPLE_ROWS)
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(list(enumerate(files)))
                | "SpreadFiles" >> beam.Reshuffle()
                | "WriteBlocks"
                >> beam.Map(_write_blocks, columns, summary.time_scale, step, split_dirs, scratch)
            )
        tf.io.gfile.rmtree(scratch)
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_PARQUET)
        examples_utils.set_file_format(examples, "FILE_FORMAT_PARQUET")
        examples.set_int_custom_property("num_interactions", summary.num_interactions)
        examples.set_int_custom_property("time_scale", summary.time_scale)
        examples.set_float_custom_property("largest_time", summary.largest_time)
        examples.set_string_custom_property("spans", spans)
        if columns.event:
            event_counts = json.dumps(summary.event_counts)
            examples.set_string_custom_property("event_counts", event_counts)


class InteractionsGen(FileBasedExampleGen):
    """The stock component, whose driver looks at as many daily folders as a run reads."""

    DRIVER_CLASS = SpansDriver


def interactions_gen(
    path: str,
    columns: InteractionColumns = DEFAULT_COLUMNS,
    code_fingerprint: str = "",
    spans: SpansConfig | None = None,
) -> InteractionsGen:
    """The component that reads a log.

    Args:
      path: a file, a folder of files of known kinds (see `list_input_files`), or a pattern of daily
        folders (see `adarec_tf.data.log.spans`).
      columns: the names of the log's columns.
      code_fingerprint: a hash of the code; a new value makes cached outputs stale.
      spans: which daily folders are read; all up to the newest if None.

    Returns:
      A component with the output `examples`; its driver fingerprints the files.
    """
    settings = {**columns._asdict(), "code_fingerprint": code_fingerprint}
    path = os.path.abspath(path)
    if is_span_pattern(path):
        pattern = SpanPattern.parse(path)
        folder, name = pattern.folder, "*"
        settings[SPAN_PATTERN_KEY] = pattern.text
        settings[SPANS_CONFIG_KEY] = (spans or SpansConfig()).to_json()
    else:
        folder, name = (path, "*") if os.path.isdir(path) else os.path.split(path)
    packed = struct_pb2.Struct()
    packed.update(settings)
    custom_config = example_gen_pb2.CustomConfig()
    custom_config.custom_config.Pack(packed)
    return InteractionsGen(
        input_base=folder,
        input_config=example_gen_pb2.Input(
            splits=[example_gen_pb2.Input.Split(name=SPLIT, pattern=name)]
        ),
        custom_config=custom_config,
        custom_executor_spec=executor_spec.BeamExecutorSpec(InteractionsGenExecutor),
    ).with_id("InteractionsGen")


def _write_blocks(
    numbered_file: tuple[int, str],
    columns: InteractionColumns,
    time_scale: int,
    step: int,
    split_dirs: list[str],
    scratch: str,
) -> None:
    """Writes the blocks of one file, and the sample of each; whole ones, see `written_whole`."""
    file_number, path = numbered_file
    batches = read_interactions(path, columns, time_scale=time_scale)
    for number, block in enumerate(_blocks(batches, file_number * _ARRIVALS_PER_FILE)):
        name = f"data_parquet-{file_number:05d}-{number:05d}.parquet"
        for split_dir, table in zip(split_dirs, (block, _sample(block, step)), strict=True):
            with written_whole(os.path.join(split_dir, name), scratch) as path:
                write_block(path, table)


def _blocks(batches: Iterator[pa.RecordBatch], arrival: int) -> Iterator[pa.Table]:
    """Joins batches to blocks of `_BLOCK_ROWS`, with their arrivals from this one on."""
    held: list[pa.RecordBatch] = []
    num_rows = 0
    for batch in itertools.chain(batches, [None]):
        if held and (batch is None or num_rows + len(batch) > _BLOCK_ROWS):
            arrivals = pa.array(np.arange(arrival, arrival + num_rows))
            yield pa.Table.from_batches(held).append_column(LOG_SCHEMA.field("arrival"), arrivals)
            arrival, held, num_rows = arrival + num_rows, [], 0
        if batch is not None:
            held.append(batch)
            num_rows += len(batch)


def _sample(block: pa.Table, step: int) -> pa.Table:
    """Every so many rows, with the earliest and the latest: the validator looks at their times."""
    times = block["timestamp"].to_numpy()
    rows = np.unique(np.append(np.arange(0, len(block), step), [times.argmin(), times.argmax()]))
    return block.select(LOG_SCHEMA.names).take(rows)
