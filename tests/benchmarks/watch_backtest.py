"""Does `adarec watch` call when a retraining pays? A log cut in time, with a student of each age.

    python tests/benchmarks/watch_backtest.py --name retailrocket --data LOG --scratch FOLDER

The log is cut into parts of equal size. A student is trained on everything up to the end of
each part, for some epochs and without a teacher. It is then asked for the next items of every later
part, and checked on all events up to there as `adarec watch` checks it (but for the genotype). A
retraining on what is there at a check pays where the student that it gives predicts the next part
better than the one that is served, by more than 2%. What an interrupted run has done it keeps.

Without `--data` the log is a generated one in which nothing changes but its length.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
from stored_results import RESULTS, provenance, write_result

import adarec_tf as ar
from adarec_tf.config.data import DataConfig
from adarec_tf.config.watch import WatchConfig
from adarec_tf.data.dataset import OrderedLog, order_log
from adarec_tf.watch.next_items import recommender_gains
from adarec_tf.watch.scene_check import check_scene
from adarec_tf.watch.scene_events import SceneEvents

MIN_GAIN = 0.02
STEADY_USERS = 20_000
GROWTH_LIMITS = (0.05, 0.1, 0.15)
NUM_TARGETS = 5000
GENOTYPE = ar.Genotype.from_primitives(2, [["conv_3", "skip", "conv_3"]] * 2)


def until(log: OrderedLog, time: float) -> OrderedLog:
    """The log as it was at a time."""
    parts = [
        part._replace(
            interactions=part.interactions.filter(
                pa.array(part.interactions["timestamp"].to_numpy() <= time)
            )
        )
        for part in log.parts
    ]
    return log._replace(parts=parts)


def table_of(events: SceneEvents, time: float) -> pa.Table:
    """The raw events up to a time, for `Dataset`."""
    is_in = events.times <= time
    return pa.table(
        {
            "user_id": events.users[is_in].astype(str),
            "item_id": events.item_keys.take(events.items[is_in] - 1),
            "timestamp": events.times[is_in],
        }
    )


def train(events: SceneEvents, end: float, epochs: int) -> tuple[ar.Recommender, ar.Dataset, dict]:
    """A student of all events up to a time, its dataset, and NDCG@10 when it is blessed."""
    dataset = ar.Dataset.from_interactions(table_of(events, end), max_length=20)
    student = ar.Student.for_dataset(dataset, genotype=GENOTYPE, hidden_dim=64)
    student.compile(loss="sampled_softmax", learning_rate=4e-3)
    student.fit(dataset.train, epochs=epochs, positions_per_batch=1024, verbose=0)
    accuracy = ar.evaluate({"student": student, "markov": ar.Markov()}, dataset)
    blessed = {model: accuracy.intervals[model]["ndcg@10/full"] for model in ("student", "markov")}
    return ar.Recommender(student, dataset.vocabulary), dataset, blessed


def look(log: OrderedLog, ends: np.ndarray, number: int, epochs: int) -> dict[str, Any]:
    """What the student of the first parts gives on the later ones, and what the watch says of it.

    Args:
      log: the whole log.
      ends: the last time of each part.
      number: of parts that the student is trained on.
      epochs: of its training.
    """
    events = SceneEvents.of_log(log)
    recommender, dataset, blessed = train(events, ends[number - 1], epochs)
    ndcg, checks = {}, {}
    for part in range(number, len(ends)):
        is_in = (events.times > ends[part - 1]) & (events.times <= ends[part])
        places = events.draw_targets(is_in, NUM_TARGETS, seed=part)
        ndcg[part + 1] = float(recommender_gains(events, recommender, places).mean())
    for part in range(number + 1, len(ends)):
        found = check_scene(
            until(log, ends[part - 1]),
            recommender,
            dataset.vocabulary,
            since=ends[number - 1],
            blessed=blessed,
            data=DataConfig(),
            config=WatchConfig(),
        )
        signals = {signal.name: round(signal.value, 4) for signal in found.signals}
        raised = [signal.name for signal in found.signals if signal.is_raised]
        earlier = {signal.name: signal.earlier for signal in found.signals}
        checks[part] = {"raised": raised, "signals": signals, "earlier": earlier}
    return {"ndcg": ndcg, "checks": checks}


def summary(looks: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Precision and recall over all ages, and three ways to retrain.

    Args:
      looks: of `look`, by the number of parts that a student was trained on.
    """
    rows = []
    for trained, one in looks.items():
        after = {int(part): one["ndcg"][f"{int(part) + 1}"] for part in one["checks"]}
        gains = [looks[part]["ndcg"][f"{part + 1}"] / ndcg - 1 for part, ndcg in after.items()]
        called = [int(bool(_raised(looks, trained, part))) for part in after]
        # Of checks after one more part, after two and so on.
        rows.append({"trained": trained, "gains": gains, "called": called})
    pays = np.array([gain > MIN_GAIN for row in rows for gain in row["gains"]])
    growth = np.array(
        [check["signals"]["growth"] for one in looks.values() for check in one["checks"].values()]
    )
    is_called = np.array([called for row in rows for called in row["called"]], bool)
    return {
        "rows": [{**row, "gains": [round(gain, 4) for gain in row["gains"]]} for row in rows[:-1]],
        "checks": len(pays),
        "paid": int(pays.sum()),
        "called": int(is_called.sum()),
        "precision": round(float(pays[is_called].mean()), 4) if is_called.any() else None,
        "recall": round(float(is_called[pays].mean()), 4) if pays.any() else None,
        "by_growth_alone": {
            str(limit): {
                "called": int((growth >= limit).sum()),
                "in vain": int((~pays & (growth >= limit)).sum()),
                "missed": int((pays & (growth < limit)).sum()),
            }
            for limit in GROWTH_LIMITS
        },
        "policies": {
            name: policy(looks, decide)
            for name, decide in (
                ("never", lambda trained, part: False),
                ("when told", lambda trained, part: bool(_raised(looks, trained, part))),
                ("every part", lambda trained, part: True),
            )
        },
    }


