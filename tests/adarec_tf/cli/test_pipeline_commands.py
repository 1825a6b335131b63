"""The commands without their long work, which `tests/e2e` runs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click.testing
import pytest

from adarec_tf import cli
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.recipe import Decision
from adarec_tf.models.students.cost_table import CostTable, read_cost_table
from adarec_tf.report import summary
from pipeline import dry_run, run, scene_costs
from pipeline.screen import STAGES
from tests.adarec_tf.cli.command_line import invoke
from tests.adarec_tf.report import hand_made_facts
from tests.adarec_tf.search import hand_made_costs


def test_titles_of_items_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def record(*arguments: Any, item_titles: str, **options: Any) -> None:
        given.append(item_titles)
        raise run.RunFailedError("stop here")

    monkeypatch.setattr(run, "run_pipeline", record)
    invoke("run", "--item-titles", "titles.csv")
    invoke("run")
    assert given == ["titles.csv", ""]


def test_a_dry_run_says_what_would_run_and_runs_nothing(
    runs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    decision = Decision(setting="teacher.dropout", value=0.3, reason="few positions")

    def plan(*arguments: Any) -> dry_run.RunPlan:
        given.extend(arguments)
        is_cached = {**dict.fromkeys(STAGES, False), "InteractionsGen": True}
        return dry_run.RunPlan("Cold start.", is_cached, "The recipe begins with:", (decision,))

    monkeypatch.setattr(dry_run, "plan_run", plan)
    result = invoke("run", "--dry-run", "--seed", "9", "--warm-start", "last", "--search-again")
    assert result.exit_code == 0, result.output
    assert not runs
    config, data, folder, *others = given
    assert (config.scene, config.seed, data, others) == ("sample", 9, None, ["last", True])
    assert folder.root == Path("runs/sample").absolute()
    start, first, second, *_, basis, decided = result.output.splitlines()
    assert start == "Cold start."
    assert first.split() == ["1/13", "Read", "the", "interactions", "cached"]
    assert second.split() == ["2/13", "Compute", "statistics", "would", "run"]
    assert len(result.output.splitlines()) == 1 + 13 + 2
    assert [basis.strip(), decided.strip()] == ["The recipe begins with:", str(decision)]
    assert not Path("runs").exists()


def test_run_without_arguments_is_the_sample_scene(
    runs: list[tuple[PipelineConfig, Path | None, Path]],
) -> None:
    invoke("run")
    [(config, data, workdir)] = runs
    assert (config.scene, data, workdir) == ("sample", None, Path("runs/sample"))


def test_run_passes_on_columns_seed_and_settings(
    runs: list[tuple[PipelineConfig, Path | None, Path]],
) -> None:
    invoke(
        *("run", "--data", "my log.csv", "--user-column", "who", "--time-column", "when"),
        *("--event-column", "what", "--set", 'data.events=["view"]'),
        *("--seed", "9", "--set", "training.max_epochs=3", "--set", "data.seen=keep"),
        *("--workdir", "elsewhere"),
    )
    [(config, data, workdir)] = runs
    assert config.scene == "my_log"
    assert (config.data.user_column, config.data.item_column) == ("who", "item_id")
    assert config.data.time_column == "when"
    assert (config.data.event_column, config.data.events) == ("what", ("view",))
    assert config.seed == 9
    assert config.training.max_epochs == 3
    assert config.data.seen == "keep"
    assert (data, workdir) == (Path("my log.csv"), Path("elsewhere"))


@pytest.mark.parametrize(
    ("arguments", "effort"),
    [
        (["--data", "log.csv"], "standard"),
        (["--data", "log.csv", "--effort", "thorough"], "thorough"),
        (["--scene", "sample"], "none"),
        (["--scene", "sample", "--effort", "quick"], "quick"),
    ],
)
def test_run_decides_the_settings_of_a_log_and_those_of_a_scene_if_asked(
    runs: list[tuple[PipelineConfig, Path | None, Path]], arguments: list[str], effort: str
) -> None:
    invoke("run", *arguments)
    [(config, _, _)] = runs
    assert config.effort == effort


def test_run_asks_of_the_student_what_it_is_told(
    runs: list[tuple[PipelineConfig, Path | None, Path]],
) -> None:
    invoke("run", "--max-latency-ms", "2.5", "--max-bytes", "9000", "--max-teacher-share", "0.25")
    [(config, _, _)] = runs
    assert config.search.latency_budget_ms == config.evaluation.max_latency_ms == 2.5
    assert config.evaluation.max_bundle_bytes == 9000
    assert config.evaluation.max_teacher_share == 0.25


def test_run_takes_the_settings_of_a_recipe_and_those_of_the_line_above_them(
    runs: list[tuple[PipelineConfig, Path | None, Path]], tmp_path: Path
) -> None:
    decided = PipelineConfig(scene="any").override(["teacher.name=sasrec", "teacher.dropout=0.1"])
    (tmp_path / "recipe.json").write_text(
        json.dumps({"settings": {"teacher": decided.teacher.to_dict()}})
    )
    invoke("run", "--data", "log.csv", "--recipe", "recipe.json", "--set", "teacher.num_blocks=5")
    [(config, _, _)] = runs
    assert config.teacher == decided.teacher.replace(num_blocks=5)
    assert (config.scene, config.effort) == ("log", "none")


def test_run_says_what_it_continues_from(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, bool]] = []

    def record(*arguments: Any, warm_start: str, search_again: bool, **options: Any) -> None:
        given.append((warm_start, search_again))
        raise run.RunFailedError("stop here")

    monkeypatch.setattr(run, "run_pipeline", record)
    invoke("run")
    invoke("run", "--warm-start", "last-or-cold")
    invoke("run", "--warm-start", "last", "--search-again")
    assert given == [("", False), ("last-or-cold", False), ("last", True)]
    assert "one of 'last', 'last-or-cold'" in invoke("run", "--warm-start", "first").output


def test_run_splits_the_beam_arguments_as_a_shell_does(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def record(*arguments: Any, beam_arguments: Sequence[str], **options: Any) -> None:
        given.extend(beam_arguments)
        raise run.RunFailedError("stop here")

    monkeypatch.setattr(run, "run_pipeline", record)
    invoke("run", "--beam-args", """--runner=FlinkRunner --environment_config='{"command": "b"}'""")
    assert given == ["--runner=FlinkRunner", '--environment_config={"command": "b"}']
    result = invoke("run", "--beam-args", "--runner='Flink")
    assert "`--beam-args` should be arguments as in a shell" in result.output


def test_an_interrupted_run_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any, **options: Any) -> None:
        raise run.RunInterruptedError("It continues.")

    monkeypatch.setattr(run, "run_pipeline", interrupt)
    result = invoke("run")
    assert result.exit_code == 130
    assert result.output == "It continues.\n"


@pytest.mark.parametrize(
    ("program", "path", "command"),
    [
        ("adarec", ".venv/bin/adarec", ".venv/bin/adarec"),
        ("adarec", "/a b/adarec", "'/a b/adarec'"),
        ("python -m adarec_tf", "/source/adarec_tf/__main__.py", "python -m adarec_tf"),
    ],
)
def test_what_to_do_next_is_told_with_the_command_that_was_typed(
    monkeypatch: pytest.MonkeyPatch, program: str, path: str, command: str
) -> None:
    told: list[str] = []

    def record(*, command: str, **options: Any) -> None:
        told.append(command)

    finished = run.RunResult({}, Path("result.json"), Path("run"), Path("run.log"))
    monkeypatch.setattr(run, "run_pipeline", lambda *arguments, **options: finished)
    monkeypatch.setattr(summary, "print_summary", record)
    monkeypatch.setattr(sys, "argv", [path])
    click.testing.CliRunner().invoke(cli.main, ["run"], prog_name=program)
    assert told == [command]


def test_report_writes_a_page_anew_with_titles(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(hand_made_facts.facts()))
    (tmp_path / "titles.csv").write_text("item-3,The third\n")
    result = invoke("report", "--workdir", ".", "--item-titles", "titles.csv")
    assert result.exit_code == 0, result.output
    assert result.output == f"{tmp_path / 'report.html'}\n"
    page = (tmp_path / "report.html").read_text()
    assert "The third" in page
    assert "item-3" not in page


def test_report_compares_two_runs(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        (tmp_path / name).mkdir()
        written = json.dumps(hand_made_facts.facts(seed=len(name)))
        (tmp_path / name / "report.json").write_text(written)
    result = invoke("report", "--workdir", "tuesday", "--against", "monday")
    assert result.exit_code == 0, result.output
    page = tmp_path / "tuesday" / "against_monday.html"
    assert result.output == f"{page}\n"
    assert "<h1>tuesday against monday</h1>" in page.read_text()
    result = invoke("report", "--workdir", "tuesday", "--against", "wednesday")
    assert result.exit_code == 1
    assert "should hold report.json. Received: none in" in result.output


def test_profile_writes_and_prints_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[PipelineConfig, Path | None, int]] = []

    def measure(config: PipelineConfig, data: Path | None, num_items: int) -> CostTable:
        calls.append((config, data, num_items))
        return hand_made_costs.cost_table()

    monkeypatch.setattr(scene_costs, "measure_scene_costs", measure)
    result = invoke(
        "profile", "--num-items", "70", "--set", "student.hidden_dim=12", "-o", "c.json"
    )
    assert result.exit_code == 0, result.output
    [(config, data, num_items)] = calls
    assert (config.scene, config.student.hidden_dim, data, num_items) == ("sample", 12, None, 70)
    assert read_cost_table("c.json") == hand_made_costs.cost_table()
    assert "conv_3" in result.output
    assert result.output.endswith("\nc.json\n")
