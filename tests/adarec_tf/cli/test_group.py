import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from adarec_tf import __version__, cli
from adarec_tf.cli.group import GROUPS
from tests.adarec_tf.cli.command_line import ROOT, invoke, run_without_tensorflow


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
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(cli.main.commands)
    text = invoke("--help").output
    places = [text.index(f"\n{title}:\n") for title in GROUPS]
    assert places == sorted(places)
    for title, names in GROUPS.items():
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
