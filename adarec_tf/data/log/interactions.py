"""Readers of raw interaction logs: CSV, TSV, Parquet and TFRecord files to checked Arrow blocks.

A log is a file or a folder of files with a column each for the user, the item and the time, and if
asked for one that says what kind of event a row is; other columns are ignored. Ids and event types
are text, exactly as written (`007` and `NA` survive); one that is empty or spelled `nan`, `NaN` or
`null` counts as missing. Whatever is wrong with a log is one `InteractionsError` that names the
file and the line or row. Filters and orders come later.

Blocks are read and checked by Arrow's kernels; only a block found bad is looked at row by row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.data.log.readers import (
    InteractionColumns,
    InteractionsError,
    Source,
    list_input_files,
    name_of,
    place_of_row,
    read_blocks,
)

__all__ = [
    "DEFAULT_COLUMNS",
    "EVENT_FIELD",
    "FRACTIONAL_TIME_SCALE",
    "INTERACTION_SCHEMA",
    "MISSING_IDS",
    "InteractionColumns",
    "InteractionsError",
    "LogSummary",
    "inspect_log",
    "list_input_files",
    "read_interactions",
]

DEFAULT_COLUMNS = InteractionColumns()
INTERACTION_SCHEMA = pa.schema(
    [("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64())]
)
# After the columns of `INTERACTION_SCHEMA`, in logs with a column of event types.
EVENT_FIELD = pa.field("event", pa.dictionary(pa.int32(), pa.string()))
# Spelled-out missing values that exports of data frames leave behind.
MISSING_IDS = ("", "nan", "NaN", "null")
# One whole unit in millionths: keeps the order of fractional times in an int64.
FRACTIONAL_TIME_SCALE = 1_000_000
# More of them are no types, but ids or times.
_MAX_EVENT_TYPES = 1000
_BLOCK_BYTES = 8 << 20
_MAX_INT64 = np.iinfo(np.int64).max


class LogSummary(NamedTuple):
    """What a first look at a whole log found.

    Attributes:
      num_interactions: rows in all files.
      time_scale: what `read_interactions` should multiply times by to get integers: 1, or
        `FRACTIONAL_TIME_SCALE` if some time of the log has a fraction.
      event_counts: rows of each event type; empty where no column has them.
      largest_time: the time furthest from 0, without its sign and not scaled.
    """

    num_interactions: int
    time_scale: int
    event_counts: Mapping[str, int] = {}
    largest_time: float = 0.0


class _Block(NamedTuple):
    users: pa.Array  # string
    items: pa.Array  # string
    times: pa.Array  # int64; float64 if some time of the block has a fraction
    events: pa.DictionaryArray | None  # as `EVENT_FIELD`


def inspect_log(
    files: Sequence[Source],
    columns: InteractionColumns = DEFAULT_COLUMNS,
    block_bytes: int = _BLOCK_BYTES,
) -> LogSummary:
    """Reads a whole log once to check every row, so that nothing is written from a bad log.

    Args:
      files: from `list_input_files`; or tables.
      columns: the names of the columns.
      block_bytes: how much of a text file to hold in memory at once.

    Returns:
      The number of rows, of all and of each event type, the time scale, which must be the same for
      all files, and the largest time.

    Raises:
      InteractionsError: as `read_interactions`; or times with fractions are too large to keep; or
        there are too many event types.
    """
    num_interactions, largest, has_fractions = 0, 0.0, False
    event_counts = Counter[str]()
    for file in files:
        for block in _checked_blocks(file, columns, block_bytes):
            num_interactions += len(block.times)
            has_fractions = has_fractions or pa.types.is_floating(block.times.type)
            bounds = pc.min_max(block.times).as_py()
            largest = max(largest, abs(bounds["min"]), abs(bounds["max"]))
            if block.events is not None:
                event_counts += _count_events(block.events)
                _check_event_types(event_counts, name_of(file), columns)
    if has_fractions and largest * FRACTIONAL_TIME_SCALE > _MAX_INT64:
        raise InteractionsError(
            f"`{columns.time}` should be whole, or below {_MAX_INT64 // FRACTIONAL_TIME_SCALE:.1e} "
            f"to keep the order of fractions. Received: fractions, and {largest:g}."
        )
    time_scale = FRACTIONAL_TIME_SCALE if has_fractions else 1
    return LogSummary(
        num_interactions, time_scale, dict(sorted(event_counts.items())), float(largest)
    )


def read_interactions(
    source: Source,
    columns: InteractionColumns = DEFAULT_COLUMNS,
    *,
    time_scale: int = 1,
    block_bytes: int = _BLOCK_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Reads one file of a log block by block, in the order of its rows.

    The kind and the delimiter follow from the extension: `.csv` (commas), `.tsv` (tabs), either
    with `.gz` or `.zst`, `.parquet`, and `.tfrecord` or `.tfrecord.gz` with a `tf.train.Example` a
    row, whose features are the columns. Text is UTF-8 with a header line; fields may be quoted with
    `"`. Times are whole or decimal numbers in any unit, only their order matters; Parquet may also
    have dates and timestamps, which become microseconds.

    Args:
      source: a file, or a table with what a Parquet file may hold.
      columns: the names of the columns.
      time_scale: `LogSummary.time_scale` of the log the file belongs to.
      block_bytes: how much of a text file to hold in memory at once.

    Yields:
      Batches with `INTERACTION_SCHEMA`: user_id and item_id string, timestamp int64
      (time x `time_scale`, rounded); with `EVENT_FIELD` where a column has event types.

    Raises:
      InteractionsError: the file is missing, empty, broken, of an unknown kind, without a column,
        or a row has a wrong number of fields, a missing id or event type, one with a line break,
        or a time that is not a number.
    """
    for block in _checked_blocks(source, columns, block_bytes):
        try:
            timestamps = _scaled(block.times, time_scale)
        except pa.ArrowInvalid as error:
            raise InteractionsError(
                f"{name_of(source)}: `time_scale` should make every time an integer of 64 bits. "
                f"Received: time_scale={time_scale} ({error})."
            ) from error
        arrays, schema = [block.users, block.items, timestamps], INTERACTION_SCHEMA
        if block.events is not None:
            arrays, schema = [*arrays, block.events], schema.append(EVENT_FIELD)
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _count_events(events: pa.DictionaryArray) -> Counter[str]:
    types = events.dictionary.to_pylist()
    counts = np.bincount(events.indices.to_numpy(), minlength=len(types))
    return Counter(dict(zip(types, counts.tolist(), strict=True)))