def _raised(looks: dict[int, dict[str, Any]], trained: int, part: int) -> list[str]:
    return looks[trained]["checks"][f"{part}"]["raised"]


def policy(looks: dict[int, dict[str, Any]], decide: Any) -> dict[str, Any]:
    """Mean NDCG@10 over the parts, and how often was trained again."""
    first, last = min(looks), max(looks)
    trained, trainings, ndcg = first, 0, []
    for part in range(first, last + 1):
        if part > trained and decide(trained, part):
            trained, trainings = part, trainings + 1
        ndcg.append(looks[trained]["ndcg"][f"{part + 1}"])
    return {"ndcg@10": round(float(np.mean(ndcg)), 4), "trainings": trainings}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of the stored result")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--parts", type=int, default=10, help="that the log is cut into")
    parser.add_argument("--first", type=int, default=2, help="parts of the first training")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    log = order_log(options.data or ar.generate_sample_scene(STEADY_USERS), DataConfig())
    times = np.sort(SceneEvents.of_log(log).times)
    ends = times[len(times) * np.arange(1, options.parts + 1) // options.parts - 1]
    looks = {}
    for number in range(options.first, options.parts):
        kept = options.scratch / f"{number}.json"
        if not kept.exists():
            kept.write_text(json.dumps(look(log, ends, number, options.epochs)))
        looks[number] = json.loads(kept.read_text())
        print(number, json.dumps(looks[number]["ndcg"]), flush=True)
    stored = {
        **provenance(["python", *sys.argv], ["tensorflow"]),
        "seed": 0,
        "limits": WatchConfig().to_dict(),
        **summary(looks),
    }
    print(json.dumps({name: stored[name] for name in ("precision", "recall", "policies")}))
    write_result(RESULTS / f"watch_{options.name}.json", stored)


if __name__ == "__main__":
    main()
