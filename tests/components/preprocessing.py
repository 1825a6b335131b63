"""Small logs, preprocessed by the component's own function, and what is read of the results."""

from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.events import resolve_events
from adarec_tf.data.storage.history_files import SPLITS, read_histories
from components.interaction_blocks import write_block
from components.sequence_preprocessor import preprocess
from tests.adarec_tf.data.coded_rows import EventRow, as_event_log, as_log
from tests.references import sequences as reference

Row = tuple[str, str, int]
LOG: list[Row] = [
    *[("ann", item, time) for time, item in enumerate(["a", "b", "c", "a", "rare"])],
    *[("bob", item, 7) for item in ["c", "b", "a", "d"]],
    ("bob", "c", 7),  # a duplicate
    *[("zoë", item, -time) for time, item in enumerate(["d", "b", "a"])],
    ("short", "a", 1),
]


def write_examples(directory: Path, log: pa.Table, num_files: int = 1) -> str:
    """Blocks as of InteractionsGen, but with rows dealt out to the files, the last row first."""
    directory.mkdir(parents=True)
    for file in range(num_files):
        path = directory / f"data_parquet-{file:05d}.parquet"
        write_block(str(path), log.take(np.arange(file, len(log), num_files)[::-1]))
    return str(directory)


def run(
    directory: Path,
    rows: list[Row] | list[EventRow],
    num_files: int = 1,
    workers: int = 1,
    previous_vocabulary: str = "",
    **config: Any,
) -> SequenceStatistics:
    has_events = len(rows[0]) == 4
    log = as_event_log(rows) if has_events else as_log(rows)
    events = Counter(log["event"].to_pylist() if has_events else [])
    examples_dir = write_examples(directory / "examples", log, num_files)
    options = beam.options.pipeline_options.PipelineOptions(
        runner="FnApiRunner", direct_num_workers=workers, direct_running_mode="multi_threading"
    )
    return preprocess(
        beam.Pipeline(options=options),
        examples_dir,
        str(directory / "sequences"),
        str(directory / "vocabulary"),
        DataConfig(**config),
        events=resolve_events(DataConfig(**config), events),
        previous_vocabulary=previous_vocabulary,
    )


def decoded(directory: Path) -> dict[str, tuple[list[str], str, str]]:
    vocabulary = ItemVocabulary.read(str(directory / "vocabulary" / "vocabulary.txt"))
    train, valid, test = (read_histories(str(directory / "sequences"), name) for name in SPLITS)
    result = {}
    for user, key in enumerate(train.user_keys):
        assert key == valid.user_keys[user] == test.user_keys[user]
        [valid_target] = vocabulary.decode([valid.targets[user]])
        [test_target] = vocabulary.decode([test.targets[user]])
        assert vocabulary.decode(test.history(user)) == [
            *vocabulary.decode(valid.history(user)),
            valid_target,
        ]
        items = vocabulary.decode(train.history(user))
        assert items == vocabulary.decode(valid.history(user))
        result[key.decode()] = (items, valid_target, test_target)
    return result


def decoded_in_time(directory: Path) -> reference.TimeSplit:
    vocabulary = ItemVocabulary.read(str(directory / "vocabulary" / "vocabulary.txt"))
    splits = {name: read_histories(str(directory / "sequences"), name) for name in SPLITS}
    items = {
        name: {
            key.decode(): vocabulary.decode(split.history(user))
            for user, key in enumerate(split.user_keys)
        }
        for name, split in splits.items()
    }
    targets = {
        name: dict(zip(items[name], vocabulary.decode(splits[name].targets), strict=True))
        for name in ("valid", "test")
    }
    valid, test = (
        {user: (items[name][user], target) for user, target in of_split.items()}
        for name, of_split in targets.items()
    )
    return reference.TimeSplit(items["train"], valid, test, list(vocabulary.keys), {})


def contents(directory: Path) -> dict[str, bytes]:
    files = [*directory.glob("sequences/**/*"), *directory.glob("vocabulary/*")]
    return {str(file.relative_to(directory)): file.read_bytes() for file in files if file.is_file()}
