from pathlib import Path

import pytest

from adarec_tf.config.data import DataConfig
from adarec_tf.data.log.encoded import ORDERED_SCHEMA
from adarec_tf.data.log.interactions import InteractionsError
from adarec_tf.data.whole_log import count_items, load_interactions

# `rare` is left once; without it u2 has two interactions left.
LOG = """who,item_id,timestamp
u1,a,1
u1,b,2
u1,b,2
u1,c,3
u2,a,4
u2,b,5
u2,rare,6
u3,c,7
u3,a,8
u3,b,9
u3,d,10
u1,d,11
"""


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return str(path)


def test_what_the_filters_leave_by_hand(log: str) -> None:
    config = DataConfig(user_column="who", min_item_interactions=2, min_user_interactions=3)
    interactions, user_keys, item_keys = load_interactions(log, config)
    assert interactions.schema.equals(ORDERED_SCHEMA)
    users, items = (
        keys.take(interactions[name].combine_chunks()).to_pylist()
        for name, keys in (("user", user_keys), ("item", item_keys))
    )
    rows = list(zip(users, items, strict=True))
    assert rows == [*(("u1", item) for item in "abcd"), *(("u3", item) for item in "cabd")]
    assert interactions["timestamp"].to_pylist() == [1, 2, 3, 11, 7, 8, 9, 10]
    assert count_items(log, config) == 4


def test_items_behind_the_cut_in_time_are_not_counted(log: str) -> None:
    # The last quarter of eight interactions: u3 and u1 take d.
    config = DataConfig(
        user_column="who",
        min_item_interactions=2,
        split="global_time",
        test_time_share=0.125,
    )
    assert count_items(log, config) == 3


def test_events_that_are_not_asked_for_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    header, *rows = LOG.splitlines()
    bought = [f"{row},{'view' if ',c,' in row else 'buy'}" for row in rows]
    path.write_text("\n".join([f"{header},what", *bought]))
    config = DataConfig(user_column="who", event_column="what", events=("buy",))
    interactions, _, item_keys = load_interactions(str(path), config)
    items = item_keys.take(interactions["item"].combine_chunks()).to_pylist()
    assert items == ["a", "b", "d", "a", "b", "rare", "a", "b", "d"]
    with pytest.raises(ValueError, match=r"which are 'buy' \(10\), 'view' \(2\)"):
        load_interactions(str(path), config.replace(events=("cart",)))


def test_a_gap_in_another_unit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,timestamp\nu1,a,-1700000000000\n")
    with pytest.raises(ValueError, match="`time_unit` should be that of the log's times"):
        load_interactions(str(path), DataConfig(session_gap_seconds=60.0))


def test_a_bad_log_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("user_id,item_id,timestamp\nu1,,3\n")
    with pytest.raises(InteractionsError, match="line 2"):
        count_items(str(path), DataConfig())
