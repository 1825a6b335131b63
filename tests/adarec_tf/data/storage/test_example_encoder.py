import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.storage.example_encoder import serialize_histories
from tests.references.examples import serialize_history
from tests.strategies import flat_histories

# Around every change of width of a variable-length integer, and the largest of all.
IDS = st.one_of(
    st.integers(1, 300),
    st.builds(lambda bits, off: (1 << bits) + off, st.integers(7, 62), st.integers(-1, 1)),
    st.just(2**63 - 1),
)
USERS = st.lists(st.tuples(st.binary(max_size=300), st.lists(IDS, max_size=90), IDS), max_size=5)


@settings(deadline=None, max_examples=100)
@given(USERS, st.booleans())
def test_records_are_those_of_the_protocol_buffer_library(
    users: list[tuple[bytes, list[int], int]], has_target: bool
) -> None:
    rows = [(key, items, target if has_target else 0) for key, items, target in users]
    histories = Histories(
        np.array([key for key, _, _ in rows], object),
        np.array([item for _, items, _ in rows for item in items], np.int64),
        np.cumsum([0, *(len(items) for _, items, _ in rows)]),
        np.array([target for _, _, target in rows], np.int64),
    )
    records = [serialize_history(*row) for row in rows]
    serialized = serialize_histories(histories)
    assert serialized.data.tobytes() == b"".join(records)
    assert serialized.lengths.tolist() == list(map(len, records))


def test_targets_of_some_are_refused() -> None:
    histories = flat_histories([[1], [2]])._replace(targets=np.array([3, 0]))
    with pytest.raises(ValueError, match=r"all have a target.*Received: 1 of 2 with one"):
        serialize_histories(histories)
