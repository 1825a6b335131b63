import gc
import weakref
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.evaluation.protocols import evaluate_full, model_scorer
from adarec_tf.models import metrics, next_item_model, target_feed
from adarec_tf.models.metrics import MRR, NDCG, HitRate, target_ranks
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.student import Student
from adarec_tf.models.teachers.bert4rec import BERT4Rec
from adarec_tf.models.teachers.sasrec import SASRec
from tests.adarec_tf import walk_scene

SCENE = walk_scene.histories()


def _model(dropout: float = 0.0) -> SASRec:
    keras.utils.set_random_seed(1)
    model = SASRec(
        num_items=walk_scene.NUM_ITEMS,
        max_length=walk_scene.MAX_LENGTH,
        hidden_dim=16,
        num_blocks=1,
        feed_forward_dim=16,
        dropout=dropout,
    )
    model(tf.zeros([1, 1], tf.int64))
    return model


def _fit(model: NextItemModel, **options: Any) -> keras.callbacks.History:
    given = {"epochs": 3, "positions_per_batch": 256, "seed": 2, "verbose": 0, **options}
    return model.fit(SCENE["train"], validation_data=SCENE["valid"], **given)


def test_a_model_that_was_trained_and_asked_is_given_back() -> None:
    model = _model()
    _fit(model, epochs=1)
    model.evaluate(SCENE["test"], verbose=0)
    model.predict(SCENE["test"], verbose=0)
    model_is_alive = weakref.ref(model)
    del model
    gc.collect()
    assert model_is_alive() is None


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_validation_is_the_evaluation_of_the_full_catalog(seen: str) -> None:
    model = _model()
    model.compile(seen=seen, learning_rate=1e-2)
    history = _fit(model).history
    expected = evaluate_full(
        model_scorer(model),
        SCENE["valid"],
        num_items=walk_scene.NUM_ITEMS,
        max_length=walk_scene.MAX_LENGTH,
        seen=seen,
        cutoffs=(10,),
    )
    assert history["val_ndcg@10"][-1] == pytest.approx(expected["ndcg@10/full"], rel=1e-6)
    assert history["val_hit_rate@10"][-1] == pytest.approx(expected["hit_rate@10/full"])
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_loss"][-1] < np.log(walk_scene.NUM_ITEMS)


def test_no_data_has_a_thread_whose_sleep_the_end_of_a_fit_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted: list[Any] = []
    monkeypatch.setattr(
        keras.Model,
        "fit",
        lambda self, x, y, *, validation_data, **options: fitted.extend((x, validation_data)),
    )
    _fit(_model())
    assert [data.options().autotune.enabled for data in fitted] == [False, False]


def test_the_loss_of_validation_is_the_mean_cross_entropy_of_users() -> None:
    model = _model()
    logits = model.predict(SCENE["valid"], verbose=0).astype(np.float64)
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(SCENE["valid"].targets - 1, logits)
    found = model.evaluate(SCENE["valid"], verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_large_catalog_is_ranked_for_fewer_users_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = _model()
    model.compile()
    expected = model.evaluate(SCENE["valid"], verbose=0, return_dict=True)
    monkeypatch.setattr(target_feed, "users_at_a_time", {walk_scene.NUM_ITEMS: 7}.get)
    sizes = [len(rows) for rows, *_ in model._target_feed(SCENE["valid"]).batches()]
    assert (max(sizes), sum(sizes)) == (7, SCENE["valid"].num_users)
    found = model.evaluate(SCENE["valid"], verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_validation_ranks_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: tf.Tensor) -> tf.Tensor:
        calls.append(arguments)
        return target_ranks(*arguments)

    monkeypatch.setattr(next_item_model, "target_ranks", counted)
    monkeypatch.setattr(metrics, "target_ranks", None)
    model = _model()
    top = keras.metrics.SparseTopKCategoricalAccuracy(5, name="top")
    model.compile(metrics=[HitRate(5), NDCG(5), MRR(5), top], run_eagerly=True)
    found = model.evaluate(SCENE["valid"], verbose=0, return_dict=True)
    assert len(calls) == sum(1 for _ in model._target_feed(SCENE["valid"]).batches())
    assert 0 < found["mrr@5"] < found["ndcg@5"] < found["hit_rate@5"] < 1


def test_predictions_are_in_the_order_of_the_histories() -> None:
    model = _model()
    scores = model.predict(SCENE["test"], verbose=0)
    for user in (0, 7, 119):
        items = SCENE["test"].history(user)[-walk_scene.MAX_LENGTH :]
        [expected] = model.predict(items[np.newaxis], verbose=0)
        np.testing.assert_allclose(scores[user], expected, rtol=1e-5, atol=1e-6)


def test_any_loss_optimizer_and_metric_of_keras_will_do() -> None:
    model = _model()
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[MRR(3), keras.metrics.SparseTopKCategoricalAccuracy(5, name="top")],
    )
    history = _fit(model).history
    assert history["loss"][-1] < history["loss"][0]
    assert {"val_mrr@3", "val_top", "val_loss"} <= set(history)
    own = _model()
    own.compile(keras.optimizers.Adam(1e-2))
    # The loss by its name is the same number.
    assert _fit(own).history["loss"] == pytest.approx(history["loss"], rel=1e-3)


@pytest.mark.parametrize("loss", ["sampled_softmax", "gbce"])
def test_sampled_losses_train(loss: str) -> None:
    model = _model()
    model.compile(loss=loss, learning_rate=1e-2)
    losses = _fit(model).history["loss"]
    assert losses[-1] < losses[0]


