from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.export.profile import find_costs
from adarec_tf.models.model_cost import encoder_macs
from adarec_tf.models.students import build_student
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search import searcher
from adarec_tf.search.bilevel import supernet_training
from adarec_tf.search.searcher import SearchResult, is_finished, search_genotype
from adarec_tf.search.selection import validation
from adarec_tf.search.space.alphas import OPERATIONS
from tests.adarec_tf import walk_scene
from tests.event_files import read_scalars

pytestmark = pytest.mark.slow

SEARCH = SearchConfig(max_epochs=3, warmup_epochs=1, positions_per_batch=256)


@pytest.fixture(scope="module")
def teacher() -> keras.Model:
    config = NextItNetConfig(hidden_dim=8, num_blocks=2, dropout=0.0)
    return build_teacher(config, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=1)


@pytest.fixture(scope="module")
def scene() -> dict[str, Histories]:
    return walk_scene.histories()


def _search(
    teacher: keras.Model,
    scene: dict[str, Histories],
    folder: Path,
    *,
    distillation: DistillationConfig | None = None,
    num_cells: int = 1,
    **changes: Any,
) -> SearchResult:
    student = StudentConfig(hidden_dim=8, num_cells=num_cells, num_nodes=2)
    names = {"compute_dtype", "max_cache_bytes"}
    options = {name: changes.pop(name) for name in names & changes.keys()}
    num_candidates = changes.pop("num_candidates", searcher.NUM_CANDIDATES)
    num_users = changes.pop("validation_users", validation.NUM_USERS)
    search = SearchConfig(**{**SEARCH.to_dict(), **changes})
    length = walk_scene.MAX_LENGTH
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searcher, "NUM_CANDIDATES", num_candidates)
        patch.setattr(validation, "NUM_USERS", num_users)
        return search_genotype(
            teacher,
            scene["train"],
            scene["valid"],
            costs=find_costs(teacher, student, search, max_length=length, kept_dir=str(folder)),
            student=student,
            search=search,
            distillation=distillation or DistillationConfig(hidden_weight=1.0),
            max_length=length,
            seen="exclude",
            seed=5,
            checkpoint_dir=str(folder / "checkpoint"),
            log_dir=str(folder / "log"),
            **options,
        )


@pytest.fixture(scope="module")
def whole_search(
    teacher: keras.Model, scene: dict[str, Histories], tmp_path_factory: pytest.TempPathFactory
) -> SearchResult:
    """An uninterrupted search, with the teacher cached."""
    return _search(teacher, scene, tmp_path_factory.mktemp("whole"))


class _KilledError(Exception):
    pass


