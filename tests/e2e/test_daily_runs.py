"""A second day on top of a run that is there: what was learnt, and every id, goes on."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from adarec_tf.data.histories.vocabulary import ItemVocabulary
from components.model_artifact import read_model, read_vocabulary
from tests.e2e.conftest import (
    COLUMNS,
    Run,
    adarec,
    smoke_arguments,
    stage_outcomes,
    trained_epochs,
)
from tests.e2e.test_smoke_scene import result_of

pytestmark = pytest.mark.e2e

NEW_ITEMS = ("new one", "new two")


@pytest.fixture(scope="module")
def logs(raw_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of the smoke run as the first day, and a second with items that were not there."""
    root = tmp_path_factory.mktemp("daily") / "logs"
    for day in ("2026-11-29", "2026-11-30"):
        (root / day).mkdir(parents=True)
    shutil.copy(raw_log, root / "2026-11-29" / "watched.csv")
    with raw_log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    users = sorted({row[COLUMNS[1]] for row in rows})
    later = max(int(row[COLUMNS[5]]) for row in rows) + 1
    with (root / "2026-11-30" / "watched.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS[1::2])
        writer.writerows(
            (user, item, later + place)
            for user in users[:40]
            for place, item in enumerate((*NEW_ITEMS, rows[0][COLUMNS[3]]))
        )
    return root


def daily_arguments(logs: Path, workdir: Path, *more: str) -> tuple[str, ...]:
    pattern = logs / "{YYYY}-{MM}-{DD}" / "*"
    return (*smoke_arguments(pattern, workdir), "--warm-start", "last", *more)


@pytest.fixture(scope="module")
def second_day(smoke_run: Run, logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    # A copy, so that the first run stays as it is; its artifacts are where it put them.
    workdir = tmp_path_factory.mktemp("second day") / "run"
    shutil.copytree(smoke_run.workdir, workdir, ignore=shutil.ignore_patterns("pipeline"))
    return Run(workdir, adarec(*daily_arguments(logs, workdir), cwd=workdir.parent))


def test_the_watch_calls_for_a_warm_start(
    smoke_run: Run, logs: Path, raw_log: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(smoke_run.workdir, workdir, ignore=shutil.ignore_patterns("pipeline"))
    pattern = str(logs / "{YYYY}-{MM}-{DD}" / "*")
    files = ("--json", "found.json", "--metrics", "found.prom")
    done = adarec("watch", "--workdir", "run", "--data", pattern, *files, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (10, "")
    first, *reasons = done.stdout.splitlines()
    assert first.startswith("Warm start: 120 events after those that version 1 was trained on.")
    assert any(line.startswith("- the vocabulary has aged") for line in reasons)

    found = json.loads((tmp_path / "found.json").read_text())
    assert [json.loads(line) for line in (workdir / "watch.jsonl").read_text().splitlines()] == [
        found
    ]
    assert found["statistics"]["now"]["unknown_interactions"] == pytest.approx(2 / 3)
    blessed = result_of(smoke_run)["intervals"]
    assert found["student"]["earlier"] == blessed["student"]["ndcg@10/full"]
    # The kept genotype and its runner-up were trained.
    assert found["trial"]["p_value"] > 0
    assert 'adarec_watch_answer{answer="warm start"} 1.0' in (tmp_path / "found.prom").read_text()
    assert "The scene since then" in (workdir / "report.html").read_text()

    # The log that was trained on has no new events.
    done = adarec("watch", "--workdir", "run", "--data", str(raw_log), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The log should have events after those that the student")
    assert len((workdir / "watch.jsonl").read_text().splitlines()) == 1


def test_the_second_day_continues_from_the_first(second_day: Run, smoke_run: Run) -> None:
    done = second_day.done
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Spans 2026-11-29 to 2026-11-30: 2 spans, 2 files."
    assert lines[1].startswith("Warm start from the run of ")
    assert "2 of 152 items are new." in done.stdout
    stages = {stage for stage, _ in trained_epochs(second_day.workdir)[-1]}
    assert stages
    assert "search" not in stages

    first, second = result_of(smoke_run), result_of(second_day)
    assert second["spans"] == "2026-11-29 to 2026-11-30: 2 spans, 2 files"
    start = second["started_from"]
    assert start["num_new_items"] == len(NEW_ITEMS)
    assert second["genotype"] == first["genotype"]
    assert (first["pushed_version"], second["pushed_version"]) == (1, 2)

    [vocabulary] = (second_day.workdir / "pipeline/SequencePreprocessor/vocabulary").glob("[0-9]*")
    known = ItemVocabulary.read(start["vocabulary"])
    extended = read_vocabulary(str(vocabulary))
    assert extended.keys == (*known.keys, *NEW_ITEMS)
    [teacher] = (second_day.workdir / "pipeline/TeacherTrainer/model").glob("[0-9]*")
    assert read_model(str(teacher)).sequence_embedding.num_items == extended.num_items


def test_started_again_it_continues_from_where_it_did(second_day: Run, logs: Path) -> None:
    before = result_of(second_day)
    again = adarec(*daily_arguments(logs, second_day.workdir), cwd=second_day.workdir)
    assert again.returncode == 0, again.stderr
    outcomes = stage_outcomes(again.stdout)
    assert [outcomes.pop(stage) for stage in ("Push the student", "Write the report")] == [
        "done"
    ] * 2
    assert set(outcomes.values()) == {"cached"}
    assert {**result_of(second_day), "seconds": {}} == {**before, "seconds": {}}


def test_another_width_stops_before_anything_runs(second_day: Run, logs: Path) -> None:
    result = (second_day.workdir / "result.json").read_text()
    wider = adarec(
        *daily_arguments(logs, second_day.workdir, "--set", "teacher.hidden_dim=24"),
        cwd=second_day.workdir,
    )
    assert wider.returncode == 1
    assert "`teacher.hidden_dim` should be 16, as in the run of" in wider.stderr
    assert wider.stderr.count("\n") == 1
    assert stage_outcomes(wider.stdout) == {}
    assert json.loads(result) == result_of(second_day)