def test_item_ids_and_labels_are_data_as_well() -> None:
    model = _model()
    item_ids = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    labels = np.array([[0, 2, 3, 4], [5, 6, 7, 8]])
    model.compile(learning_rate=1e-2)
    data = tf.data.Dataset.from_tensors((item_ids, labels))
    targets = tf.data.Dataset.from_tensors((item_ids, np.array([4, 8])))
    history = model.fit(data, epochs=20, validation_data=targets, verbose=0).history
    assert history["val_loss"][-1] < history["val_loss"][0]


@pytest.mark.parametrize(("epochs_before", "parts"), [(1, 1), (2, 1), (1, 3)])
def test_a_training_that_keras_backs_up_resumes_as_if_it_had_not_stopped(
    epochs_before: int, parts: int, tmp_path: Path
) -> None:
    class Killer(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == epochs_before:
                raise KeyboardInterrupt

    whole, first, second = _model(0.2), _model(0.2), _model(0.2)
    _fit(whole, parts=parts)
    with pytest.raises(KeyboardInterrupt):
        _fit(
            first,
            callbacks=[keras.callbacks.BackupAndRestore(str(tmp_path)), Killer()],
            parts=parts,
        )
    resumed = _fit(second, callbacks=[keras.callbacks.BackupAndRestore(str(tmp_path))], parts=parts)
    assert len(resumed.history["loss"]) == 3 - epochs_before
    for expected, weight in zip(whole.weights, second.weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_parts_of_an_epoch_change_nothing_but_how_often_it_is_validated() -> None:
    whole, in_parts = _model(0.2), _model(0.2)
    batches = next_item_model.next_item_batches(
        SCENE["train"],
        max_length=walk_scene.MAX_LENGTH,
        positions_per_batch=256,
        seed=2,
        epoch=0,
    )
    num_steps = len(batches)
    assert num_steps > 2
    assert len(_fit(whole, epochs=2).history["val_ndcg@10"]) == 2
    history = _fit(in_parts, epochs=2 * num_steps, parts=num_steps).history
    assert len(history["val_ndcg@10"]) == 2 * num_steps
    for expected, weight in zip(whole.weights, in_parts.weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_a_loaded_model_goes_on_with_what_it_was_compiled_with(tmp_path: Path) -> None:
    model = _model()
    model.compile(loss="gbce", metrics=[NDCG(3)], seen="keep", learning_rate=1e-2)
    _fit(model)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    expected = model.evaluate(SCENE["test"], verbose=0, return_dict=True)
    assert loaded.evaluate(SCENE["test"], verbose=0, return_dict=True) == pytest.approx(expected)
    assert set(expected) == {"loss", "ndcg@3"}
    assert _fit(loaded).history["loss"] == pytest.approx(_fit(model).history["loss"], rel=1e-5)


def test_a_student_is_fitted_without_a_teacher() -> None:
    keras.utils.set_random_seed(1)
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "conv_3"]])
    student = Student(
        genotype=genotype, num_items=walk_scene.NUM_ITEMS, max_length=8, hidden_dim=16, dropout=0.0
    )
    student(tf.zeros([1, 1], tf.int64))
    losses = _fit(student).history["loss"]
    assert losses[-1] < losses[0]


def test_bert4rec_is_fitted_on_masked_items_and_then_on_next_ones() -> None:
    keras.utils.set_random_seed(1)
    model = BERT4Rec(
        num_items=walk_scene.NUM_ITEMS,
        max_length=8,
        hidden_dim=8,
        num_blocks=1,
        feed_forward_dim=8,
        fine_tune_epochs=2,
    )
    model(tf.zeros([1, 1], tf.int64))
    history = _fit(model, epochs=3)
    assert len(history.history["val_ndcg@10"]) == 5
    assert history.epoch == [0, 1, 2, 3, 4]


def test_an_unknown_option_of_seen_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"one of exclude, keep\. Received: seen="):
        _model().compile(seen="hide")


def test_histories_of_one_item_are_nothing_to_train_on() -> None:
    single = SCENE["train"]._replace(
        item_ids=np.array([1]), row_splits=np.array([0, 1]), targets=np.array([0])
    )
    with pytest.raises(ValueError, match="histories of at least two items"):
        _model().fit(single)


def test_what_is_not_fitted_or_evaluated_is_an_error_that_says_what_is() -> None:
    class Whole:
        train = SCENE["train"]

    with pytest.raises(ValueError, match=r"such as `dataset.train`\. Received: Whole"):
        _model().fit(Whole())
    with pytest.raises(ValueError, match=r"histories without targets, as of `dataset.train`"):
        _model().evaluate(SCENE["train"])


def test_the_rate_of_other_data_falls_over_its_own_steps() -> None:
    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            steps.append(int(self.model.optimizer.iterations))
            rates.append(float(self.model.optimizer.learning_rate))

    steps: list[int] = []
    rates: list[float] = []
    items = np.tile([[1, 2, 3, 4]], (80, 1))
    _model().fit(items, items, epochs=2, batch_size=40, verbose=0, callbacks=[Rates()])
    assert steps == [2, 4]
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)
    endless = tf.data.Dataset.from_generator(
        lambda: iter([(items, items)]), output_signature=(tf.TensorSpec([None, 4]),) * 2
    )
    with pytest.raises(ValueError, match="`steps_per_epoch` should be given"):
        _model().fit(endless)


def test_the_seed_orders_the_batches() -> None:
    first, other = (_fit(_model(), seed=seed, epochs=1).history["loss"] for seed in (2, 3))
    assert first != other
    assert first == _fit(_model(), seed=2, epochs=1).history["loss"]
