"""What items are called, for people."""

import csv
import os
from pathlib import Path


def read_titles(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads what items are called: a CSV file, or TSV by its ending, of keys and titles.

    Further columns are ignored, and so is a head, since no item has its name.

    Raises:
      ValueError: there is no such file, or a row has no title.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"The titles of items should be a file. Received: {path}.")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        titles = {}
        for row in rows:
            if len(row) < 2:
                raise ValueError(
                    f"{path}, line {rows.line_num} should have an item and its title. "
                    f"Received: {','.join(row)!r}."
                )
            titles[row[0]] = row[1]
    return titles
