"""Raw interaction logs, files and tables: which there are, and their columns as blocks, unchecked.

CSV and TSV come as text, exactly as written; Parquet, TFRecord and tables as text and numbers. What
every row must hold is checked in `interactions`, through which the rest of the library reads.
"""

import csv
import ctypes
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from adarec_tf.config.data import DataConfig
from adarec_tf.data.log.errors import InteractionsError

DELIMITERS = {
    f"{ending}{compression}": delimiter
    for compression in ("", ".gz", ".zst")
    for ending, delimiter in ((".csv", ","), (".tsv", "\t"))
}
_PARQUET = ".parquet"
_RECORDS = {".tfrecord": "", ".tfrecord.gz": "GZIP"}
_DELIMITER_NAMES = {",": "commas", "\t": "tabs"}
# A file of a log, or a table.
Source: TypeAlias = str | pa.Table


class InteractionColumns(NamedTuple):
    """The names a log gives to the columns that matter.

    Attributes:
      user: who.
      item: what.
      time: when.
      event: what kind of row it is (a view, a purchase); empty: no column says so.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    event: str = ""

    @classmethod
    def of_config(cls, config: DataConfig) -> "InteractionColumns":
        """The columns that a config names."""
        return cls(config.user_column, config.item_column, config.time_column, config.event_column)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return tuple(filter(None, self))


def list_input_files(path: str) -> list[str]:
    """The files of a log, in the order that decides which interaction arrived first.

    Args:
      path: a file, or a folder of files (sorted by name; names that start with `.` or `_` are
        bookkeeping of other tools and are left out).

    Returns:
      One path or more.

    Raises:
      InteractionsError: nothing is there, or something that is not a known kind of file.
    """
    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if not name.startswith((".", "_")))
        files = [os.path.join(path, name) for name in names]
    elif os.path.exists(path):
        files = [path]
    else:
        raise InteractionsError(f"{path} should be a file or a folder. Received: nothing there.")
    if not files:
        raise InteractionsError(f"{path} should hold interaction files. Received: none.")
    for file in files:
        if os.path.isdir(file):
            raise InteractionsError(f"{path} should hold files only. Received: folder {file}.")
        _extension(file)
    return files


def to_table(source: Any) -> pa.Table:
    """A data frame as an Arrow table.

    Args:
      source: a pyarrow table, a data frame of pandas or polars, or anything that has
        `__arrow_c_stream__`.

    Raises:
      InteractionsError: it is none of these, or cannot become a table.
    """
    try:
        if isinstance(source, pa.Table):
            return source
        if hasattr(source, "to_arrow"):  # polars, whose stream older readers do not understand
            return source.to_arrow()
        if hasattr(source, "__arrow_c_stream__"):
            pointer = ctypes.pythonapi.PyCapsule_GetPointer
            pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
            stream = source.__arrow_c_stream__()
            address = pointer(stream, b"arrow_array_stream")
            return pa.RecordBatchReader._import_from_c(address).read_all()
        if hasattr(source, "__dataframe__"):  # pandas before 2.2
            return pa.Table.from_pandas(source, preserve_index=False)
    except pa.ArrowException as error:
        raise InteractionsError(
            f"`source` should have columns of one type each. Received: {error}."
        ) from error
    raise InteractionsError(
        "`source` should be a path, or a table of pandas, polars or pyarrow. "
        f"Received: {type(source).__name__}."
    )


def read_blocks(
    source: Source, columns: InteractionColumns, block_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Reads the columns of one file that matter.

    Args:
      source: a file or a table.
      columns: the names of the columns.
      block_bytes: how much of a text file to hold in memory at once.

    Yields:
      Batches of user ids (string), item ids (string), times (string, int64 or float64) and, where
      a column has them, event types (string).

    Raises:
      InteractionsError: the file is missing, broken or of an unknown kind, a column is missing or
        of a wrong type, or a row has a wrong number of fields.
    """
    if isinstance(source, pa.Table):
        _check_columns(name_of(source), source.column_names, columns)
        return _to_batches(name_of(source), columns, source.select(columns.names).to_batches())
    extension = _extension(source)
    if extension == _PARQUET:
        return _read_parquet(source, columns)
    if extension in _RECORDS:
        # Imported here: it brings TensorFlow, which a command that only looks at settings should
        # not have to wait for.
        from adarec_tf.data.log.tfrecord_reader import read_records

        batches = read_records(source, _RECORDS[extension], columns.names)
        return _to_batches(source, columns, batches)
    return _read_text(source, columns, block_bytes)


