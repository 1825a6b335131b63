"""How many breaks the tests notice: a sample of mutants, each against the tests that reach it.

    pip install --no-deps --target FOLDER mutmut libcst coverage pytest-cov
    PYTHONPATH=FOLDER python tests/benchmarks/mutants.py --outcomes mutants.json

breaks the code in a copy of the tree, one break at a time, and runs the fast tests that execute
what is broken, as coverage.py has seen them: first those that execute the least beside it. Where it
has seen none (constants, code that AutoGraph has rewritten), the tests of the mirrored file and of
its folder are run. The breaks are mutmut's, and arguments that change places with their neighbors.
What is drawn depends on the seed and the code alone. An interrupted run goes on. `--again` tries
those that survived once more, on the whole folder, with tests that were written since; with
`--slow` on the slow tests of the folder and on whole runs of the smoke scene as well.

A break that changes nothing is no break: `equivalent_mutants.json` says which these are, and why.
`results/mutants.json` has the counts, of the first time and of the last, and what survives.

What nobody reads or nothing depends on is no mutant: annotations, decorators, and what is raised,
logged or handed to a parser of arguments.
"""

import argparse
import ast
import collections
import difflib
import itertools
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import coverage
import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators
from stored_results import RESULTS, ROOT, provenance, write_result

PACKAGES = (
    *("adarec_tf/distillation", "adarec_tf/search", "adarec_tf/evaluation", "adarec_tf/export"),
    *("components", "pipeline", "serving"),
)
EQUIVALENT = Path(__file__).parent / "equivalent_mutants.json"
TIME_LIMIT_S = 1800
FAST = "not slow and not e2e"
_WHOLE_RUNS = ["tests/e2e/test_smoke_scene.py", "tests/e2e/test_daily_runs.py"]
_FIRST_TESTS = 20
_FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_NO_TESTS_LEFT = 5  # pytest's exit code where every test was deselected
# A process that has imported what every test needs, and is forked for each run of tests.
_FORKED = """
import contextlib, importlib, json, os, sys

for name in sys.argv[1:]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
import pytest

for line in sys.stdin:
    folder, arguments, output = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(folder)
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = folder
        file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os._exit(pytest.main(arguments))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_IMPORTS = ("keras", "scipy.sparse", "scipy.stats", "pyarrow.parquet", "pydantic", "hypothesis")
_IMPORTS_OF_PIPELINE = ("tfx.v1", "tensorflow_data_validation", "apache_beam", "kfp")
_UNREAD_CALLS = re.compile(r"logger\.|log_progress|.*\.add_argument|argparse\.")


class Mutant(NamedTuple):
    """A break.

    Attributes:
      file: which is broken, from the root of the repository.
      line: where.
      change: the lines that differ, as a diff has them.
      code: of the broken file.
    """

    file: str
    line: int
    change: list[str]
    code: str

    @property
    def key(self) -> str:
        """What a stored outcome is found by."""
        return json.dumps([self.file, self.line, self.change])


class _Replacements(libcst.CSTVisitor):
    """All the nodes of a module that can be broken, and by what."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[libcst.CSTNode, libcst.CSTNode, int]] = []

    def on_visit(self, node: libcst.CSTNode) -> bool:
        if _is_unread(node):
            return False
        line = self.get_metadata(PositionProvider, node).start.line
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                self.found += [(node, broken, line) for broken in operator(node)]
        if isinstance(node, libcst.Call):
            self.found += [(node, broken, line) for broken in _swapped(node)]
        return True


def _is_unread(node: libcst.CSTNode) -> bool:
    if isinstance(node, libcst.Call):
        return _UNREAD_CALLS.match(libcst.Module([]).code_for_node(node.func)) is not None
    unread = (libcst.Annotation, libcst.Decorator, libcst.Raise, libcst.Import, libcst.ImportFrom)
    return isinstance(node, unread)


def _swapped(call: libcst.Call) -> Iterator[libcst.Call]:
    """The call with two neighboring arguments in each other's place."""
    for place, (left, right) in enumerate(zip(call.args, call.args[1:], strict=False)):
        if left.star or right.star:
            continue
        swapped = list(call.args)
        swapped[place] = left.with_changes(value=right.value)
        swapped[place + 1] = right.with_changes(value=left.value)
        yield call.with_changes(args=swapped)


