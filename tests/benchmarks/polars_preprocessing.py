"""A log to split histories by hand, in polars: what the preprocessing is compared with.

Runs in an environment of its own, with `polars` and without this project:

    python polars_preprocessing.py --log log.parquet --output folder

does what the pipeline does with its default settings: duplicates out, users of fewer than three
interactions out, item ids by frequency, histories in the order of time, the last two items of each
user as targets. It checks no row, and it writes what is natural to it, a Parquet file of lists for
each split, where the pipeline writes TFRecords. It prints its phases in seconds, as JSON.
"""

import argparse
import json
import time
from pathlib import Path

import polars as pl

MIN_USER_INTERACTIONS, MIN_ITEM_INTERACTIONS = 3, 1


def filter_log(log: pl.LazyFrame) -> pl.DataFrame:
    """Without duplicates, rare items and short users, with the row's place as `arrival`."""
    return (
        log.with_row_index("arrival")
        .unique(["user_id", "item_id", "timestamp"], keep="first")
        .filter(pl.len().over("item_id") >= MIN_ITEM_INTERACTIONS)
        .filter(pl.len().over("user_id") >= MIN_USER_INTERACTIONS)
        .collect()
    )


def make_vocabulary(kept: pl.DataFrame) -> pl.DataFrame:
    """Item ids from 1: frequent items first, then by key."""
    counts = kept.group_by("item_id").len()
    ordered = counts.sort(["len", "item_id"], descending=[True, False])
    return ordered.with_row_index("id", offset=1).select("item_id", pl.col("id").cast(pl.Int64))


def to_histories(kept: pl.DataFrame, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """A row a user, in the order of the keys."""
    return (
        kept.join(vocabulary, on="item_id")
        .sort(["user_id", "timestamp", "arrival"])
        .group_by("user_id", maintain_order=True)
        .agg(pl.col("id").alias("items"))
    )


def write_splits(histories: pl.DataFrame, vocabulary: pl.DataFrame, folder: Path) -> None:
    """Writes the three splits and the vocabulary."""
    items, length = pl.col("items").list, pl.col("items").list.len()
    targets = {"train": None, "valid": items.get(-2), "test": items.get(-1)}
    for split, target in targets.items():
        history = items.head(length - (1 if split == "test" else 2))
        columns = [pl.col("user_id"), history.alias("history")]
        columns += [] if target is None else [target.alias("target")]
        histories.select(columns).write_parquet(folder / f"{split}.parquet")
    (folder / "vocabulary.txt").write_text("".join(f"{key}\n" for key in vocabulary["item_id"]))


def main() -> None:
    """Runs it, with a clock."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    scan = pl.scan_parquet if options.log.suffix == ".parquet" else pl.scan_csv
    clock = [time.perf_counter()]
    kept = filter_log(scan(options.log))
    clock.append(time.perf_counter())
    vocabulary = make_vocabulary(kept)
    histories = to_histories(kept, vocabulary)
    clock.append(time.perf_counter())
    write_splits(histories, vocabulary, options.output)
    clock.append(time.perf_counter())
    phases = {
        f"{name}_s": round(after - before, 2)
        for name, before, after in zip(
            ("read_and_filter", "histories", "write"), clock[:-1], clock[1:], strict=True
        )
    }
    print(json.dumps({"polars": pl.__version__, **phases}))


if __name__ == "__main__":
    main()
