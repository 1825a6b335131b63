"""What was skipped, by reason and name: a suite that says how many alone hides what was not run."""

import collections
from collections.abc import Sequence

import pytest


def skip_lines(skipped: Sequence[pytest.TestReport]) -> list[str]:
    """Lines for the end of the suite: each reason with its number of tests, and their names.

    Args:
      skipped: the reports of tests that were skipped, in any order.
    """
    names = collections.defaultdict(list)
    for report in skipped:
        assert isinstance(report.longrepr, tuple)
        names[report.longrepr[2].removeprefix("Skipped: ")].append(report.nodeid)
    lines = []
    for reason, tests in sorted(names.items()):
        lines.append(f"{len(tests)} skipped: {reason}")
        lines += [f"  {name}" for name in sorted(tests)]
    return lines
