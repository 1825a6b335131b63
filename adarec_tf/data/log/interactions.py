"""Checked blocks of raw interaction logs: every row has a user, an item and a time.

A log has a column each for the user, the item and the time, and if asked for one that says what
kind of event a row is; other columns are ignored. Ids and event types are text, exactly as written
(`007` and `NA` survive); one that is empty or spelled `nan`, `NaN` or `null` counts as missing.
Whatever is wrong with a log is one `InteractionsError` that names the file and the line or row.

Blocks are checked by Arrow's kernels; only a block found bad is looked at row by row.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.data.log.errors import InteractionsError
from adarec_tf.data.log.readers import (
    InteractionColumns,
    Source,
    name_of,
    place_of_row,
    read_blocks,
)

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
# Unix seconds of 1973 to 5138 are below the second bound, milliseconds since 1973 above it.
_MIN_UNIX_SECONDS, _MIN_UNIX_MILLISECONDS = 10**8, 10**11
_FIRST_DATE, _LAST_DATE = 2e8, 1e10  # 1976 and 2286, in seconds since 1970
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


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


def inspect_log(
    sources: Sequence[Source],
    columns: InteractionColumns = DEFAULT_COLUMNS,
    block_bytes: int = _BLOCK_BYTES,
    max_blocks: int | None = None,
) -> LogSummary:
    """Reads a whole log once to check every row, so that nothing is written from a bad log.

    Args:
      sources: files from `list_input_files`, or tables.
      columns: the names of the columns.
      block_bytes: how much of a text file to hold in memory at once.
      max_blocks: of each source, for a look at its first rows only; None: all.

    Returns:
      The number of rows, of all and of each event type, the time scale, which must be the same for
      all files, and the largest time.

    Raises:
      InteractionsError: as `read_interactions`; or times are in different units, or too large to
        keep their fractions; or there are too many event types.
    """
    num_interactions, has_fractions = 0, False
    earliest, latest = (math.inf, ""), (-math.inf, "")
    event_counts = Counter[str]()
    for source in sources:
        blocks = _checked_blocks(source, columns, block_bytes)
        for block in itertools.islice(blocks, max_blocks):
            times = block["timestamp"]
            num_interactions += len(times)
            has_fractions = has_fractions or pa.types.is_floating(times.type)
            bounds = pc.min_max(times).as_py()
            earliest = min(earliest, (bounds["min"], name_of(source)))
            latest = max(latest, (bounds["max"], name_of(source)))
            if columns.event:
                counts = pc.value_counts(block["event"].cast(pa.string())).to_pylist()
                event_counts.update({count["values"]: count["counts"] for count in counts})
                _check_event_types(event_counts, name_of(source), columns)
    if mixes_time_units(earliest[0], latest[0]):
        raise InteractionsError(
            f"`{columns.time}` should be in one unit in the whole log. Received: {earliest[0]} in "
            f"{earliest[1]}, as in unix seconds, and {latest[0]} in {latest[1]}, as in "
            "milliseconds; bring them to one unit."
        )
    largest = max(abs(earliest[0]), abs(latest[0]))
    if has_fractions and largest * FRACTIONAL_TIME_SCALE > _MAX_INT64:
        raise InteractionsError(
            f"`{columns.time}` should be whole, or below {_MAX_INT64 // FRACTIONAL_TIME_SCALE:.1e} "
            f"to keep the order of fractions. Received: fractions, and {largest:g}."
        )
    time_scale = FRACTIONAL_TIME_SCALE if has_fractions else 1
    return LogSummary(
        num_interactions, time_scale, dict(sorted(event_counts.items())), float(largest)
    )


def mixes_time_units(earliest: float, latest: float) -> bool:
    """Whether some times look like unix seconds and others like milliseconds.

    Args:
      earliest: the first time of a log.
      latest: the last one.
    """
    return _MIN_UNIX_SECONDS <= earliest < _MIN_UNIX_MILLISECONDS <= latest


def unix_unit(largest: float) -> float | None:
    """How many units of a log's times are a second, told by their size; None where they are none.

    Args:
      largest: time of the log.

    Returns:
      1 for seconds since 1970, 1,000 for milliseconds and so on; None before 1976.

    Examples:
        >>> unix_unit(1.7e12)
        1000.0
    """
    if not largest >= _FIRST_DATE:
        return None
    unit = 1.0
    while largest / unit > _LAST_DATE:
        unit *= 1000.0
    return unit


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
    schema = INTERACTION_SCHEMA.append(EVENT_FIELD) if columns.event else INTERACTION_SCHEMA
    for block in _checked_blocks(source, columns, block_bytes):
        users, items, times, *events = block.columns
        try:
            timestamps = _scaled(times, time_scale)
        except pa.ArrowInvalid as error:
            raise InteractionsError(
                f"{name_of(source)}: `time_scale` should make every time an integer of 64 bits. "
                f"Received: time_scale={time_scale} ({error})."
            ) from error
        yield pa.RecordBatch.from_arrays([users, items, timestamps, *events], schema=schema)


def _check_event_types(
    event_counts: Mapping[str, int], name: str, columns: InteractionColumns
) -> None:
    if len(event_counts) > _MAX_EVENT_TYPES:
        raise InteractionsError(
            f"{name}: `{columns.event}` should have {_MAX_EVENT_TYPES} event types at most (view, "
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
) -> Iterator[pa.RecordBatch]:
    """As `read_interactions`, but times are float64 where some time of the block has a fraction."""
    num_rows = 0
    for raw in read_blocks(source, columns, block_bytes):
        users, items, raw_times, *events = raw.columns
        times = _numbers(raw_times)
        problems = [(pc.is_null(times), columns.time, "be a number, such as unix seconds")]
        for name, values in zip(columns.names, raw.columns, strict=True):
            if name != columns.time:
                kind = "an event type" if name == columns.event else "an id"
                problems += _text_problems(values, name, kind)
        found = [(pc.index(mask, True).as_py(), name, text) for mask, name, text in problems]
        for row, name, requirement in sorted(problem for problem in found if problem[0] >= 0):
            received = raw.column(columns.names.index(name))[row].as_py()
            raise InteractionsError(
                f"{place_of_row(source, num_rows + row)}: `{name}` should {requirement}. "
                f"Received: {received!r}."
            )
        num_rows += len(times)
        types = [values.dictionary_encode() for values in events]
        names = [*INTERACTION_SCHEMA.names, EVENT_FIELD.name][: len(raw.columns)]
        yield pa.RecordBatch.from_arrays([users, items, times, *types], names=names)
    if num_rows == 0:
        raise InteractionsError(f"{name_of(source)} should hold interactions. Received: no rows.")


def _text_problems(values: pa.Array, name: str, kind: str) -> list[tuple[pa.Array, str, str]]:
    """Where (bool [N]) text is not as it should be, the column, and what should hold."""
    is_missing = pc.is_in(values, pa.array([*MISSING_IDS, None], pa.string()))
    # Two plain searches take a third of the time of a regular expression.
    has_break = pc.or_(pc.match_substring(values, "\n"), pc.match_substring(values, "\r"))
    return [
        (is_missing, name, f"be {kind}, not a missing value"),
        (has_break, name, f"have no line break in {kind}"),
    ]


def _numbers(times: pa.Array) -> pa.Array:
    """Times as int64, as float64 if one has a fraction; null where there is no finite number."""
    if pa.types.is_integer(times.type):
        return times
    if pa.types.is_string(times.type):
        text = pc.utf8_trim_whitespace(times)
        # Arrow would read 0x10 as a number.
        has_hexadecimal = pc.any(pc.match_substring(text, "x", ignore_case=True)).as_py()
        try:
            if not has_hexadecimal:
                return text.cast(pa.int64())
        except pa.ArrowInvalid:
            pass  # some are fractions, or no numbers
        is_number = pc.match_substring_regex(text, _NUMBER)
        times = pc.if_else(is_number, text, pa.scalar(None, pa.string())).cast(pa.float64())
    times = pc.if_else(pc.is_finite(times), times, pa.scalar(None, pa.float64()))
    try:
        return times.cast(pa.int64())
    except pa.ArrowInvalid:
        return times
