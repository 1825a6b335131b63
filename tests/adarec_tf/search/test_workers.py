"""A search on several workers finds what one process finds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.export.profile import count_costs
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search import searcher
from adarec_tf.search.searcher import search_genotype
from tests.adarec_tf import walk_scene
from tests.adarec_tf.device_processes import start, start_workers, wait

SCRIPT = Path(__file__).parents[1] / "search_on_devices.py"
# Cost, overrun and the alphas' own loss are there once the alphas move.
COMPARED = {"task", "hidden_kd", "logits_kd", "embedding_kd", "student_mass", "teacher_mass"} | {
    "alphas",
    "entropy",
    "alpha_task",
    "cost",
    "overrun",
}


def read(path: Path) -> dict[str, dict[str, Any]]:
    return json.loads(path.read_text())


def assert_same_search(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["genotype"] == expected["genotype"]
    for own, one in zip(found["trace"], expected["trace"], strict=True):
        assert own.keys() == one.keys()
        for name in COMPARED & one.keys():
            # Adam divides a gradient by its own size, which makes more of rounding where it is
            # small: alphas may differ by a thousandth of one step of 3e-2.
            atol = 3e-5 if name == "alphas" else 1e-6
            np.testing.assert_allclose(own[name], one[name], rtol=1e-5, atol=atol, err_msg=name)
    for own_weights, weights in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(own_weights, weights, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_workers_search_what_one_process_searches(tmp_path: Path) -> None:
    single, cluster = tmp_path / "single", tmp_path / "cluster"
    single.mkdir()
    cluster.mkdir()
    wait([start(SCRIPT, "one", single, "single")], single)
    names = ["chief", "other"]
    wait(start_workers(SCRIPT, cluster, names), cluster)
    expected = read(single / "single.json")
    chief, other = (read(cluster / f"{name}.json") for name in names)
    assert expected["budget"]["trace"][-1]["overrun"] > 0
    for case, result in expected.items():
        assert_same_search(chief[case], result)
        # Workers are equal to the bit, or they would part ways.
        assert other[case]["weights"] == chief[case]["weights"]
        assert other[case]["trace"][-1]["alphas"] == chief[case]["trace"][-1]["alphas"]
    assert chief["continued"]["weights"] == chief["budget"]["weights"]
    assert (cluster / "budget" / "log" / "chief").exists()
    assert not (cluster / "budget" / "log" / "other").exists()  # the chief alone writes


def test_workers_with_different_costs_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of two workers, the other one has another digest.
    monkeypatch.setattr(
        searcher,
        "mean_over_replicas",
        lambda strategy, values: {name: value + 0.5 for name, value in values.items()},
    )
    scene = walk_scene.histories(8)
    student = StudentConfig(hidden_dim=4, num_cells=1)
    teacher = build_teacher(NextItNetConfig(hidden_dim=4, num_blocks=1), 5, 6, seed=1)
    with pytest.raises(ValueError, match="`costs` should be equal on all workers"):
        search_genotype(
            teacher,
            scene["train"],
            scene["valid"],
            costs=count_costs(teacher, student, 6),
            student=student,
            search=SearchConfig(),
            distillation=DistillationConfig(),
            max_length=6,
            seen="keep",
            seed=1,
            checkpoint_dir=str(tmp_path / "checkpoint"),
        )
    assert not (tmp_path / "checkpoint").exists()
