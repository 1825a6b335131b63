"""Hypothesis strategies for the records of this project."""

from hypothesis import strategies as st

# Characters that break careless readers and writers, beside plain ones.
_ID_CHARACTERS = "ab01 ,\"'\t;|é漢\u2028"
raw_ids = st.text(_ID_CHARACTERS, min_size=1, max_size=4).filter(lambda text: text.strip() != "")


def interactions(
    max_rows: int = 60, with_ties: bool = True
) -> st.SearchStrategy[list[tuple[str, str, int]]]:
    """Logs of few users and items: (user, item, time) rows in order of arrival.

    Args:
      max_rows: rows at most.
      with_ties: whether times may be equal; without ties all times differ.
    """
    users = st.sampled_from([f"u{number}" for number in range(6)])
    items = st.sampled_from([f"i{number}" for number in range(5)])
    times = st.integers(-5, 5) if with_ties else st.integers(-(10**9), 10**9)
    rows = st.tuples(users, items, times)
    unique_by = None if with_ties else (lambda row: row[2])
    return st.lists(rows, max_size=max_rows, unique_by=unique_by)
