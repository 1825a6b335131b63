from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from adarec_tf.data.dataset import Dataset
from adarec_tf.data.log.built_in import (
    generate_habits_scene,
    generate_large_scene,
    generate_sample_scene,
    generate_sessions_scene,
    write_scene,
)
from adarec_tf.data.log.interactions import inspect_log
from adarec_tf.evaluation.accuracy import evaluate
from adarec_tf.evaluation.baselines import ItemKNN, Markov


def histories(num_users: int, seed: int = 0) -> list[list[str]]:
    table = generate_sample_scene(num_users, seed=seed)
    items = defaultdict(list)
    for user, item in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True):
        items[user].append(item)
    return list(items.values())


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / f"{name}.csv.gz"
        write_scene(str(path), generate_sample_scene(30, 60, seed))
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]
    assert contents[0][4:8] == bytes(4), "the gzip header should hold no time of writing"
    assert inspect_log([str(tmp_path / "a.csv.gz")]).num_interactions > 30 * 10


def test_an_equal_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv.gz"
    write_scene(str(path), generate_sample_scene(5, 60))
    before = path.stat().st_mtime_ns
    write_scene(str(path), generate_sample_scene(5, 60))
    assert path.stat().st_mtime_ns == before
    path.write_bytes(b"interrupted")
    write_scene(str(path), generate_sample_scene(5, 60))
    assert inspect_log([str(path)]).num_interactions > 0


def test_histories_are_long_varied_without_repeats_and_in_time_order() -> None:
    lengths = [len(history) for history in histories(200)]
    assert min(lengths) >= 15
    assert max(lengths) <= 40
    assert np.std(lengths) > 5
    assert all(len(set(history)) == len(history) for history in histories(200))
    table = generate_sample_scene(50)
    times, users = table["timestamp"].to_numpy(), table["user_id"].to_numpy()
    assert (np.diff(times)[users[1:] == users[:-1]] > 0).all()
    assert (np.diff(times) < 0).any()


def test_a_history_tells_more_than_the_last_item_and_that_more_than_popularity() -> None:
    scene = histories(800)
    rates = {}
    for name, lags in (("popularity", ()), ("markov", (1,)), ("history", (1, 2, 3, 4, 5))):
        rates[name] = hit_rate_at_10(scene, lags)
    assert rates["popularity"] < 0.1
    assert 0.1 < rates["markov"] < 0.35
    assert rates["history"] > rates["markov"] + 0.2


def hit_rate_at_10(scene: list[list[str]], lags: tuple[int, ...]) -> float:
    """Counts which item follows which at each lag, and adds up the shares."""
    popularity = Counter(item for history in scene for item in history[:-2])
    follows: dict[tuple[int, str], Counter] = defaultdict(Counter)
    for history in scene:
        train = history[:-2]
        for lag in lags:
            for item, later in zip(train, train[lag:], strict=False):
                follows[lag, item][later] += 1
    hits = 0
    for *history, target in scene:
        scores = {item: count * 1e-6 for item, count in popularity.items()}
        for lag in lags:
            counts = follows[lag, history[-lag]]
            for item, count in counts.items():
                scores[item] += count / (counts.total() + 1)
        for item in history:
            scores.pop(item, None)
        hits += target in sorted(scores, key=lambda item: (-scores[item], item))[:10]
    return hits / len(scene)


def test_too_small_a_scene_is_refused() -> None:
    with pytest.raises(ValueError, match=r"60 items or more.*num_items=59"):
        generate_sample_scene(num_items=59)
    with pytest.raises(ValueError, match="num_users=0"):
        generate_sample_scene(num_users=0)


def test_the_other_scenes_have_the_shapes_that_they_are_for() -> None:
    habits = Dataset.from_interactions(generate_habits_scene(num_users=50))
    assert habits.num_items <= 100
    assert habits.statistics.repeat_share > 0.5
    assert habits.train.lengths.mean() > 50
    sessions = Dataset.from_interactions(generate_sessions_scene(num_users=300, num_items=5000))
    assert sessions.num_items > 500
    assert sessions.statistics.repeat_share == 0
    assert sessions.train.lengths.mean() < 8
    assert generate_sessions_scene(20, 100).equals(generate_sessions_scene(20, 100))


def test_in_the_large_scene_the_next_item_depends_on_more_than_the_last() -> None:
    scene = Dataset.from_interactions(generate_large_scene(num_users=2000, num_items=1000))
    assert scene.num_items > 950
    assert 35 < scene.train.lengths.mean() < 40
    accuracy = evaluate({"markov": Markov(), "neighbors": ItemKNN()}, scene)
    counted, neighbors = (accuracy.rows[name]["ndcg@10/full"] for name in accuracy.rows)
    assert 1.2 * counted < neighbors
    assert generate_large_scene(20, 100).equals(generate_large_scene(20, 100))
    assert not generate_large_scene(20, 100).equals(generate_large_scene(20, 100, seed=1))


def test_a_large_log_is_written_as_parquet_once(tmp_path: Path) -> None:
    path, table = tmp_path / "log.parquet", generate_large_scene(20, 100)
    write_scene(str(path), table)
    written = path.stat().st_mtime_ns
    assert pq.read_table(path).equals(table)
    write_scene(str(path), table)
    assert path.stat().st_mtime_ns == written