class _Source:
    """A file, and what can be broken in it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._text = (ROOT / file).read_text()
        wrapper = MetadataWrapper(libcst.parse_module(self._text))
        replacements = _Replacements()
        wrapper.visit(replacements)
        self._module, self.replacements = wrapper.module, replacements.found

    def mutant(self, number: int) -> Mutant | None:
        """The break of this number; None where the program stays as it is, or is none."""
        node, broken, line = self.replacements[number]
        code = self._module.deep_replace(node, broken).code
        if not _is_another_program(code, self._text):
            return None
        diff = difflib.unified_diff(self._text.splitlines(), code.splitlines(), lineterm="", n=0)
        change = [text for text in diff if text[0] in "+-" and text[:3] not in ("+++", "---")]
        return Mutant(self._file, line, change, code)


def _is_another_program(code: str, source: str) -> bool:
    try:
        return ast.dump(ast.parse(code)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def draw(number: int, seed: int) -> Iterator[Mutant]:
    """A sample of the breaks of all packages: each is as likely as any other."""
    files = subprocess.run(
        ["git", "ls-files", *(f"{package}/*.py" for package in PACKAGES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    sources = [_Source(file) for file in sorted(files)]
    places = [(source, n) for source in sources for n in range(len(source.replacements))]
    print(f"{len(places)} breaks of {len(files)} files", flush=True)
    random.Random(seed).shuffle(places)
    mutants = (source.mutant(place) for source, place in places)
    return itertools.islice((mutant for mutant in mutants if mutant is not None), number)


class Reached:
    """Which fast tests execute which lines."""

    def __init__(self, measured: Path) -> None:
        """Reads what coverage.py has seen.

        Args:
          measured: its file, with a context for each test: `measure` writes it.
        """
        self._data = coverage.CoverageData(str(measured))
        self._data.read()
        files = map(self._data.contexts_by_lineno, self._data.measured_files())
        contexts = (test for lines in files for line in lines.values() for test in line)
        self._reach = collections.Counter(contexts)

    def tests(self, file: str, line: int) -> list[str]:
        """The tests that execute a statement, those that execute the least beside it first.

        What a fixture executes may be looked at by all tests of its file: they are last.
        """
        by_line = self._data.contexts_by_lineno(str(ROOT / file))
        lines = _lines_of_statement((ROOT / file).read_text(), line)
        contexts = {context for line in lines for context in by_line.get(line, ()) if context}
        tests = [context.split("|")[0] for context in sorted(contexts, key=self._reach.get)]
        fixtures = (context for context in contexts if context.endswith("|setup"))
        return [*dict.fromkeys([*tests, *sorted({one.split("::")[0] for one in fixtures})])]


def _lines_of_statement(code: str, line: int) -> range:
    """Those of the innermost statement around a line; of a function, if it is in its header."""
    around = ast.parse(code)
    for node in ast.walk(around):  # Outer nodes come first.
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            around = node
    body = getattr(around, "body", None)
    if body is None or isinstance(around, ast.FunctionDef):
        return range(around.lineno, (around.end_lineno or 0) + 1)
    return range(around.lineno, body[0].lineno)


def measure(measured: Path, processes: int) -> None:
    """Runs all fast tests, and writes what each executes.

    Raises:
      SystemExit: a test fails.
    """
    packages = [f"--cov={folder}" for folder in sorted({Path(one).parts[0] for one in PACKAGES})]
    options = ["-m", FAST, f"--numprocesses={processes}", "--dist=loadscope"]
    options += [*packages, "--cov-context=test", "--cov-report="]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(measured)},
        check=False,
    )
    if done.returncode:
        measured.unlink(missing_ok=True)
        raise SystemExit("The fast tests must pass before the code is broken: mend them first.")


class Tree:
    """A copy of the repository in which one file after the other is broken."""

    def __init__(self, folder: Path, reached: Reached | None, with_slow: bool) -> None:
        """Creates the copy.

        Args:
          folder: an empty folder.
          reached: for the tests that reach a break; None for those of its folder.
          with_slow: whether slow tests are run as well.
        """
        self._folder, self._reached, self._with_slow = folder, reached, with_slow
        files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(files, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self._processes: dict[bool, subprocess.Popen[str]] = {}

    def outcome(self, mutant: Mutant) -> dict[str, Any]:
        """What the tests say of a break: `killed`, by which test, or `survived`."""
        *mirrored, folder = _tests_of(mutant.file)
        # By itself first: to collect a whole folder takes longer than most tests.
        steps = [mirrored, [folder], _WHOLE_RUNS if self._with_slow else []]
        if self._reached and (tests := self._reached.tests(mutant.file, mutant.line)):
            # By themselves first: a process collects few files sooner than all.
            steps = [tests[:_FIRST_TESTS], tests[_FIRST_TESTS:]]
        path = self._folder / mutant.file
        path.write_text(mutant.code)
        try:
            failed = next(filter(None, map(self._failure, filter(None, steps))), "")
        finally:
            shutil.copy(ROOT / mutant.file, path)
        return {"outcome": "killed", "by": failed} if failed else {"outcome": "survived"}

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes.values():
            process.kill()

    def _failure(self, tests: Sequence[str]) -> str:
        """The first of the tests, files and folders that fails; "" if none does."""
        arguments = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
        arguments += [] if self._with_slow else ["-m", FAST]
        with_pipeline = not all("adarec_tf" in Path(test).parts for test in tests)
        code, output = self._run(arguments, with_pipeline)
        if code in (0, _NO_TESTS_LEFT):
            return ""
        if code == -signal.SIGKILL:
            return "the time limit"
        found = _FIRST_FAILURE.search(output)
        return found[1] if found else f"pytest's exit code {code}"

    def _run(self, arguments: list[str], with_pipeline: bool) -> tuple[int, str]:
        """Exit code and output of pytest."""
        if with_pipeline not in self._processes:
            names = (*_IMPORTS, *(_IMPORTS_OF_PIPELINE if with_pipeline else ()))
            self._processes[with_pipeline] = subprocess.Popen(
                [sys.executable, "-c", _FORKED, *names],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._processes[with_pipeline]
        assert process.stdin
        assert process.stdout
        log = self._folder.parent / f"{self._folder.name}.log"
        process.stdin.write(json.dumps([str(self._folder), arguments, str(log)]) + "\n")
        process.stdin.flush()
        group = int(process.stdout.readline())
        limit = threading.Timer(TIME_LIMIT_S, os.killpg, (group, signal.SIGKILL))
        limit.start()
        code = int(process.stdout.readline())
        limit.cancel()
        return code, log.read_text(errors="replace")


def _tests_of(file: str) -> list[str]:
    """The mirrored test file, where there is one, and the folder that mirrors the file's."""
    folder = Path("tests", file).parent
    mirrored = folder / f"test_{Path(file).name}"
    while not (ROOT / folder).exists():
        folder = folder.parent
    return [str(tests) for tests in (mirrored, folder) if (ROOT / tests).exists()]