def test_an_interrupted_search_finds_what_an_uninterrupted_one_finds(
    teacher: keras.Model,
    scene: dict[str, Histories],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole_search: SearchResult,
) -> None:
    (tmp_path / "cut").mkdir()
    run_epoch = searcher._SearchLoop._run_epoch

    def killed_in_the_third(loop: Any, epoch: int) -> dict[str, Any]:
        if epoch == 2:
            raise _KilledError
        return run_epoch(loop, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(searcher._SearchLoop, "_run_epoch", killed_in_the_third)
        with pytest.raises(_KilledError):
            _search(teacher, scene, tmp_path / "cut")
    resumed = _search(teacher, scene, tmp_path / "cut")
    assert resumed.genotype == whole_search.genotype
    assert resumed.trace[-1]["alphas"] == whole_search.trace[-1]["alphas"]
    assert [record["epoch"] for record in resumed.trace] == [1, 2, 3]
    logged = read_scalars(tmp_path / "cut" / "log")
    for name in ("task", "logits_kd", "entropy", "student_mass/layer_1", "positions_per_second"):
        assert [epoch for epoch, _ in logged[name]] == [1, 2, 3], name
    # The alphas wait for the warm-up, and what their steps give with them.
    assert [epoch for epoch, _ in logged["cost"]] == [2, 3]
    assert [value for _, value in logged["entropy"]] == pytest.approx(
        [record["entropy"] for record in whole_search.trace], rel=1e-4
    )


@pytest.mark.parametrize(("max_epochs", "last"), [(9, 6), (4, 4)])
def test_a_search_is_over_when_its_genotype_stays_or_its_epochs_are_done(
    max_epochs: int, last: int
) -> None:
    """A resumed search has the whole trace, so that it stops where an uninterrupted one does."""
    search = SearchConfig(max_epochs=max_epochs, warmup_epochs=1)
    trace = [{"genotype": name, "alphas_moved": epoch > 1} for epoch, name in enumerate("aabaaa")]
    finished = [is_finished(trace[:length], search) for length in range(last + 1)]
    assert finished == [False] * last + [True]


def test_the_asked_teacher_guides_the_search_as_the_cached_one_does(
    whole_search: SearchResult, teacher: keras.Model, scene: dict[str, Histories], tmp_path: Path
) -> None:
    result = _search(teacher, scene, tmp_path, max_cache_bytes=0)
    assert not list((tmp_path / "checkpoint" / "teacher_states").glob("*"))
    assert result.genotype == whole_search.genotype
    np.testing.assert_allclose(
        result.trace[-1]["alphas"], whole_search.trace[-1]["alphas"], rtol=1e-3, atol=1e-4
    )


def test_alphas_wait_for_the_warm_up(whole_search: SearchResult) -> None:
    trace = whole_search.trace
    assert [record["alphas_moved"] for record in trace] == [False, True, True]
    assert trace[0]["alphas"] != trace[1]["alphas"]
    assert trace[0]["entropy"] == pytest.approx(1.0, abs=1e-4)
    assert trace[2]["entropy"] < trace[1]["entropy"] < trace[0]["entropy"]


def test_no_candidate_is_blind_to_order_even_if_the_cost_is_all_that_counts(
    teacher: keras.Model,
    scene: dict[str, Histories],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supernet_training, "ALPHA_LEARNING_RATE", 1.0)
    result = _search(teacher, scene, tmp_path, cost_weight=1e6, max_epochs=4)
    assert not any(genotype.is_degenerate for genotype, _ in result.candidates)
    assert not result.genotype.is_degenerate
    metrics = dict(result.candidates)
    assert metrics[result.genotype] == max(metrics.values())


def test_the_exported_student_is_the_network_that_was_chosen(whole_search: SearchResult) -> None:
    gap = whole_search.gap
    assert gap.derived == dict(whole_search.candidates)[whole_search.genotype]
    # One place more or less of one of 120 users.
    assert gap.inherited == pytest.approx(gap.derived, abs=2e-3)
    assert gap.relaxed > 0
    selection = whole_search.trace[-1]["selection"]
    assert selection["gap"] == gap.relaxed - gap.inherited
    assert selection["num_validated"] == len(selection["finalists"]) == 5


def test_a_baseline_takes_as_many_steps_and_looks_at_as_many_students(
    whole_search: SearchResult,
    teacher: keras.Model,
    scene: dict[str, Histories],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes = {"method": "evolution", "num_evaluations": 6, "num_candidates": 2}
    caplog.set_level("INFO", "adarec_tf")
    result = _search(teacher, scene, tmp_path, **changes)
    assert [record["alphas_moved"] for record in result.trace] == [False] * SEARCH.max_epochs
    assert result.trace[-1]["entropy"] == pytest.approx(1.0, abs=1e-4)
    assert result.trace[-1]["selection"]["num_validated"] == 9
    told = [record.progress for record in caplog.records if hasattr(record, "progress")]
    assert told == [
        *(("search", done, SEARCH.max_epochs) for done in range(1, SEARCH.max_epochs + 1)),
        *(("candidates", done, 9) for done in range(1, 10)),
    ]
    # The trace of a weight step that took the place of every alpha step.
    for ours, bilevel in zip(result.trace, whole_search.trace, strict=True):
        assert ours["num_steps"] == bilevel["num_steps"]
    # Finished already: weights are restored, and the same student is chosen.
    again = _search(teacher, scene, tmp_path, **changes)
    assert (again.genotype, again.candidates) == (result.genotype, result.candidates)


def test_alphas_of_every_cell_guided_by_several_teachers(
    scene: dict[str, Histories], tmp_path: Path
) -> None:
    config = NextItNetConfig(hidden_dim=8, num_blocks=1, dropout=0.0)
    ensemble = EnsembleTeacher(
        [
            build_teacher(config, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=seed)
            for seed in (1, 2)
        ]
    )
    result = _search(ensemble, scene, tmp_path, num_cells=2, alphas="per_cell", max_epochs=2)
    num_layers = len(ensemble(tf.constant([[1]])).hidden_states)
    assert len(result.trace[0]["teacher_mass"]) == num_layers
    assert np.shape(result.trace[-1]["alphas"]) == (6, len(OPERATIONS))
    assert result.trace[-1]["entropy"] < result.trace[0]["entropy"]
    assert any(genotype.cells[0] != genotype.cells[1] for genotype, _ in result.candidates)
    # The student that was found is the one that was validated: same network, same weights.
    assert result.student.genotype == result.genotype
    assert result.gap.inherited == pytest.approx(result.gap.derived, abs=2e-3)


def test_too_few_users_are_an_error(teacher: keras.Model, tmp_path: Path) -> None:
    lonely = walk_scene.histories(num_users=1)
    with pytest.raises(ValueError, match="both halves of the users"):
        _search(teacher, lonely, tmp_path)


def test_a_search_that_diverges_says_so(
    teacher: keras.Model,
    scene: dict[str, Histories],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    diverged = {"task": tf.constant(np.nan), "hidden_kd": tf.constant(1.0)}
    monkeypatch.setattr(supernet_training, "build_weight_step", lambda *_: lambda batch: diverged)
    with pytest.raises(
        ValueError, match=r"finite\. Received: task not .* in epoch 1 of the search"
    ):
        _search(teacher, scene, tmp_path)


def test_finalists_keep_the_budgets_and_are_ranked_again_by_the_users_left_out(
    teacher: keras.Model,
    scene: dict[str, Histories],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    evolve_within, bred = searcher.evolve_within, []

    def recorded(ladder: Any, ranked: Any, *arguments: Any, **options: Any) -> Any:
        bred.append((len(ranked), options["quantity"]))
        return evolve_within(ladder, ranked, *arguments, **options)

    monkeypatch.setattr(searcher, "evolve_within", recorded)
    max_length = walk_scene.MAX_LENGTH
    macs = max_length * 3 * 8 * 8  # one convolution of three taps
    changes: dict[str, Any] = {
        "validation_users": 10,
        "num_candidates": 1,
        "num_evaluations": 3,
        "max_macs": macs,
        "front_size": 3,
        "front_quantity": "macs",
    }
    caplog.set_level("INFO", "adarec_tf")
    result = _search(teacher, scene, tmp_path, max_epochs=2, **changes)
    # Five for the search; each budget of the front may propose one, and has two children.
    told = [record.progress for record in caplog.records if hasattr(record, "progress")]
    assert {total for loop, _, total in told if loop == "candidates"} == {5 + 3 * 3}
    assert told[-1].done > 5
    assert encoder_macs(result.student, max_length) <= macs
    config = StudentConfig(hidden_dim=8, num_cells=1, num_nodes=2)
    for genotype, _ in result.candidates:
        student = build_student(genotype, config, walk_scene.NUM_ITEMS, max_length, seed=1)
        assert encoder_macs(student, max_length) <= macs
    assert result.trace[-1]["genotype_cost"]["macs"] <= macs
    assert result.trace[-1]["overrun"] > 0
    assert result.trace[-1]["selection"]["num_validated"] == 5
    assert len(result.candidates) == 2
    # Ten users have few metrics in common with 120.
    best = dict(result.candidates)[result.genotype]
    assert best == max(metric for _, metric in result.candidates) != result.gap.derived
    assert bred == [(5, "macs")]
    # So does the front, which has the searched student among it or one that dominates it.
    assert result.front is not None
    searched = result.front.searched
    assert (searched.genotype, searched.metric) == (result.genotype, best)
    assert all(student.cost.macs <= macs for student in result.front.students)
    assert any(
        student.cost.macs <= searched.cost.macs and student.metric >= best
        for student in result.front.students
    )
    for student in result.front.students:
        again = result.validation.validate_on_all_users(student.genotype)
        assert student.metric == pytest.approx(again)


def test_an_unreachable_budget_is_an_error_before_anything_is_trained(
    teacher: keras.Model, scene: dict[str, Histories], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"`search\.max_bytes` should be at least \d+, "):
        _search(teacher, scene, tmp_path, max_bytes=100)
    assert not (tmp_path / "checkpoint").exists()


def test_depths_and_widths_are_searched_and_a_finished_width_is_not_redone(
    teacher: keras.Model,
    scene: dict[str, Histories],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes: dict[str, Any] = {
        "alphas": "per_cell",
        "min_cells": 1,
        "hidden_dims": (4, 8),
        "max_epochs": 2,
        "num_candidates": 1,
        "num_evaluations": 4,
        "front_size": 2,
        "front_quantity": "macs",
    }
    run_epoch, epochs = searcher._SearchLoop._run_epoch, []

    def counted(loop: Any, epoch: int) -> dict[str, Any]:
        epochs.append((loop._space.student.hidden_dim, epoch))
        if epochs == [(4, 0), (4, 1), (8, 0)]:
            raise _KilledError
        return run_epoch(loop, epoch)

    monkeypatch.setattr(searcher._SearchLoop, "_run_epoch", counted)
    with pytest.raises(_KilledError):
        _search(teacher, scene, tmp_path, num_cells=2, **changes)
    result = _search(teacher, scene, tmp_path, num_cells=2, **changes)
    assert epochs[3:] == [(8, 0), (8, 1)]
    # The better width was chosen; what tells of it comes last, and in all places.
    records = result.trace
    widths = [record["hidden_dim"] for record in records]
    chosen = result.genotype.hidden_dim
    assert widths == [12 - chosen] * 2 + [chosen] * 2
    best = [max(f["ndcg@10/full"] for f in r["selection"]["finalists"]) for r in records[1::2]]
    assert best[1] == dict(result.candidates)[result.genotype] >= best[0]
    assert result.student.genotype == result.genotype
    assert result.student.sequence_embedding.hidden_dim == chosen
    assert len(result.student.cells) == len(result.genotype.cells)
    assert result.gap.inherited == pytest.approx(result.gap.derived, abs=2e-3)
    # Depths wait for the warm-up as alphas do, and are drawn, trained, ranked and logged.
    for untouched, moved in (records[:2], records[2:]):
        assert untouched["depths"] == {"1": 0.5, "2": 0.5}
        assert moved["depths"]["1"] != 0.5
        assert sum(moved["depths"].values()) == pytest.approx(1.0)
    finalists = [f["genotype"] for r in records[1::2] for f in r["selection"]["finalists"]]
    assert {len(genotype["cells"]) for genotype in finalists} == {1, 2}
    logged = read_scalars(tmp_path / "log" / "width_8")
    assert [epoch for epoch, _ in logged["depth/1_cells"]] == [1, 2]
    # The front is of both widths: the cheapest student of all is of the narrower one.
    assert result.front is not None
    assert all(student.genotype.hidden_dim in (4, 8) for student in result.front.students)
    assert result.front.searched.genotype == result.genotype


def test_the_logits_are_of_the_numbers_asked_for(
    teacher: keras.Model,
    scene: dict[str, Histories],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = []

    def stop(*arguments: Any) -> None:
        given.append(arguments[-1])
        raise InterruptedError

    monkeypatch.setattr(supernet_training, "DistillationObjective", stop)
    with pytest.raises(InterruptedError):
        _search(teacher, scene, tmp_path, compute_dtype="bfloat16")
    assert given == ["bfloat16"]
