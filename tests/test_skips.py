from types import SimpleNamespace

from tests.skips import skip_lines


def _skipped(name: str, reason: str) -> SimpleNamespace:
    return SimpleNamespace(nodeid=name, longrepr=("tests/file.py", 7, f"Skipped: {reason}"))


def test_skips_are_counted_by_reason_and_named() -> None:
    reports = [_skipped("b", "no Go"), _skipped("c", "no Docker"), _skipped("a", "no Go")]
    assert skip_lines(reports) == [
        "1 skipped: no Docker",
        "  c",
        "2 skipped: no Go",
        "  a",
        "  b",
    ]
    assert skip_lines([]) == []
