"""The docs say what was measured, and their commands, settings, links and Python code are real."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adarec_tf.cli import main
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.watch import WatchConfig
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.teachers import TEACHERS
from pipeline.configs import SCENES, scene_config
from pipeline.pipeline import create_pipeline
from tests.benchmarks.quoted_figures import (
    Quoted,
    is_true,
    named_files,
    quoted_figures,
    unheld_figures,
)
from tests.benchmarks.stored_results import RESULTS, ROOT
from tests.benchmarks.tables import DOCUMENTS, TABLE, stored_files, with_tables
from tests.reference_pages import FOLDER, settings_page
from tests.reference_pages import PAGES as PAGES_OF_REFERENCE
from tests.test_layering import LINES, THIRD_PARTY, TOP_LEVEL

FIGURES = [
    pytest.param(quoted, id=f"{path.name}: {quoted.text}")
    for path in DOCUMENTS
    for quoted in quoted_figures(path.read_text("utf-8"))
]
# Its code needs a process with Keras 2.
RECOMMENDERS = ROOT / "docs" / "guides" / "tensorflow-recommenders.md"
# Rows of the table of our and other libraries, in the order of the README's code.
QUICKSTART = (
    "load a log",
    "a model, trained",
    "search a student",
    "distill it",
    "evaluate",
    "recommend",
    "export for a server",
)
# What a setting cannot do without.
COMPANIONS = {
    "data.events": ["data.event_column=type"],
    "data.event_weights": ["data.event_column=type", "data.repeats=keep_first"],
    "search.method": ["search.num_evaluations=8"],
}
PAGES = (*DOCUMENTS, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")))
SECTIONS = [*scene_config("sample").to_dict()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_those_of_the_stored_results(path: Path) -> None:
    text = path.read_text("utf-8")
    assert with_tables(text) == text, "run: python -m tests.benchmarks.tables"


@pytest.mark.parametrize("quoted", FIGURES)
def test_a_quoted_figure_is_the_stored_one(quoted: Quoted) -> None:
    assert is_true(quoted), quoted.source
    assert quoted.text in quoted.paragraph


def test_every_figure_in_the_text_has_a_source() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    [measured] = re.findall(r"## What it gives\n.*?(?=\n## )", readme, re.DOTALL)
    assert unheld_figures(measured) == []
    assert unheld_figures((ROOT / "docs" / "benchmarks.md").read_text("utf-8")) == []


def test_every_stored_result_is_quoted() -> None:
    texts = [path.read_text("utf-8") for path in DOCUMENTS]
    quoted = {
        path.name
        for text in texts
        for _, _, pattern, _, _ in TABLE.findall(text)
        for path in stored_files(pattern)
    }
    quoted |= {
        name for text in texts for figure in quoted_figures(text) for name in named_files(figure)
    }
    assert {path.name for path in RESULTS.iterdir()} == quoted


@pytest.mark.parametrize(
    "text",
    [
        "It took 12.5 s.",
        "It has 1,234 items.",
        "That is 98% of it.",
        "It took 3 minutes.",
        "It took 12.5 s.\n<!-- figures:\n12.4 = 12.4\n-->",
        "<!-- table: a from b -->\n| 1.5 |\n<!-- end -->\n\n## Other section\n\nIt took 1.5 s.",
    ],
)
def test_a_figure_without_a_source_is_found(text: str) -> None:
    assert len(unheld_figures(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "It took 12.5 s.\n<!-- figures:\n12.5 s = 12.5\n-->",
        "<!-- table: a from b -->\n| 1.5 |\n<!-- end -->\n\nIt took 1.5 s.",
        "Four cells of 3 nodes at `0.5` and width 64, SASRec 2 x 64, NDCG@10.",
        "```\n0.25 s\n```",
    ],
)
def test_a_figure_with_a_source_is_held(text: str) -> None:
    assert unheld_figures(text) == []


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("0.06%", "profile_beauty.json: input_share", True),
        ("0.07%", "profile_beauty.json: input_share", False),
        ("1,234", "2468.6 / 2", True),
        ("1,235", "2468.6 / 2", False),
        ("1.5", "1.46", True),
        ("1.5", "1.44", False),
    ],
)
def test_a_figure_is_compared_in_its_own_digits(text: str, source: str, expected: bool) -> None:
    [quoted] = quoted_figures(f"It is {text}.\n<!-- figures:\n{text} = {source}\n-->")
    assert is_true(quoted) is expected


def python_code(path: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL))


def save_student(path: Path) -> None:
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "max_pool_3"]])
    config = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2)
    path.parent.mkdir(parents=True)
    build_student(genotype, config, 50, 8, seed=1).save(path)


def said_output(code: str) -> list[str]:
    return re.findall(r"^print\(.*?\)  # ([(\[].*?[)\]])(?:,.*)?$", code, re.MULTILINE)


def test_the_code_of_the_guides_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if path != RECOMMENDERS:
            for saved in re.findall(r'ar\.load\("(.*?\.keras)"\)\n', python_code(path)):
                save_student(tmp_path / saved)
            exec(python_code(path), {})
            assert capsys.readouterr().out.splitlines() == said_output(python_code(path))


def test_the_code_with_tensorflow_recommenders_prints_what_it_says() -> None:
    code = python_code(RECOMMENDERS)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout.splitlines() == said_output(code), done.stderr[-3000:]


def test_the_table_beside_other_libraries_counts_our_quickstart() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    statements = [one for one in ast.parse(code).body if not isinstance(one, ast.Import)]
    table = table_cells((ROOT / "docs" / "guides" / "python.md").read_text("utf-8"), "step")
    counts = {cells[0]: [int(count) for count in re.findall(r"\d+", cells[1])] for cells in table}
    for row in QUICKSTART:
        num_statements, num_arguments = counts.pop(row)
        calls = [
            node
            for statement in statements[:num_statements]
            for node in ast.walk(statement)
            if isinstance(node, ast.Call)
        ]
        assert sum(len(call.args) + len(call.keywords) for call in calls) == num_arguments, row
        del statements[:num_statements]
    assert (statements, counts) == ([], {})


def shell_commands(path: Path) -> list[list[str]]:
    blocks = re.findall(r"```shell\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


COMMANDS = [
    pytest.param(words[1:], id=" ".join(words[1:4]))
    for path in DOCUMENTS
    for words in shell_commands(path)
    if words and words[0].endswith("/adarec")
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_one_that_the_command_line_takes(words: list[str]) -> None:
    name, *arguments = [word for word in words if word != "&"]
    options = main.commands[name].make_context(name, arguments).params
    scene = options.get("scene") or "sample"
    settings = [text for text in options.get("settings", ()) if not text.startswith("kubeflow.")]
    assert scene in SCENES
    scene_config(scene).override(settings)


def known_settings() -> set[str]:
    configs = [scene_config("sample").override([f"teacher.name={name}"]) for name in TEACHERS]
    return {
        name for config in configs for name in _paths("", json.loads(json.dumps(config.to_dict())))
    }


def _paths(prefix: str, values: dict[str, Any]) -> set[str]:
    paths = set()
    for name, value in values.items():
        paths.add(f"{prefix}{name}")
        if isinstance(value, dict):
            paths |= _paths(f"{prefix}{name}.", value)
    return paths


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_named_setting_exists(path: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(SECTIONS)})\.[\w.]+)(=[^`]*)?`", path.read_text("utf-8"))
    assert {name for name, _ in named} <= known_settings()
    for name, value in named:
        if value and name != "teacher.name":
            scene_config("sample").override([f"{name}{value}", *COMPANIONS.get(name, [])])


@pytest.mark.parametrize("path", sorted(RESULTS.glob("[!g]*.json")), ids=lambda path: path.name)
def test_what_is_made_with_a_removed_setting_says_so(path: Path) -> None:
    stored = json.loads(path.read_text())
    runs = [stored] if "command" in stored else stored.values()
    for run in runs:
        words = shlex.split(run["command"])
        settings = [words[n + 1] for n, word in enumerate(words) if word == "--set"]
        if "needs_commit" not in run:
            scene = words[words.index("--scene") + 1] if "--scene" in words else "sample"
            scene_config(scene if scene in SCENES else "sample").override(settings)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", without_code_blocks(path.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.exists(), target
        if anchor:
            assert anchor in anchors(page), target


@pytest.mark.parametrize("name", PAGES_OF_REFERENCE)
def test_a_reference_page_is_generated_from_the_code(name: str) -> None:
    committed = (FOLDER / name).read_text("utf-8")
    assert committed == PAGES_OF_REFERENCE[name](), "run: make docs"


def test_every_setting_has_a_description() -> None:
    rows = re.findall(r"^\| `(.*?)` \|.*\| (.*?) \|$", settings_page(), re.MULTILINE)
    assert {name for name, _ in rows} >= {"seed", "data.max_length", "student.precision"}
    assert [name for name, description in rows if not description] == []


def table_cells(text: str, first_column: str) -> list[list[str]]:
    """The cells of the table whose first column has this title, without code marks."""
    [table] = re.findall(rf"^\| {first_column} \|.*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    lines = table.replace("`", "").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_of_artifacts_has_every_output_of_every_component(tmp_path: Path) -> None:
    folders = ("pipeline_root", "serving_dir", "checkpoint_dir", "log_dir", "data_path")
    paths = {name: str(tmp_path / name) for name in folders}
    pipeline = create_pipeline(scene_config("smoke"), watch=WatchConfig(), **paths)
    outputs = {(one.id, name) for one in pipeline.components for name in one.outputs}
    page = (ROOT / "docs" / "reference" / "artifacts.md").read_text("utf-8")
    assert {tuple(cells[:2]) for cells in table_cells(page, "stage")} == outputs


def test_the_architecture_has_the_arrows_that_the_layering_test_has() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = [cells[0] for cells in table_cells(text, "row of `adarec_tf`")]
    assert rows == [", ".join(line) for line in LINES if not line[0].startswith("__")]
    places = {
        package: tuple(cells[1].split(", "))
        for cells in table_cells(text, "third-party package")
        for package in cells[0].split(", ")
    }
    assert places == THIRD_PARTY


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_a_named_file_exists(path: Path) -> None:
    named = re.findall(r"`([\w./]+/[\w.]*)`", path.read_text("utf-8"))
    places = [ROOT, ROOT / "adarec_tf"]
    ours = [name for name in named if name.endswith(".py") or name.split("/")[0] in TOP_LEVEL]
    missing = [name for name in ours if not any((place / name).exists() for place in places)]
    assert missing == []


def test_every_page_is_in_the_navigation() -> None:
    site = (ROOT / "docs" / "mkdocs.yml").read_text("utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r": ([\w/-]+\.md)$", site, re.MULTILINE)) == pages


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", without_code_blocks(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def without_code_blocks(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)
