import numpy as np

from adarec_tf.data.histories.histories import join_histories, split_halves
from tests.strategies import flat_histories


def test_halves_are_disjoint_complete_and_follow_the_user() -> None:
    histories = flat_histories([[n % 9 + 1] * (n % 4 + 1) for n in range(200)])
    halves = split_halves(histories)
    keys = [set(half.user_keys) for half in halves]
    assert not keys[0] & keys[1]
    assert keys[0] | keys[1] == set(histories.user_keys)
    assert min(map(len, keys)) > 60
    reordered = split_halves(histories.take(np.arange(199, -1, -1)))
    assert set(reordered[0].user_keys) == keys[0]


def test_taken_histories_are_those_of_the_rows() -> None:
    histories = flat_histories([[1, 2], [], [3], [4, 5, 6]])
    taken = histories.take(np.array([3, 1, 0]))
    assert [list(taken.history(row)) for row in range(3)] == [[4, 5, 6], [], [1, 2]]
    assert list(taken.user_keys) == [b"u3", b"u1", b"u0"]
    assert histories.take(np.zeros(0, np.int64)).num_users == 0


def test_joined_histories_follow_each_other() -> None:
    first, second = flat_histories([[1, 2], []]), flat_histories([[3]])
    joined = join_histories([first, second])
    assert [list(joined.history(row)) for row in range(3)] == [[1, 2], [], [3]]
    assert list(joined.user_keys) == [b"u0", b"u1", b"u0"]
    assert list(joined.targets) == [1, 1, 1]
