"""The layers as tables: every import of every source file is checked against them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP_LEVEL = ("adarec_tf", "components", "pipeline", "serving")

# Which of our packages each may import (besides itself).
ARROWS = {
    "pipeline": {"components", "adarec_tf"},
    "components": {"adarec_tf"},
    "adarec_tf": set(),
    "serving": set(),
}
# `cli` alone may import these, and only inside its commands.
LAZY_IN_CLI = {"pipeline", "serving"}

# Inside the library, from the top; a package imports only what stands on a lower line.
LINES = (
    ("__main__",),
    ("cli",),
    ("report", "tuning", "watch"),
    ("search", "export"),
    ("distillation",),
    ("training",),
    ("evaluation",),
    ("models",),
    ("data",),
    ("config",),
    ("__init__",),
)

# Third-party packages that may be imported in some places only.
THIRD_PARTY = {
    "tfx": ("components/", "pipeline/"),
    "ml_metadata": ("components/", "pipeline/"),
    "tfx_bsl": ("components/",),
    "tensorflow_data_validation": ("components/",),
    "tensorflow_metadata": ("components/",),
    "apache_beam": ("components/",),
    "ot": ("adarec_tf/distillation/emd.py",),
    "jinja2": ("adarec_tf/report/",),
    "matplotlib": ("adarec_tf/report/",),
    "keras_tuner": ("adarec_tf/tuning/",),
    "kfp": ("pipeline/kubeflow/runner.py",),
    "grpc": ("serving/",),
    "grpc_health": ("serving/",),
    "grpc_reflection": ("serving/",),
    "prometheus_client": ("serving/", "adarec_tf/watch/metrics.py"),
    "tensorflow_serving": ("serving/", "adarec_tf/export/warm_up.py"),
    "tensorflow_recommenders": ("adarec_tf/evaluation/retrieval_baseline.py",),
}
LINE_OF = {part: number for number, line in enumerate(LINES) for part in line}


def find_imports(source: str) -> Iterator[tuple[str, bool]]:
    """Every dotted name a module imports, and whether at its top level."""
    tree = ast.parse(source)
    top_level = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top_level
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or "", id(node) in top_level
            # `from adarec_tf import config` imports a part as well.
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) in top_level


def library_part(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LINE_OF else "__init__"


def wrong_arrows(path: str, source: str) -> list[str]:
    """What is wrong with the imports of one file.

    Args:
      path: relative to the repository root, with forward slashes.
      source: its text.
    """
    package, is_cli = path.split("/")[0], path.startswith("adarec_tf/cli/")
    part = path.split("/")[1].removesuffix(".py")
    wrong = []
    for name, is_top_level in find_imports(source):
        target = name.split(".")[0]
        if target in THIRD_PARTY and not path.startswith(THIRD_PARTY[target]):
            wrong.append(f"{path} imports {target}")
        if target in TOP_LEVEL and target != package and target not in ARROWS[package]:
            is_allowed = is_cli and target in LAZY_IN_CLI and not is_top_level
            wrong += [] if is_allowed else [f"{path} imports {name}"]
        if package == target == "adarec_tf":
            other = library_part(name)
            if other != part and LINE_OF[other] <= LINE_OF[part]:
                wrong.append(f"{path} imports {name}, which is not below it")
    return sorted(set(wrong))


def source_files() -> list[Path]:
    return sorted(path for package in TOP_LEVEL for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_import_points_downwards(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    assert wrong_arrows(relative, path.read_text("utf-8")) == []


def test_every_part_of_the_library_has_a_line() -> None:
    parts = {path.stem for path in (ROOT / "adarec_tf").glob("*.py")}
    parts |= {path.parent.name for path in (ROOT / "adarec_tf").glob("*/__init__.py")}
    assert parts == set(LINE_OF)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("serving/client.py", "import adarec_tf"),
        ("components/version_pusher.py", "from pipeline import pipeline"),
        ("components/version_pusher.py", "def f():\n    import serving.client"),
        ("adarec_tf/cli/group.py", "import pipeline.run"),
        ("adarec_tf/data/histories/histories.py", "from adarec_tf.evaluation import ranking"),
        ("adarec_tf/data/histories/histories.py", "def f():\n    from adarec_tf import search"),
        ("adarec_tf/models/sequence_model.py", "from adarec_tf.training import losses"),
        ("adarec_tf/search/cost/cost.py", "import tfx"),
        ("adarec_tf/search/searcher.py", "import ot"),
        ("adarec_tf/search/searcher.py", "from adarec_tf.export import profile"),
        ("adarec_tf/export/profile.py", "from adarec_tf.search.cost import budget"),
        ("adarec_tf/training/fit.py", "import keras_tuner"),
        ("adarec_tf/cli/group.py", "from matplotlib.figure import Figure"),
        ("pipeline/pipeline.py", "import apache_beam as beam"),
    ],
)
def test_a_wrong_arrow_is_found(path: str, source: str) -> None:
    assert wrong_arrows(path, source)


def test_the_command_line_may_reach_up_inside_its_commands() -> None:
    source = "def run():\n    from pipeline.run import run_pipeline"
    assert wrong_arrows("adarec_tf/cli/group.py", source) == []
