"""From a raw file to a served recommendation."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from adarec_tf.export.recommender import Recommender
from pipeline.screen import STAGES
from serving.client import RecommendClient
from tests.e2e.conftest import (
    Run,
    adarec,
    smoke_arguments,
    stage_outcomes,
    start_adarec,
    wait_for_line,
)
from tests.event_files import read_scalars

pytestmark = pytest.mark.e2e


def result_of(run: Run) -> dict:
    return json.loads((run.workdir / "result.json").read_text())


def test_the_screen_has_a_line_a_stage_and_ends_with_the_result(smoke_run: Run) -> None:
    done = smoke_run.done
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert stage_outcomes(done.stdout) == dict.fromkeys(STAGES.values(), "done")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        str(smoke_run.workdir / name) for name in ("result.json", "report.html")
    ]
    # As this run was called.
    assert f" -m adarec_tf serve --workdir {smoke_run.workdir}\n" in done.stdout


def test_the_log_has_what_the_screen_has_not(smoke_run: Run) -> None:
    [log] = (smoke_run.workdir / "logs").iterdir()
    text = log.read_text()
    assert "Component TeacherTrainer is running." in text
    assert "stage=teacher epoch=1" in text


def test_tensorboard_finds_every_training(smoke_run: Run) -> None:
    folder = smoke_run.workdir / "tensorboard"
    points = read_scalars(folder / "search")["entropy"]
    assert [epoch for epoch, _ in points] == [1, 2]
    for stage, name in (("teacher", "epoch_loss"), ("student", "epoch_hidden_kd")):
        points = read_scalars(folder / stage / "train")[name]
        assert [epoch for epoch, _ in points] == [0, 1], stage  # as Keras counts


def test_result_json_is_complete(smoke_run: Run) -> None:
    result = result_of(smoke_run)
    assert result["scene"] == "smoke"
    assert result["protocol"]["seen"] == "exclude"
    assert result["protocol"]["num_users"] == result["protocol"]["num_test_users"] == 200
    assert list(result["models"]) == ["popularity", "markov", "item_knn", "teacher", "student"]
    for name, row in result["models"].items():
        for k in (1, 5, 10, 20):
            mrr, ndcg, hit_rate = (row[f"{m}@{k}/full"] for m in ("mrr", "ndcg", "hit_rate"))
            assert 0 <= mrr <= ndcg <= hit_rate <= 1
        assert (row["parameters"] is None) == (name not in ("teacher", "student"))
        interval = result["intervals"][name]["ndcg@10/full"]
        assert interval["low"] <= row["ndcg@10/full"] <= interval["high"]
        for slices in result["slices"][name].values():
            assert sum(figures["users"] for figures in slices.values()) == 200
    assert 0 < result["student_against_teacher"]["ndcg@10/full"]["p_value"] <= 1
    student, teacher = result["models"]["student"], result["models"]["teacher"]
    assert 0 < student["embedding_parameters"] < student["parameters"] < teacher["parameters"]
    assert student["bundle_bytes"] > 4 * student["parameters"]
    assert 0 < student["latency_p50_ms"] <= student["latency_p99_ms"]
    assert set(result["seconds"]) == set(STAGES)
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert result["removed"]["duplicate_interactions"] == 0
    assert result["blessed"] is True
    assert result["pushed_version"] == 1
    assert Path(result["paths"]["bundle"]) == smoke_run.workdir / "serving" / "student" / "1"


def test_the_recipe_says_what_the_run_had(smoke_run: Run) -> None:
    recipe = json.loads((smoke_run.workdir / "recipe.json").read_text())
    assert (recipe["effort"], recipe["decisions"]) == ("none", [])
    assert recipe["scene"]["num_users"] == 200
    assert recipe["settings"]["teacher"]["hidden_dim"] == 16
    assert recipe["settings"]["data"]["seen"] == "exclude"


def test_the_front_goes_from_cheap_to_good_and_its_table_is_shown(smoke_run: Run) -> None:
    result = result_of(smoke_run)
    front = result["front"]
    assert front == json.loads(Path(result["paths"]["front"]).read_text())
    assert front["searched"]["genotype"] == result["genotype"]
    figures = [(one["costs"]["macs"], one["ndcg@10/full"]) for one in front["students"]]
    assert figures == sorted(set(figures))
    assert [metric for _, metric in figures] == sorted({metric for _, metric in figures})
    assert "Front by macs" in smoke_run.done.stdout
    assert f"--set search.genotype={result['paths']['front']}:1\n" in smoke_run.done.stdout


def test_the_report_shows_all_that_the_run_found(smoke_run: Run) -> None:
    assert result_of(smoke_run)["paths"]["report"] == str(smoke_run.workdir / "report.html")
    page = (smoke_run.workdir / "report.html").read_text()
    assert len(page) < 3e6
    titles = ("Transport plan", "What other budgets buy", "The student", "How sure the search was")
    for title in titles:
        assert f"<figcaption><b>{title}.</b>" in page
    assert "20 real histories" in page


def test_checkpoints_of_finished_stages_are_gone(smoke_run: Run) -> None:
    assert list((smoke_run.workdir / "checkpoints").iterdir()) == []


def test_served_answers_are_those_of_the_bundle_in_process(smoke_run: Run) -> None:
    result = result_of(smoke_run)
    history = result["example_history"]
    [expected] = Recommender.load(result["paths"]["bundle"])([history], 10, True)
    server = start_adarec(
        "serve", "--workdir", str(smoke_run.workdir), "--port", "0", cwd=smoke_run.workdir
    )
    try:
        ready = wait_for_line(server, "Serving ")
        address = ready.split(" on ")[1].split()[0].rstrip(".")
        with RecommendClient(address) as client:
            [served] = client.recommend([history], 10, exclude_seen=True)
        assert [item.item_id for item in served] == [item.item_id for item in expected]
        np.testing.assert_allclose(
            [item.score for item in served], [item.score for item in expected], rtol=1e-5
        )
        assert not set(history) & {item.item_id for item in served}

        asked = adarec(
            *("recommend", "--history", ",".join(history), "--k", "10", "--server", address),
            cwd=smoke_run.workdir,
        )
        assert asked.returncode == 0, asked.stderr
        assert asked.stderr == ""
        rows = [line.split("\t") for line in asked.stdout.splitlines()]
        assert [item for item, _ in rows] == [item.item_id for item in served]

        port = address.rpartition(":")[2]
        second = adarec(
            "serve", "--workdir", str(smoke_run.workdir), "--port", port, cwd=smoke_run.workdir
        )
        assert second.returncode == 1
        assert second.stderr.startswith(f"Error: Cannot listen on {address}")
        assert second.stderr.count("\n") == 1
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0


def test_a_second_run_reuses_everything(smoke_run: Run, raw_log: Path) -> None:
    before = result_of(smoke_run)
    again = adarec(*smoke_arguments(raw_log, smoke_run.workdir), cwd=smoke_run.workdir)
    assert again.returncode == 0, again.stderr
    outcomes = stage_outcomes(again.stdout)
    # The pusher looks at the serving folder each time, and finds its version there; the report
    # says what it found.
    for name in ("Push the student", "Write the report"):
        assert outcomes.pop(name) == "done"
    assert set(outcomes.values()) == {"cached"}
    after = result_of(smoke_run)
    assert {**after, "seconds": {}} == {**before, "seconds": {}}
    assert after["seconds"]["TeacherTrainer"] == before["seconds"]["TeacherTrainer"]
    folder = smoke_run.workdir / "serving" / "student"
    assert [name for name in os.listdir(folder) if name.isdecimal()] == ["1"]
