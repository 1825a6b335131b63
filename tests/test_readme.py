"""The README's figures are those that were measured and stored."""

import json
from pathlib import Path

from tests.benchmarks.run_scene import table_rows

ROOT = Path(__file__).parents[1]


def test_every_stored_run_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text().splitlines()
    stored = sorted((ROOT / "tests" / "benchmarks" / "results").glob("scene_*.json"))
    assert stored
    for path in stored:
        for row in table_rows(json.loads(path.read_text())):
            assert row in readme, f"{path.name}: {row}"
