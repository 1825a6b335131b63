"""The command line without its long work, which `tests/e2e` runs."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click.testing
import pytest

from adarec_tf import __version__, cli
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.recipe import Decision
from adarec_tf.models.students.cost_table import CostTable, read_cost_table
from adarec_tf.report import summary
from pipeline import dry_run, run, scene_costs
from pipeline.screen import STAGES
from serving import connection, local_server
from serving.server_options import ServerOptions
from tests.adarec_tf.report import hand_made_facts
from tests.adarec_tf.search import hand_made_costs

ROOT = Path(__file__).parents[2]


def invoke(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(cli.main, arguments)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[PipelineConfig, Path | None, Path]]:
    """What `adarec run` passes on; no run takes place."""
    calls: list[tuple[PipelineConfig, Path | None, Path]] = []

    def record(config: PipelineConfig, data: Path | None, workdir: Path, **options: object) -> None:
        calls.append((config, data, workdir))
        raise run.RunFailedError("stop here")

    monkeypatch.setattr(run, "run_pipeline", record)
    return calls


def run_without_tensorflow(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own, which must not import anything slow."""
    code = (
        "import sys\nfrom adarec_tf.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    assert not {'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "command", [["--help"], ["run", "--help"], ["serve", "--help"], ["--version"]]
)
def test_help_does_not_wait_for_tensorflow(command: Sequence[str]) -> None:
    done = run_without_tensorflow(*command)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout or done.stdout == f"adarec, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user-column", "who"], "should have one column `who`. Received the columns: user_id,"),
        ([], "line 2: `timestamp` should be a number"),
        (["--set", "data.epochs=3"], "`data.epochs` should be a setting of the run"),
        (["--set", "search.genotype=gone"], "`search.genotype` should be an existing file"),
    ],
)
def test_a_mistake_in_a_run_does_not_wait_for_tensorflow(
    tmp_path: Path, arguments: Sequence[str], message: str
) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nu,i,yesterday\n")
    done = run_without_tensorflow("run", "--data", "log.csv", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (tmp_path / "runs").exists()


def test_help_lists_every_command_in_one_group() -> None:
    grouped = [name for names in cli._GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(cli.main.commands)
    text = invoke("--help").output
    places = [text.index(f"\n{title}:\n") for title in cli._GROUPS]
    assert places == sorted(places)
    for title, names in cli._GROUPS.items():
        part = text[text.index(f"\n{title}:") :].split("\n\n")[0]
        lines = [line.split()[0] for line in part.splitlines()[2:]]
        assert [line for line in lines if line in grouped] == list(names)
    assert "Commands:" not in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("adarec ro", ["rollback"]),
        ("adarec run --sc", ["--scene"]),
        ("adarec run --scene sa", ["sample"]),
        ("adarec compile --scene bea", ["beauty"]),
        ("adarec serve --max-thr", ["--max-threads"]),
        ("adarec run --effort t", ["thorough"]),
    ],
)
def test_bash_completes_as_documented(tmp_path: Path, words: str, expected: list[str]) -> None:
    [line] = [
        line
        for line in (ROOT / "docs" / "reference" / "commands.md").read_text().splitlines()
        if line.startswith("eval ")
    ]
    program = tmp_path / "adarec"
    program.write_text(f"#!{sys.executable}\nfrom adarec_tf.cli import main\nmain()\n")
    program.chmod(0o755)
    last = len(words.split()) - 1
    script = (
        f"{line}; COMP_WORDS=({words}) COMP_CWORD={last}; "
        "_adarec_completion adarec; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == expected, done.stderr


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--scene", "nope"], "The scene should be one of beauty"),
        (["run", "--scene", "beauty"], "'beauty' should have its log given with --data"),
        (["run", "--data", "gone.csv"], "gone.csv should be a file or a folder"),
        (["run", "--set", "training.epochs=3"], "here one of initial_table, learning_rate, loss"),
        (
            ["run", "--set", "training.max_epochs=0"],
            "`training.max_epochs` should be greater than 0",
        ),
        (["run", "--set", "training.max_epochs"], "should have the form stage.field=value"),
        (
            ["run", "--set", 'data.events=["view"]'],
            "`data.events` should be empty without event_column",
        ),
        (["run", "--data", "a.csv", "--recipe", "file"], "--recipe should be a recipe.json that"),
        (["run", "--data", "a.csv", "--recipe", "gone"], "No such file or directory: gone"),
        (["run", "--max-latency-ms", "0"], "`evaluation.max_latency_ms` should be greater than 0"),
        (["run", "--max-teacher-share", "2"], "`evaluation.max_teacher_share` should be at most 1"),
        (["run", "--search-again"], "--search-again should come with --warm-start"),
        (["run", "--data", "logs/{YYYY}-{DD}"], "A pattern of daily folders should have"),
        (["run", "--data", "logs/{SPAN}/*"], "should match files of a log"),
        (["run", "--set", "spans.window=3"], "`spans` should be left as it is by default"),
        (["run", "--seed", "-1"], "`seed` should be at least 0"),
        (["run", "--workdir", "file/run"], "The workdir should be a folder that can be written"),
        (["profile", "--scene", "nope"], "The scene should be one of beauty"),
        (["profile", "--scene", "beauty"], "'beauty' should have its log given with --data"),
        (["profile", "-o", "gone/costs.json"], "should be in an existing folder"),
        (["watch", "--workdir", ".", "--json", "gone/a.json"], "should be in an existing folder"),
        (["watch", "--workdir", ".", "--min-gain", "-1"], "`min_gain` should be at least 0"),
        (["watch", "--workdir", "empty"], "--workdir should be the folder of a run. Received: /"),
        (["serve"], "There should be a pushed student in runs/*/serving"),
        (["serve", "--workdir", "empty"], "There should be a pushed student in empty/serving"),
        (["serve", "--model-config-file", "gone"], "gone should be a ModelServerConfig"),
        (["serve", "--model-dir", "gone"], "gone, which is not a folder. Push a model there"),
        (["versions"], "There should be a pushed student in runs/*/serving"),
        (["rollback", "--model-dir", "gone"], "A rollback should go to a version before"),
        (
            ["compile", "--target", "kubeflow", "-o", "a.yml", "--min-gain", "0.1"],
            "--min-gain should come with --watch. Received: no",
        ),
        (
            ["compile", "--target", "kubeflow", "-o", "a.yml", "--warm-start", "last"],
            "--warm-start should be left to `adarec run`",
        ),
        (["compile", "--target", "kubeflow", "-o", "a.json"], "should end in .yaml or .yml"),
        (
            ["compile", "--target", "kubeflow", "-o", "a.yml", "--root", "s3://b"],
            "--root should be",
        ),
        (
            ["compile", "--target", "kubeflow", "-o", "a.yml", "--resources", "gone.yaml"],
            "No such file or directory: gone.yaml",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    tmp_path: Path, arguments: Sequence[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--unknown"],
        ["run", "--effort", "much"],
        ["run", "--recipe", "file"],
        ["run", "--recipe", "file", "--data", "a.csv", "--scene", "sample"],
        ["run", "--recipe", "file", "--data", "a.csv", "--effort", "quick"],
        ["serve", "--workdir", "a", "--model-dir", "b"],
        ["serve", "--model-config-file", "a", "--model-dir", "b"],
        ["recommend"],
        ["compile", "--target", "airflow", "-o", "a.yaml"],
        ["profile", "--num-items", "0"],
    ],
)
def test_a_wrong_usage_is_exit_code_2(arguments: Sequence[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output


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


def test_serve_finds_the_newest_push(tmp_path: Path) -> None:
    for age, name in ((300, "old"), (100, "new"), (200, "older")):
        folder = tmp_path / "runs" / name / "serving" / "student"
        (folder / "1").mkdir(parents=True)
        stamp = folder.stat().st_mtime - age
        os.utime(folder, (stamp, stamp))
    (tmp_path / "runs" / "empty" / "serving" / "student").mkdir(parents=True)
    assert cli._pushed_models(None) == Path("runs/new/serving/student")
    assert cli._pushed_models(Path("runs/old")) == Path("runs/old/serving/student")


def test_recommend_without_a_server_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_SERVER_START_S", 0.2)
    result = invoke("recommend", "--history", "a,b", "--server", "localhost:1")
    assert result.exit_code == 1
    waiting, error = result.output.splitlines()
    assert waiting == "No server listens at localhost:1 yet: waiting 0.2 s."
    assert error.startswith("Error: ")
    assert "adarec serve" in error


def test_recommend_waits_for_a_server_that_was_started_a_moment_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [connection.Listener.NONE] * 3 + [connection.Listener.OTHER]
    monkeypatch.setattr(connection, "find_listener", lambda address: seen.pop(0))
    cli._wait_for_server("there:8500")
    assert seen == []


def test_recommend_without_its_tls_file_says_which() -> None:
    result = invoke("recommend", "--history", "a", "--tls-ca", "nowhere.pem")
    assert result.exit_code == 1
    assert "The file for TLS should be readable" in result.output
    assert "nowhere.pem" in result.output
    assert "waiting" not in result.output


def test_serve_has_every_option_of_the_server_with_its_default() -> None:
    help_text = " ".join(invoke("serve", "--help").output.split())
    for name, field in ServerOptions.model_fields.items():
        flag = name.removesuffix("s") if isinstance(field.default, tuple) else name
        assert f"--{flag.replace('_', '-')} " in help_text
    assert "--port INTEGER Port to listen on; 0 takes any free one. [default: 8500]" in help_text
    assert "[default: history=1024x10000 k=10000]" in help_text
    assert "--max-threads INTEGER" in help_text
    assert "Undefined" not in help_text


def test_serve_passes_on_the_options_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def record(folder: Path, model_name: str, **options: Any) -> None:
        given.append({"folder": folder, "model_name": model_name, **options})
        raise ValueError("stop here")

    monkeypatch.setattr(local_server, "serve", record)
    invoke("serve", "--model-dir", "models/one")
    options = ("--port", "0", "--drain-s", "1.5", "--limit", "k=5", "--limit", "history=2x3")
    invoke("serve", "--model-dir", "models", "--model-name", "m", *options)
    assert given == [
        {"folder": Path("models/one"), "model_name": "one"},
        {
            "folder": Path("models"),
            "model_name": "m",
            "port": 0,
            "drain_s": 1.5,
            "limits": ("k=5", "history=2x3"),
        },
    ]


def test_versions_are_listed_and_rolled_back(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "scene" / "serving" / "student"
    for version in ("1", "2"):
        (folder / version).mkdir(parents=True)
        (folder / version / "saved_model.pb").write_bytes(b"0" * 20_000)
    result = invoke("rollback")
    assert result.output == "runs/scene/serving/student is back at version 1; withdrawn: 2.\n"
    [withdrawn, newest] = [line.split("\t") for line in invoke("versions").output.splitlines()]
    assert [*withdrawn[:2], *withdrawn[3:]] == ["2", "withdrawn", "-", "rolled back"]
    assert [*newest[:2], *newest[3:]] == ["1", "newest", "0.02 MB"]
