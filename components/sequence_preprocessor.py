"""SequencePreprocessor: interactions to split histories and the item vocabulary, on Beam.

Blocks of the log are cut by user into a fixed number of partitions, and each partition becomes one
shard of each split. What is written depends on the log alone, not on workers, blocks or the order
of elements. Rows never travel through Beam: they lie in files beside the output, and elements are
references to them, so that no runner has to hold a log in memory.
"""

import json
import os

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.sessions import check_time_unit
from adarec_tf.data.histories.statistics import SequenceStatistics, check_enough_is_left
from adarec_tf.data.histories.time_split import find_time_cuts
from adarec_tf.data.histories.value_counts import merge_counts
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.encoded import count_partitions, distinct_keys
from adarec_tf.data.log.events import NO_EVENTS, EventOptions, resolve_events
from adarec_tf.data.storage.history_files import SPLITS, read_statistics
from adarec_tf.data.storage.manifest import list_shards
from components import preprocessing_steps as steps
from components.artifacts import Sequences, Vocabulary
from components.interaction_blocks import count_rows, list_blocks
from components.interactions_gen import SPLIT

_SCRATCH = "scratch"


@component(use_beam=True)
def SequencePreprocessor(  # noqa: N802 (a component is named as a class)
    examples: InputArtifact[Examples],
    sequences: OutputArtifact[Sequences],
    vocabulary: OutputArtifact[Vocabulary],
    data_config: Parameter[str],
    code_fingerprint: Parameter[str] = "",
    previous_vocabulary: Parameter[str] = "",
    previous_fingerprint: Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Filters, orders and splits a log.

    Args:
      examples: of InteractionsGen.
      sequences: train, valid and test histories and their statistics.
      vocabulary: the item vocabulary.
      data_config: a `DataConfig` as JSON.
      code_fingerprint: a hash of the code; a new value makes cached outputs stale.
      previous_vocabulary: file of an earlier run's vocabulary, whose ids are kept; "" for none.
      previous_fingerprint: of that file, for the cache to see changes.
      beam_pipeline: made by TFX from the Beam arguments of the pipeline.

    Raises:
      ValueError: the filters left nothing to learn from, or a split in time no targets, or the log
        has no event of a type named, or times in another unit; or the earlier vocabulary cannot be
        read.
    """
    del code_fingerprint, previous_fingerprint  # only part of the cache key
    config = DataConfig.from_json(data_config)
    check_time_unit(config, examples.get_float_custom_property("largest_time"))
    split_dir = artifact_utils.get_split_uri([examples], SPLIT)
    time_scale = examples.get_int_custom_property("time_scale") or 1
    counts = json.loads(examples.get_string_custom_property("event_counts") or "{}")
    events = resolve_events(config, counts)
    statistics = preprocess(
        *(beam_pipeline, split_dir, sequences.uri, vocabulary.uri, config, time_scale, events),
        previous_vocabulary,
    )
    for name, count in statistics.removed.items():
        sequences.set_int_custom_property(f"removed_{name}", count)
    for name in ("num_users", "num_items", "num_interactions"):
        sequences.set_int_custom_property(name, getattr(statistics, name))
    sequences.set_string_custom_property("split", config.split)
    sequences.set_string_custom_property("seen", statistics.seen)
    sequences.set_string_custom_property("data_fingerprint", statistics.data_fingerprint)
    vocabulary.set_int_custom_property("num_items", statistics.num_items)


def preprocess(
    pipeline: beam.Pipeline,
    examples_dir: str,
    sequences_dir: str,
    vocabulary_dir: str,
    config: DataConfig,
    time_scale: int = 1,
    events: EventOptions = NO_EVENTS,
    previous_vocabulary: str = "",
) -> SequenceStatistics:
    """Runs the pipeline from the blocks of InteractionsGen to sequences and vocabulary.

    Args:
      pipeline: an empty Beam pipeline.
      examples_dir: the folder of the blocks; all workers see it, and the two below.
      sequences_dir: gets the histories, their manifest and the statistics.
      vocabulary_dir: gets the vocabulary.
      config: filters, how to split, and the policy for seen items.
      time_scale: of the blocks' times (`LogSummary.time_scale`).
      events: what becomes of the event types of the blocks.
      previous_vocabulary: file of a vocabulary that is extended; "" for none. All workers see it.

    Returns:
      The statistics written beside the sequences.

    Raises:
      ValueError: the filters left nothing to learn from, or a split in time no targets; or the
        earlier vocabulary cannot be read.
    """
    if previous_vocabulary:
        ItemVocabulary.read(previous_vocabulary)  # an error here is better than in a worker
    files = list_blocks(examples_dir)
    job = steps.Job(
        sequences_dir,
        vocabulary_dir,
        os.path.join(sequences_dir, _SCRATCH),
        count_partitions(count_rows(files)),
        config,
        time_scale,
        events,
        previous_vocabulary,
    )
    folders = [os.path.join(sequences_dir, f"Split-{split}") for split in SPLITS]
    for folder in (*folders, vocabulary_dir, job.scratch):
        tf.io.gfile.makedirs(folder)
    try:
        with pipeline:
            _build(pipeline, files, job)
    finally:
        tf.io.gfile.rmtree(job.scratch)
    # After the run, not inside: an error raised in Beam reaches the user wrapped in its own.
    statistics = read_statistics(sequences_dir)
    num_valid, num_test = (
        sum(shard.num_histories for shard in list_shards(sequences_dir, f"Split-{name}"))
        for name in ("valid", "test")
    )
    check_enough_is_left(statistics, num_valid, num_test, config)
    return statistics


def _build(pipeline: beam.Pipeline, files: list[str], job: steps.Job) -> None:
    """Lays out the steps; each partition is one element from the grouping on."""
    blocks = pipeline | "Files" >> beam.Create(files) | "SpreadFiles" >> beam.Reshuffle()
    item_keys = beam.pvalue.AsSingleton(
        blocks
        | "FindItems" >> beam.Map(steps.item_keys_of)
        | "MergeItems" >> beam.CombineGlobally(distinct_keys)
        | "WriteItems" >> beam.Map(steps.write_item_keys, job)
    )
    partitions = (
        blocks
        | "CutByUser" >> beam.FlatMap(steps.cut_block, item_keys, job)
        | "GroupByPartition" >> beam.GroupByKey()
        | "Order" >> beam.Map(steps.order_partition, job)
    )
    kept = beam.pvalue.AsSingleton(
        partitions
        | "ListPartitions" >> beam.combiners.ToList()
        | "Filter" >> beam.Map(steps.find_kept, item_keys, job)
    )
    cuts = beam.pvalue.AsSingleton(_time_cuts(pipeline, partitions, kept, job.config))
    item_ids = beam.pvalue.AsSingleton(
        partitions
        | "CountItems" >> beam.Map(steps.count_items, kept, cuts, job)
        | "MergeItemCounts" >> beam.CombineGlobally(merge_counts)
        | "WriteVocabulary" >> beam.Map(steps.write_vocabulary, item_keys, job)
    )
    _ = (
        partitions
        | "WriteShards" >> beam.Map(steps.write_shards, kept, item_ids, cuts, job)
        | "ListShards" >> beam.combiners.ToList()
        | "WriteStatistics" >> beam.Map(steps.write_summary, kept, item_ids, cuts, job)
    )


def _time_cuts(
    pipeline: beam.Pipeline,
    partitions: beam.PCollection,
    kept: beam.pvalue.AsSingleton,
    config: DataConfig,
) -> beam.PCollection:
    """The one `TimeCuts` of a global time split; None for leave-one-out."""
    if config.split == "leave_one_out":
        return pipeline | "NoTimeCuts" >> beam.Create([None])
    return (
        partitions
        | "CountTimes" >> beam.Map(steps.count_times, kept)
        | "MergeTimeCounts" >> beam.CombineGlobally(merge_counts)
        | "FindTimeCuts" >> beam.Map(find_time_cuts, config.test_time_share)
    )
