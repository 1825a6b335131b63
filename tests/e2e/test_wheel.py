"""The wheel in an environment of its own, in which the repository's folder is not to be found."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from adarec_tf.export.recommender import Recommender
from tests.benchmarks.quickstart import read_table, readme_script
from tests.e2e.conftest import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PACKAGES = ("adarec_tf", "components", "pipeline", "serving")
USER_SCRIPT = """
import adarec_tf as ar
from serving.client import RecommendClient

data = ar.Dataset.from_interactions("events.csv", user="visitor")
accuracy = ar.evaluate({"popularity": ar.Popularity()}, data)
ndcg: float = accuracy.rows["popularity"]["ndcg@10/full"]


def first(client: RecommendClient) -> str:
    [items] = client.recommend([["shoe-7"]], k=1)
    return items[0].item_id
"""


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that knows nothing of the repository's folder."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel and what is installed here besides the project."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", source, cwd=folder)
    [wheel] = (source / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder)
    # A path alone: files such as that of an editable installation are not followed there.
    here = sysconfig.get_path("purelib")
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "here.pth").write_text(f"{here}\n")
    shutil.rmtree(source)
    return python


def test_the_installed_packages_are_imported(interpreter: Path, tmp_path: Path) -> None:
    code = "import adarec_tf, serving.client; print(adarec_tf.__file__, serving.client.__file__)"
    for place in run(interpreter, "-c", code, cwd=tmp_path).split():
        assert interpreter.parents[1] in Path(place).parents
    assert run(interpreter.with_name("adarec"), "--version", cwd=tmp_path).startswith("adarec,")


def test_a_script_is_type_checked(interpreter: Path, tmp_path: Path) -> None:
    check = (sys.executable, "-m", "mypy", "--python-executable", interpreter, "--strict")
    check += ("--disable-error-code", "import-untyped")  # Keras has no types
    script = tmp_path / "script.py"
    for code in (readme_script(), USER_SCRIPT):
        script.write_text(code)
        run(*check, script, cwd=tmp_path)
    script = tmp_path / "wrong.py"  # mypy takes one of equal size and time as checked
    script.write_text(USER_SCRIPT.replace("-> str", "-> int"))
    with pytest.raises(AssertionError, match='got "str", expected "int"'):
        run(*check, script, cwd=tmp_path)


def test_the_quickstart_of_the_readme_goes_all_the_way(interpreter: Path, tmp_path: Path) -> None:
    """As the notebook, whose cells are the README's script (`tests/test_docs.py`)."""
    shutil.copy(ROOT / "docs" / "guides" / "quickstart.ipynb", tmp_path)
    execute = ("-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "--allow-errors")
    run(interpreter, *execute, "quickstart.ipynb", cwd=tmp_path)
    cells = json.loads((tmp_path / "quickstart.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    printed = "".join("".join(output.get("text", ())) for output in outputs)
    ndcg = {name: row["ndcg@10"] for name, row in read_table(printed).items()}
    # What `make run` gives: a student of .40, as tests/golden holds.
    assert ndcg["student"] > 0.38 > 0.22 > ndcg["markov"] > ndcg["popularity"]
    assert ndcg["teacher"] > 0.36
    recommend = Recommender.load(str(tmp_path / "serving" / "student" / "1"))
    assert len(recommend(["crime-01-e03"], k=3)) == 3