def needs_tensorflow(source: Source) -> bool:
    """Whether reading a source imports TensorFlow, which takes its time."""
    return not isinstance(source, pa.Table) and _extension(source) in _RECORDS


def has_rows(path: str) -> bool:
    """Whether there is a row in a file; a damaged one is taken to have some."""
    extension = _extension(path)
    try:
        if extension == _PARQUET:
            return pyarrow.parquet.read_metadata(path).num_rows > 0
        if extension in _RECORDS:
            with _open_text(path) as stream:
                return bool(stream.read(1))
        return len(list(itertools.islice(_rows(path), 2))) == 2  # the header, and one
    except (InteractionsError, pa.ArrowInvalid, OSError):
        return True


def place_of_row(source: Source, row: int) -> str:
    """Where to find a row: the source, and `line 7` of a text file or `row 6`.

    Args:
      source: a file or a table.
      row: from 0, a header not counted.
    """
    if isinstance(source, pa.Table) or _extension(source) not in DELIMITERS:
        return f"{name_of(source)}, row {row + 1}"
    line = next(line for number, (line, _) in enumerate(_rows(source), -1) if number == row)
    return f"{source}, line {line}"


def name_of(source: Source) -> str:
    """What messages call a source: the path of a file."""
    return "`source`" if isinstance(source, pa.Table) else source


def _extension(path: str) -> str:
    known = [*DELIMITERS, _PARQUET, *_RECORDS]
    extension = next((ending for ending in known if path.lower().endswith(ending)), None)
    if extension is None:
        raise InteractionsError(
            f"{path} should end in one of {', '.join(known)}. Received: {os.path.basename(path)}."
        )
    return extension


def _check_columns(name: str, found: Sequence[str], columns: InteractionColumns) -> None:
    for part, column in columns._asdict().items():
        if column and found.count(column) != 1:
            raise InteractionsError(
                f"{name} should have one column `{column}`. Received the columns: "
                f"{', '.join(map(str, found))}; `--{part}-column` (`data.{part}_column`; in "
                f"Python, `{part}`) names another."
            )


# Text files


def _read_text(
    path: str, columns: InteractionColumns, block_bytes: int
) -> Iterator[pa.RecordBatch]:
    extension = _extension(path)
    header = _read_header(path)
    kind = f"separated by {_DELIMITER_NAMES[DELIMITERS[extension]]}, as {extension} files are"
    _check_columns(f"{path} ({kind})", header, columns)
    try:
        with _open_text(path) as stream:
            yield from pyarrow.csv.open_csv(
                stream,
                pyarrow.csv.ReadOptions(block_size=block_bytes),
                # Ignored columns may be prose with line breaks in quotes.
                pyarrow.csv.ParseOptions(delimiter=DELIMITERS[extension], newlines_in_values=True),
                # Everything stays text: type inference would turn 007 into 7 and NA into null.
                pyarrow.csv.ConvertOptions(
                    column_types={name: pa.string() for name in columns.names},
                    include_columns=list(columns.names),
                    strings_can_be_null=False,
                ),
            )
    except pa.ArrowInvalid as error:
        raise _parse_error(path, header, columns, error) from error
    except OSError as error:
        raise InteractionsError(f"{path} should be a whole file. Received: {error}.") from error