def equivalent_reasons() -> dict[tuple[str, ...], str]:
    """Why a break is none, by file and change."""
    return {_key(one): one["reason"] for one in json.loads(EQUIVALENT.read_text())}


def summary(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts in total and by package, and the breaks that survive.

    Args:
      outcomes: of all mutants.
    """
    no_breaks = equivalent_reasons()
    counts: dict[str, dict[str, int]] = collections.defaultdict(collections.Counter)
    survivors = []
    for one in outcomes:
        [package] = [package for package in PACKAGES if one["file"].startswith(f"{package}/")]
        is_break = _key(one) not in no_breaks
        if is_break and one["outcome"] == "survived":
            survivors.append({key: one[key] for key in ("file", "line", "change")})
        for name in ("total", package):
            counts[name]["tried"] += 1
            counts[name]["equivalent"] += not is_break
            counts[name]["killed_first"] += is_break and one["first"] == "killed"
            counts[name]["killed"] += is_break and one["outcome"] == "killed"
    total = counts["total"]
    rates = {
        name: round(total[name] / (total["tried"] - total["equivalent"]), 4)
        for name in ("killed_first", "killed")
    }
    return {"rates": rates, "counts": dict(counts), "survivors": survivors}


def _key(one: dict[str, Any]) -> tuple[str, ...]:
    return one["file"], *one["change"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outcomes", type=Path, required=True, help="of each mutant, kept here")
    parser.add_argument("--again", action="store_true", help="try what survived once more")
    parser.add_argument("--slow", action="store_true", help="run slow tests as well")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    known = {}
    if options.outcomes.exists():
        stored = json.loads(options.outcomes.read_text())["mutants"]
        known = {json.dumps([one["file"], one["line"], one["change"]]): one for one in stored}
    command = ["python", "tests/benchmarks/mutants.py", *sys.argv[1:]]
    no_breaks = equivalent_reasons()
    trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
    lock = threading.Lock()

    def look_at(mutant: Mutant) -> dict[str, Any]:
        one = known.get(mutant.key)
        is_tried = options.again and one is not None and _key(one) not in no_breaks
        if one is None or (is_tried and one["outcome"] == "survived"):
            tree = trees.get()
            try:
                place = {"file": mutant.file, "line": mutant.line, "change": mutant.change}
                found = tree.outcome(mutant)
                first = found["outcome"] if one is None else one["first"]
                one = {**place, **found, "first": first}
            finally:
                trees.put(tree)
            with lock:
                print(one["outcome"], mutant.file, mutant.line, *mutant.change, flush=True)
                known[mutant.key] = one
                write_result(options.outcomes, {"mutants": [*known.values()]})
        return one

    reached = None
    if not options.again:
        measured = options.outcomes.with_suffix(".coverage").absolute()
        if not measured.exists():
            measure(measured, options.processes)
        reached = Reached(measured)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.processes) as pool:
        for number in range(options.processes):
            trees.put(Tree(Path(folder) / str(number), reached, options.slow))
        outcomes = [*pool.map(look_at, draw(options.number, options.seed))]
        while not trees.empty():
            trees.get().close()
    stored = {**provenance(command, ["mutmut", "coverage", "tensorflow"]), **summary(outcomes)}
    print(json.dumps(stored["counts"], indent=1), stored["rates"])
    write_result(RESULTS / "mutants.json", stored)


if __name__ == "__main__":
    main()
