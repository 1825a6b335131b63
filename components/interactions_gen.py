"""InteractionsGen: a raw log (file or folder) to one `tf.train.Example` an interaction.

Examples have user_id and item_id (bytes), timestamp (int64) and `arrival` (int64), the row's place
in the log: Beam keeps no order, and interactions of the same time are told apart by it. They are in
one split, `all`; the sequence preprocessor splits them by time.
"""

import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from google.protobuf import struct_pb2
from tfx import v1 as tfx
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils
from tfx_bsl.coders import example_coder

from adarec_tf.data.interactions import (
    DEFAULT_COLUMNS,
    InteractionColumns,
    inspect_log,
    list_input_files,
    read_interactions,
)
from adarec_tf.data.sequences import LOG_SCHEMA

SPLIT = "all"
# Room for 10^12 rows a file: arrivals of different files cannot meet.
_ARRIVALS_PER_FILE = 1 << 40


class InteractionsGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Checks the whole log, then writes it block by block, each block to a shard of its own.

    The stock executor base takes examples one by one through a shuffle; blocks are several times
    faster and leave the shards in the order of the log.
    """

    def Do(  # noqa: N802 (the name TFX calls)
        self,
        input_dict: dict[str, list[tfx.types.standard_artifacts.Examples]],
        output_dict: dict[str, list[tfx.types.standard_artifacts.Examples]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the `all` split.

        Raises:
          InteractionsError: the log cannot be read; nothing has been written then.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        files = _resolve_files(exec_properties)
        columns = _resolve_columns(exec_properties)
        summary = inspect_log(files, columns)
        examples = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.EXAMPLES_KEY]
        )
        examples.split_names = artifact_utils.encode_split_names([SPLIT])
        split_dir = artifact_utils.get_split_uri([examples], SPLIT)
        tf.io.gfile.makedirs(split_dir)
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(list(enumerate(files)))
                | "SpreadFiles" >> beam.Reshuffle()
                | "ReadBlocks" >> beam.FlatMap(_read_blocks, columns, summary.time_scale)
                | "SpreadBlocks" >> beam.Reshuffle()
                | "WriteShards" >> beam.Map(_write_shard, split_dir)
            )
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")
        examples.set_int_custom_property("num_interactions", summary.num_interactions)
        examples.set_int_custom_property("time_scale", summary.time_scale)


def interactions_gen(
    path: str,
    columns: InteractionColumns = DEFAULT_COLUMNS,
    code_fingerprint: str = "",
) -> FileBasedExampleGen:
    """The component that reads a log.

    Args:
      path: a file, or a folder of files of known kinds (see `list_input_files`).
      columns: the names of the log's columns.
      code_fingerprint: a hash of the code; a new value makes cached outputs stale.

    Returns:
      A component with the output `examples`; its driver fingerprints the files.
    """
    is_folder = os.path.isdir(path)
    folder, name = os.path.split(os.path.abspath(path))
    settings = struct_pb2.Struct()
    settings.update({**columns._asdict(), "code_fingerprint": code_fingerprint})
    custom_config = example_gen_pb2.CustomConfig()
    custom_config.custom_config.Pack(settings)
    split = example_gen_pb2.Input.Split(name=SPLIT, pattern="*" if is_folder else name)
    return FileBasedExampleGen(
        input_base=os.path.abspath(path) if is_folder else folder,
        input_config=example_gen_pb2.Input(splits=[split]),
        custom_config=custom_config,
        custom_executor_spec=executor_spec.BeamExecutorSpec(InteractionsGenExecutor),
    ).with_id("InteractionsGen")


def _resolve_files(exec_properties: dict[str, Any]) -> list[str]:
    input_config = example_gen_pb2.Input()
    proto_utils.json_to_proto(
        exec_properties[standard_component_specs.INPUT_CONFIG_KEY], input_config
    )
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    [split] = input_config.splits
    return list_input_files(base if split.pattern == "*" else os.path.join(base, split.pattern))


def _resolve_columns(exec_properties: dict[str, Any]) -> InteractionColumns:
    custom_config = example_gen_pb2.CustomConfig()
    proto_utils.json_to_proto(
        exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY], custom_config
    )
    settings = struct_pb2.Struct()
    custom_config.custom_config.Unpack(settings)
    return InteractionColumns(settings["user"], settings["item"], settings["time"])


def _read_blocks(
    numbered_file: tuple[int, str], columns: InteractionColumns, time_scale: int
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Blocks of one file with their arrivals, and the names of the shards they belong in."""
    file_number, path = numbered_file
    arrival = file_number * _ARRIVALS_PER_FILE
    blocks = read_interactions(path, columns, time_scale=time_scale)
    for block_number, block in enumerate(blocks):
        arrivals = pa.array(np.arange(arrival, arrival + len(block)))
        arrival += len(block)
        shard = f"data_tfrecord-{file_number:05d}-{block_number:05d}.gz"
        yield shard, pa.RecordBatch.from_arrays([*block.columns, arrivals], schema=LOG_SCHEMA)


def _write_shard(named_block: tuple[str, pa.RecordBatch], split_dir: str) -> None:
    shard, block = named_block
    row_splits = pa.array(np.arange(len(block) + 1), pa.int32())
    features = [
        # An example has a list of values for each feature; text is bytes there.
        pa.ListArray.from_arrays(
            row_splits, column.cast(pa.binary()) if pa.types.is_string(column.type) else column
        )
        for column in block.columns
    ]
    batch = pa.RecordBatch.from_arrays(features, names=block.schema.names)
    with tf.io.TFRecordWriter(os.path.join(split_dir, shard), "GZIP") as writer:
        for example in example_coder.RecordBatchToExamplesEncoder().encode(batch):
            writer.write(example)
