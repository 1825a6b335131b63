import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from adarec_tf.data.log.errors import InteractionsError
from adarec_tf.data.log.readers import has_rows, list_input_files


def test_a_folder_is_listed_by_name_without_hidden_and_bookkeeping_files(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "c.tsv.gz", ".DS_Store", "_SUCCESS"):
        (tmp_path / name).touch()
    names = [Path(file).name for file in list_input_files(str(tmp_path))]
    assert names == ["a.parquet", "b.csv", "c.tsv.gz"]


def test_a_file_is_its_own_list(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.touch()
    assert list_input_files(str(file)) == [str(file)]


def test_an_unknown_extension_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "log.xlsx").touch()
    with pytest.raises(InteractionsError, match=r"\.csv, \.tsv.*\.parquet.*log\.xlsx"):
        list_input_files(str(tmp_path))


def test_a_missing_path_an_empty_folder_and_a_nested_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InteractionsError, match="nothing there"):
        list_input_files(str(tmp_path / "absent.csv"))
    with pytest.raises(InteractionsError, match="should hold interaction files"):
        list_input_files(str(tmp_path))
    (tmp_path / "nested").mkdir()
    with pytest.raises(InteractionsError, match="nested"):
        list_input_files(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "without", "with_rows"),
    [
        ("a.csv", b"user,item\n", b"user,item\nu,i"),
        ("a.csv", b"", b"user\n\n\nu\n"),
        (
            "a.tsv.gz",
            gzip.compress(b"user\titem\n", mtime=0),
            gzip.compress(b"user\titem\nu\ti\n", mtime=0),
        ),
        ("a.tfrecord", b"", b"a record"),
        ("a.tfrecord.gz", gzip.compress(b"", mtime=0), gzip.compress(b"a record", mtime=0)),
        ("a.tsv.gz", gzip.compress(b"", mtime=0), b"not gzip at all: whoever reads it says so"),
        ("a.parquet", None, b"no Parquet at all"),
    ],
)
def test_files_without_rows_are_known(
    tmp_path: Path, name: str, without: bytes | None, with_rows: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(with_rows)
    assert has_rows(str(path))
    if without is not None:
        path.write_bytes(without)
        assert not has_rows(str(path))


def test_parquet_files_without_rows_are_known(tmp_path: Path) -> None:
    for rows in ([], ["u"]):
        table = pa.table({"user": pa.array(rows, pa.string())})
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        assert has_rows(str(tmp_path / "a.parquet")) == bool(rows)
