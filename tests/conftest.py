"""Shared fixtures: the threads of a run, fixed seeds."""

from pathlib import Path
from typing import Any

import keras
import pytest

from adarec_tf.training.devices import set_threads
from tests.skips import skip_lines

_TESTS = Path(__file__).parent

set_threads()  # as runs have it


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    keras.utils.set_random_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several processes, one begins with the pipeline's runs: they take longest."""
    if hasattr(config, "workerinput"):
        runs = _TESTS / "e2e"
        items.sort(key=lambda item: runs not in item.path.parents)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says what was skipped, and why."""
    for line in skip_lines(terminalreporter.stats.get("skipped", ())):
        terminalreporter.write_line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several processes, one gets all tests that share what is made once a session or a file."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = _TESTS.parent / nodeid.partition("::")[0]
            shared = [parent for parent in path.parents if (parent / "conftest.py").exists()]
            return str(path if shared[0] == _TESTS else shared[0])

    return Scheduling(config, log)
