"""Requests and bundles that should never come, to a server that has to go on answering."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.client import RecommendClient
from serving.local_server import serve
from tests.serving import fuzzing

NUM_EXAMPLES = 40  # thousands: tests/benchmarks/fuzz_server.py
_settings = settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),  # on a busy machine all are slow
)


@pytest.fixture(scope="module")
def channel(bundle, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("models")
    (model_dir / "3").symlink_to(bundle(3), target_is_directory=True)
    with (
        serve(model_dir, port=0, batch_rows=8) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        yield channel


def test_any_request_gets_an_answer_or_a_telling_code(channel, predict_request):
    good = predict_request()

    @_settings
    @given(fuzzing.requests(good))
    def ask(request: bytes) -> None:
        code = fuzzing.ask(channel, request)
        assert code == grpc.StatusCode.OK or code in fuzzing.TELLING_CODES

    ask()
    assert fuzzing.ask(channel, good.SerializeToString()) == grpc.StatusCode.OK


def test_bytes_that_are_no_request_are_refused(channel, predict_request):
    @_settings
    @given(st.binary(min_size=1, max_size=64))
    def ask(request: bytes) -> None:
        # gRPC itself answers what cannot be parsed, with INTERNAL.
        known = {*fuzzing.TELLING_CODES, grpc.StatusCode.INTERNAL}
        assert fuzzing.ask(channel, request) in known

    ask()
    good = predict_request().SerializeToString()
    assert fuzzing.ask(channel, good) == grpc.StatusCode.OK


class OtherSchema(tf.Module):
    """An older bundle: item numbers in, no `exclude_seen`."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64, name="item_ids")])
    def recommend(self, item_ids):
        return {"scores": tf.cast(item_ids, tf.float32)}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_shapes(path: Path) -> None:
    """The variables of another model: one number became three."""
    model = tf.Module()
    model.bonus = tf.Variable([1.0, 2.0, 3.0])
    tf.train.Checkpoint(model).write(str(path / "variables" / "variables"))


def change_schema(path: Path) -> None:
    shutil.rmtree(path)
    model = OtherSchema()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.recommend})


@pytest.mark.parametrize(
    ("damage", "code", "reason"),
    [
        (lambda path: truncate(path / "saved_model.pb"), 15, "saved_model.pb is damaged"),
        (lambda path: truncate(next(path.glob("variables/*.data-*"))), 11, "Cannot load"),
        (lambda path: shutil.rmtree(path / "variables"), 5, "Cannot load"),
        (lambda path: (path / "saved_model.pb").unlink(), 5, "has no saved_model.pb"),
        (change_shapes, 2, "Cannot load"),
        (change_schema, 9, "should answer the requests of the version being served"),
    ],
    ids=["truncated graph", "truncated variables", "half copied", "no graph", "shapes", "schema"],
)
def test_a_bad_bundle_leaves_the_old_version_answering_and_says_why(
    tmp_path: Path, publish: Callable[[Path, int], Path], damage, code: int, reason: str
):
    publish(tmp_path, 1)
    with (
        serve(tmp_path, port=0, poll_interval_s=0.05) as server,
        RecommendClient(server.address, timeout_s=60) as client,
    ):
        damaged = publish(tmp_path / "elsewhere", 2)
        damage(damaged)
        damaged.rename(tmp_path / "2")
        deadline_s = time.monotonic() + 60
        while (status := client.model_status()[0]).state != "END":
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        assert (status.version, status.error_code) == (2, code)
        assert reason in status.error_message
        [[item]] = client.recommend([["i2"]], k=1)
        assert (item.item_id, int(item.score // 1000)) == ("i1", 1)
