import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.log.interactions import read_interactions
from adarec_tf.data.log.readers import list_input_files
from pipeline.configs import custom_config, scene_config
from pipeline.scene_data import check_log, locate_data

CONFIG = PipelineConfig(scene="custom")
HEADER = "user_id,item_id,timestamp\n"
GOOD = HEADER + "u,i,1700000000\n"
BAD_HEADER = GOOD.replace("user_id", "who")


def write_log(path: Path, text: str) -> Path:
    """Writes a text with commas as the kind of file that the path's name says."""
    if path.suffix == ".parquet":
        header, row = (line.split(",") for line in text.splitlines())
        columns = zip(header, row, strict=True)
        pq.write_table(pa.table({name: [value] for name, value in columns}), path)
        return path
    content = (text.replace(",", "\t") if ".tsv" in path.name else text).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def daily_log(folder: Path, *days: str) -> str:
    """A pattern of daily folders with these texts."""
    for number, text in enumerate(days, 1):
        day = folder / f"2026-11-0{number}"
        day.mkdir()
        (day / "log.csv").write_text(text)
    return f"{folder}/{{YYYY}}-{{MM}}-{{DD}}/*"


def test_a_scene_that_cannot_be_generated_needs_a_file() -> None:
    with pytest.raises(ValueError, match=r"'beauty' should have its log given with --data"):
        check_log(scene_config("beauty"), None)
    check_log(scene_config("sample"), None)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.csv should be a file or a folder"):
        check_log(CONFIG, tmp_path / "gone.csv")
    (tmp_path / "log.csv").write_text(GOOD)
    assert check_log(CONFIG, tmp_path) == ""


def test_a_file_that_is_no_log_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "log.xlsx").touch()
    with pytest.raises(ValueError, match=r"log.xlsx"):
        check_log(CONFIG, tmp_path / "log.xlsx")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz", "a.parquet"])
def test_a_wrong_column_says_which_there_are_and_which_option_names_another(
    tmp_path: Path, name: str
) -> None:
    path = write_log(tmp_path / name, BAD_HEADER)
    message = (
        r"one column `user_id`\. Received the columns: who, item_id, timestamp; `--user-column` "
        r"\(`data\.user_column`; in Python, `user`\) names another\."
    )
    for data in (path, tmp_path):
        with pytest.raises(ValueError, match=message):
            check_log(CONFIG, data)
    assert check_log(CONFIG.override(["data.user_column=who"]), path) == ""


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ("data.item_column=sku", "--item-column"),
        ("data.time_column=when", "--time-column"),
        ("data.event_column=what", "--event-column"),
    ],
)
def test_every_column_has_its_option(tmp_path: Path, setting: str, option: str) -> None:
    path = write_log(tmp_path / "log.csv", GOOD)
    with pytest.raises(ValueError, match=f"`{setting.partition('=')[2]}`.*`{option}`"):
        check_log(CONFIG.override([setting]), path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "u,,2\n", r"line 3: `item_id` should be an id, not a missing value"),
        (GOOD + "u,i,yesterday\n", r"line 3: `timestamp` should be a number"),
        (GOOD + "u,i\n", "line 3: a row should have 3 fields"),
        (GOOD + "u,i,1700000000123\n", "one unit in the whole log"),
        (HEADER, "should hold interactions. Received: no rows"),
    ],
)
def test_a_bad_first_row_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write_log(tmp_path / "log.csv", text)
    with pytest.raises(ValueError, match=message):
        check_log(CONFIG, path)


def test_a_wrong_unit_of_time_is_known_from_the_first_rows(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.csv", HEADER + "u,i,1700000000123\n")
    config = CONFIG.override(["data.session_gap_seconds=9"])
    with pytest.raises(ValueError, match="`time_unit` should be that of the log's times"):
        check_log(config, path)
    assert check_log(config.override(["data.time_unit=milliseconds"]), path) == ""


def test_rows_behind_the_first_are_left_to_the_run(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.csv", GOOD + "u,i,1700000000\n" * 700_000 + "u,,1\n")
    assert check_log(CONFIG, path) == ""


@pytest.mark.parametrize(
    ("days", "bad"), [((BAD_HEADER, GOOD, GOOD), 1), ((GOOD, GOOD, BAD_HEADER), 3)]
)
def test_the_first_day_and_the_newest_are_looked_at(
    tmp_path: Path, days: tuple[str, ...], bad: int
) -> None:
    with pytest.raises(ValueError, match=rf"2026-11-0{bad}/log\.csv .*one column `user_id`"):
        check_log(CONFIG, daily_log(tmp_path, *days))


def test_a_file_that_tensorflow_alone_reads_is_left_to_the_run(tmp_path: Path) -> None:
    (tmp_path / "log.tfrecord").write_bytes(b"no record")
    assert check_log(CONFIG, tmp_path) == ""


def test_daily_folders_are_chosen_before_anything_starts(tmp_path: Path) -> None:
    pattern = tmp_path / "Click log" / "{YYYY}{MM}{DD}.csv"
    with pytest.raises(ValueError, match="should match files of a log"):
        check_log(CONFIG, pattern)
    pattern.parent.mkdir()
    (pattern.parent / "20261130.csv").write_text(GOOD)
    assert check_log(CONFIG, pattern) == "2026-11-30: 1 span, 1 file"
    assert locate_data("custom", pattern, tmp_path) == str(pattern)
    assert custom_config(pattern).scene == "click_log"
    with pytest.raises(ValueError, match=r"`spans.last` should be .* Received: 2026-12-01"):
        check_log(CONFIG.override(["spans.last=2026-12-01"]), pattern)


def test_spans_of_a_log_without_daily_folders_are_refused(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.csv", GOOD)
    for config, data in ((CONFIG, path), (scene_config("sample"), None)):
        with pytest.raises(ValueError, match="`spans` should be left as it is"):
            check_log(config.override(["spans.window=2"]), data)
        assert check_log(config, data) == ""


def test_a_given_file_is_used_as_it_is(tmp_path: Path) -> None:
    assert locate_data("smoke", tmp_path / "log.csv", tmp_path / "data") == str(
        tmp_path / "log.csv"
    )
    assert not (tmp_path / "data").exists()


def test_a_generated_log_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    path = Path(locate_data("smoke", None, tmp_path / "data"))
    first = path.read_bytes()
    assert Path(locate_data("smoke", None, tmp_path / "data")).read_bytes() == first
    [file] = list_input_files(str(path))
    users = {user for block in read_interactions(file) for user in block["user_id"].to_pylist()}
    assert len(users) == 200