def _open_text(path: str) -> pa.NativeFile:
    compression = {".gz": "gzip", ".zst": "zstd"}.get(os.path.splitext(path.lower())[1])
    return pa.input_stream(path, compression=compression)


def _read_header(path: str) -> list[str]:
    line, header = next(_rows(path), (0, []))
    if not header:
        raise InteractionsError(f"{path} should start with a header line. Received: an empty file.")
    _check_is_utf8(path, line, header)
    return header


def _rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """The line each row starts on, and its fields: slow, for the header and for error messages.

    Bytes that are not UTF-8 come out as lone surrogates.
    """
    extension = _extension(path)
    line = 1
    try:
        with io.TextIOWrapper(
            _open_text(path), encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as text:
            reader = csv.reader(text, delimiter=DELIMITERS[extension])
            for row in reader:
                if row:  # Arrow skips empty lines, too
                    yield line, row
                line = reader.line_num + 1
    except csv.Error as error:
        raise InteractionsError(
            f"{path}, line {line}: quotes should be closed. Received: {error}."
        ) from error
    except OSError as error:
        raise InteractionsError(f"{path} should be a whole file. Received: {error}.") from error


def _check_is_utf8(path: str, line: int, fields: Iterable[str]) -> None:
    if any("\ud800" <= character <= "\udfff" for field in fields for character in field):
        raise InteractionsError(
            f"{path}, line {line}: text should be UTF-8. Received: other bytes."
        )


def _parse_error(
    path: str, header: list[str], columns: InteractionColumns, error: pa.ArrowInvalid
) -> InteractionsError:
    used = [header.index(name) for name in columns.names]
    line = 0
    for line, row in _rows(path):
        if len(row) != len(header):
            return InteractionsError(
                f"{path}, line {line}: a row should have {len(header)} fields, as the header has. "
                f"Received: {len(row)}."
            )
        _check_is_utf8(path, line, (row[position] for position in used))
    if line == 1:
        return InteractionsError(f"{path} should hold interactions. Received: no rows.")
    return InteractionsError(f"{path} should be a table of rows. Received: {error}.")


# TFRecord and Parquet files, and tables


def _read_parquet(path: str, columns: InteractionColumns) -> Iterator[pa.RecordBatch]:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        _check_columns(f"{path} (Parquet)", file.schema_arrow.names, columns)
        # Lists and structs of the columns' names would come back under other names.
        yield from _to_batches(path, columns, file.iter_batches(columns=list(columns.names)))
    except (pa.ArrowInvalid, OSError) as error:
        raise InteractionsError(
            f"{path} should be a whole Parquet file. Received: {error}."
        ) from error


def _to_batches(
    name: str, columns: InteractionColumns, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The columns in the order of `columns.names`, as text and times."""
    for batch in batches:
        arrays = [
            (_to_times if column == columns.time else _to_text)(
                name, column, batch.column(batch.schema.names.index(column))
            )
            for column in columns.names
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns.names))


def _to_text(name: str, column: str, ids: pa.Array) -> pa.Array:
    kind = ids.type.value_type if pa.types.is_dictionary(ids.type) else ids.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (is_text or pa.types.is_binary(kind) or pa.types.is_integer(kind)):
        raise InteractionsError(
            f"{name}: column `{column}` should hold text or whole numbers. Received: {kind}."
        )
    return ids.cast(kind).cast(pa.string())


def _to_times(name: str, column: str, times: pa.Array) -> pa.Array:
    kind = times.type
    if pa.types.is_integer(kind):
        return times.cast(pa.int64())
    if pa.types.is_floating(kind):
        return times.cast(pa.float64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return times.cast(pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # Nanoseconds are cut to microseconds: one unit for every file of a log.
        return times.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    raise InteractionsError(
        f"{name}: column `{column}` should hold numbers, dates or timestamps. Received: {kind}."
    )
