"""How many breaks the tests notice: a sample of mutants, each against the tests of its folder.

    pip install --target FOLDER mutmut
    PYTHONPATH=FOLDER python tests/benchmarks/mutants.py --output mutants.json

breaks the code in a copy of the tree, one break at a time, and runs the fast tests of the mirrored
folder, those of the mirrored file first: `adarec_tf/search/searcher.py` has those of
`tests/adarec_tf/search`. The breaks are mutmut's, and arguments that change places with their
neighbors. What is drawn depends on the seed and the code alone. An interrupted run goes on, and
`--again` tries those that survived once more, on tests that were written since.

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
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators
from stored_results import ROOT, provenance, write_result

PACKAGES = (
    *("adarec_tf/distillation", "adarec_tf/search", "adarec_tf/evaluation", "adarec_tf/export"),
    *("components", "pipeline", "serving"),
)
TIME_LIMIT_S = 1800
_FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_NO_TESTS_LEFT = 5  # pytest's exit code where every test was deselected
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


class Tree:
    """A copy of the repository in which one file after the other is broken."""

    def __init__(self, folder: Path) -> None:
        """Args: an empty folder."""
        self._folder = folder
        files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(files, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self._passing: set[Path] = set()

    def outcome(self, mutant: Mutant) -> dict[str, Any]:
        """What the tests say of a break: `killed`, by which test, or `survived`.

        Raises:
          SystemExit: the tests fail without it.
        """
        *mirrored, tests = _tests_of(mutant.file)
        if tests not in self._passing:
            if failed := self._failure(tests):
                raise SystemExit(f"{tests} fails as it is: {failed}")
            self._passing.add(tests)
        path = self._folder / mutant.file
        path.write_text(mutant.code)
        try:
            failed = self._failure(*mirrored, tests)
        finally:
            shutil.copy(ROOT / mutant.file, path)
        return {"outcome": "killed", "by": failed} if failed else {"outcome": "survived"}

    def _failure(self, *tests: Path) -> str:
        """The first test that fails, each run once; "" if none does."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        environment = {**os.environ, "PYTHONPATH": str(self._folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen(
            [*command, "-m", "not slow and not e2e", *map(str, tests)],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            output, _ = process.communicate(timeout=TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "the time limit"
        if process.returncode in (0, _NO_TESTS_LEFT):
            return ""
        found = _FIRST_FAILURE.search(output)
        return found[1] if found else f"pytest's exit code {process.returncode}"


def _tests_of(file: str) -> list[Path]:
    """The mirrored test file, where there is one, and the folder that mirrors the file's."""
    folder = Path("tests", file).parent
    mirrored = folder / f"test_{Path(file).name}"
    while not (ROOT / folder).exists():
        folder = folder.parent
    return [*([mirrored] if (ROOT / mirrored).exists() else []), folder]


def summary(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Killed and all, in total and by package."""
    counts: dict[str, dict[str, int]] = collections.defaultdict(lambda: {"killed": 0, "all": 0})
    for one in outcomes:
        [package] = [package for package in PACKAGES if one["file"].startswith(f"{package}/")]
        for name in ("total", package):
            counts[name]["all"] += 1
            counts[name]["killed"] += one["outcome"] == "killed"
    return dict(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--again", action="store_true", help="try what survived once more")
    options = parser.parse_args()
    known = {}
    if options.output.exists():
        stored = json.loads(options.output.read_text())["mutants"]
        known = {json.dumps([one["file"], one["line"], one["change"]]): one for one in stored}
    command = ["python", "tests/benchmarks/mutants.py", *sys.argv[1:]]
    outcomes: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder))
        for mutant in draw(options.number, options.seed):
            one = known.get(mutant.key)
            if one is None or (options.again and one["outcome"] == "survived"):
                one = {"file": mutant.file, "line": mutant.line, "change": mutant.change}
                one |= tree.outcome(mutant)
                print(one["outcome"], mutant.file, mutant.line, *mutant.change, flush=True)
                known[mutant.key] = one
                write_result(options.output, {"mutants": [*known.values()]})
            outcomes.append(one)
    print(json.dumps(summary(outcomes), indent=1))
    write_result(
        options.output,
        {**provenance(command, ["mutmut", "tensorflow"]), **summary(outcomes), "mutants": outcomes},
    )


if __name__ == "__main__":
    main()
