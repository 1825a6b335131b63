from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.histories.vocabulary import UNKNOWN, ItemVocabulary
from tests.strategies import raw_ids


def test_ids_follow_counts_then_keys_by_their_bytes() -> None:
    keys = pa.array(["é", "b", "a", "z", "rare"])
    vocabulary = ItemVocabulary(()).extended(keys, np.array([3, 3, 3, 9, 1]))
    assert vocabulary.keys == ("z", "a", "b", "é", "rare")


def test_encode_and_decode() -> None:
    vocabulary = ItemVocabulary(("x", "y", "z"))
    np.testing.assert_array_equal(vocabulary.encode(["z", "absent", "x"]), [3, UNKNOWN, 1])
    assert vocabulary.encode(pa.array(["y"])).dtype == np.int64
    assert vocabulary.decode([3, 1]) == ["z", "x"]
    assert (vocabulary.num_items, vocabulary.mask_id) == (3, 4)


@pytest.mark.parametrize("item_id", [-1, 0, 3])
def test_ids_that_are_no_items_are_refused(item_id: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.2. Received: " + str(item_id)):
        ItemVocabulary(("x", "y")).decode([1, item_id])


@pytest.mark.parametrize("keys", [("a", "b", "a"), ("a", ""), ("a\nb",), ("a\r",)])
def test_keys_that_would_not_survive_the_file_are_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="Item keys should be"):
        ItemVocabulary(keys)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="should be a file"):
        ItemVocabulary.read(str(tmp_path / "absent.txt"))


@settings(deadline=None, max_examples=50)
@given(st.lists(raw_ids, unique=True))
def test_write_then_read_is_identity(keys: list[str]) -> None:
    vocabulary = ItemVocabulary(tuple(keys))
    with TemporaryDirectory() as directory:
        path = str(Path(directory) / "vocabulary.txt")
        vocabulary.write(path)
        assert ItemVocabulary.read(path) == vocabulary
        assert Path(path).stat().st_size == vocabulary.num_bytes
        assert Path(path).read_bytes() == "".join(f"{key}\n" for key in keys).encode()


counted_items = st.dictionaries(raw_ids, st.integers(1, 4), max_size=8)


@settings(deadline=None, max_examples=60)
@given(counted_items, counted_items)
def test_an_extended_vocabulary_moves_no_id_and_orders_new_items_as_usual(
    before: dict[str, int], today: dict[str, int]
) -> None:
    def arrays(counts: dict[str, int]) -> tuple[pa.Array, np.ndarray]:
        return pa.array(counts, pa.string()), np.array(list(counts.values()), np.int64)

    first = ItemVocabulary(()).extended(*arrays(before))
    second = first.extended(*arrays(today))
    second.check_extends(first)
    new = sorted(set(today) - set(before), key=lambda key: (-today[key], key.encode()))
    assert second.keys == (*first.keys, *new)
    # Once more, with nothing new.
    assert second.extended(*arrays(before)) == second


@pytest.mark.parametrize("keys", [("a",), ("a", "c", "b"), ("b", "a", "c")])
def test_a_vocabulary_in_which_an_id_has_moved_is_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"with the id \d, which was '[ab]'"):
        ItemVocabulary(keys).check_extends(ItemVocabulary(("a", "b")))