def _check_event_types(
    event_counts: Mapping[str, int], path: str, columns: InteractionColumns
) -> None:
    if len(event_counts) > _MAX_EVENT_TYPES:
        raise InteractionsError(
            f"{path}: `{columns.event}` should have {_MAX_EVENT_TYPES} event types at most (view, "
            f"cart, purchase). Received: {len(event_counts)}, as {next(iter(event_counts))!r}."
        )


def _scaled(times: pa.Array, time_scale: int) -> pa.Array:
    if time_scale == 1:
        return times.cast(pa.int64())
    if pa.types.is_integer(times.type):
        return pc.multiply_checked(times, pa.scalar(time_scale, pa.int64()))
    return pc.round(pc.multiply(times, float(time_scale))).cast(pa.int64())


def _checked_blocks(
    source: Source, columns: InteractionColumns, block_bytes: int
) -> Iterator[_Block]:
    num_rows = 0
    for raw in read_blocks(source, columns, block_bytes):
        events = raw.column(3).dictionary_encode() if columns.event else None
        block = _Block(raw.column(0), raw.column(1), _numbers(raw.column(2)), events)
        problem = _first_problem(block, columns)
        if problem is not None:
            row, name, requirement = problem
            received = raw.column(columns.names.index(name))[row].as_py()
            raise InteractionsError(
                f"{place_of_row(source, num_rows + row)}: `{name}` should {requirement}. "
                f"Received: {received!r}."
            )
        num_rows += len(block.times)
        yield block
    if num_rows == 0:
        raise InteractionsError(f"{name_of(source)} should hold interactions. Received: no rows.")


def _first_problem(block: _Block, columns: InteractionColumns) -> tuple[int, str, str] | None:
    """Row in the block, column name and what should hold, of the first bad row."""
    problems = []
    for name, ids in ((columns.user, block.users), (columns.item, block.items)):
        problems.append((_is_missing(ids), name, "be an id, not a missing value"))
        problems.append((_has_break(ids), name, "have no line break in an id"))
    if block.events is not None:
        # A look at each type is enough; a null has no place among them.
        types, places = block.events.dictionary, block.events.indices
        is_missing = pc.fill_null(_is_missing(types).take(places), True)
        problems.append((is_missing, columns.event, "be an event type, not a missing value"))
        has_break = pc.fill_null(_has_break(types).take(places), False)
        problems.append((has_break, columns.event, "have no line break in an event type"))
    problems.append((pc.is_null(block.times), columns.time, "be a number, such as unix seconds"))
    found = [(pc.index(mask, True).as_py(), name, text) for mask, name, text in problems]
    return min((problem for problem in found if problem[0] >= 0), default=None)


def _is_missing(ids: pa.Array) -> pa.Array:
    return pc.is_in(ids, pa.array([*MISSING_IDS, None], pa.string()))


def _has_break(ids: pa.Array) -> pa.Array:
    # Two plain searches take a third of the time of a regular expression.
    return pc.or_(pc.match_substring(ids, "\n"), pc.match_substring(ids, "\r"))


def _numbers(times: pa.Array) -> pa.Array:
    """Times as int64, as float64 if one has a fraction; null where there is no finite number."""
    if pa.types.is_integer(times.type):
        return times
    if pa.types.is_string(times.type):
        text = pc.utf8_trim_whitespace(times)
        # Arrow would read 0x10 as a number.
        text = pc.if_else(pc.match_substring(text, "x", ignore_case=True), "", text)
        try:
            return text.cast(pa.int64())
        except pa.ArrowInvalid:
            times = _floats(text)
    times = pc.if_else(pc.is_finite(times), times, pa.scalar(None, pa.float64()))
    try:
        return times.cast(pa.int64())
    except pa.ArrowInvalid:
        return times


def _floats(text: pa.Array) -> pa.Array:
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        # Some row is no number: find out which, one by one.
        return pa.concat_arrays([_float_or_null(text.slice(row, 1)) for row in range(len(text))])


def _float_or_null(text: pa.Array) -> pa.Array:
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        return pa.nulls(1, pa.float64())
