import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.histories.value_counts import count_values, merge_counts


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-9, 9), min_size=1), st.integers(0, 30))
def test_counts_of_parts_add_up(values: list[int], cut: int) -> None:
    whole = count_values(np.array(values, np.int64))
    parts = [count_values(np.array(part, np.int64)) for part in (values[:cut], values[cut:])]
    merged = merge_counts(iter(parts))
    for ours, theirs in zip(merged, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(merge_counts([]).values) == 0


def test_counts_by_hand() -> None:
    counts = count_values(np.array([3, -1, 3], np.int32))
    assert counts.values.tolist() == [-1, 3]
    assert counts.counts.tolist() == [1, 2]
