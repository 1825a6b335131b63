import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from serving.batching import Batcher, batched_inputs
from serving.errors import ModelError
from serving.loaded_model import LoadedModel, SignatureCall, load_model
from tests.serving.contract_bundle import KEYS

LONG_S = 60.0  # a bound no test waits for


@pytest.fixture(scope="module")
def model(bundle) -> LoadedModel:
    return load_model(bundle(3), version=3)


class SlowModel:
    """A model whose first run waits until it is let go; tells the rows of every run."""

    def __init__(self, model: LoadedModel) -> None:
        self.signature_defs = model.signature_defs
        self.began, self.let_go = threading.Event(), threading.Event()
        self.rows: list[int] = []
        self._model = model

    def run(self, call: SignatureCall):
        self.rows.append(len(call.inputs["history"]))
        if not self.began.is_set():
            self.began.set()
            assert self.let_go.wait(LONG_S)
        return self._model.run(call)


def make_call(*histories, k=2, exclude_seen=True, outputs=("item_ids", "scores")) -> SignatureCall:
    inputs = {
        "history": np.array([[item.encode() for item in history] for history in histories], object),
        "k": np.array(k, np.int32),
        "exclude_seen": np.array(exclude_seen),
    }
    return SignatureCall("serving_default", inputs, list(outputs))


@pytest.fixture
def busy(model):
    """A pool, and a model that is busy with a first request until it is let go."""
    slow = SlowModel(model)
    with ThreadPoolExecutor(8) as pool:
        yield pool, slow
        slow.let_go.set()


def start_first(batcher: Batcher, pool: ThreadPoolExecutor, slow: SlowModel, call: SignatureCall):
    first = pool.submit(batcher.run, slow, call)
    assert slow.began.wait(LONG_S)
    return first


def wait_for_open(batcher: Batcher, num_calls: int) -> None:
    deadline_s = time.monotonic() + LONG_S
    while sum(len(batch.calls) for batch in batcher._open.values()) < num_calls:
        assert time.monotonic() < deadline_s, "the requests did not wait for one another"
        time.sleep(0.001)


def assert_same(answer, expected) -> None:
    assert answer["item_ids"].tolist() == expected["item_ids"].tolist()
    np.testing.assert_allclose(answer["scores"], expected["scores"], rtol=1e-6)


def test_concurrent_requests_become_one_run_with_the_answers_of_each_alone(model, busy):
    pool, slow = busy
    reported: list[int] = []
    batcher = Batcher(8, LONG_S, {"history"}, reported.append)
    calls = [
        make_call(["i1"]),
        make_call(["i3", "i1", "i2"], ["i8", "i7", "i1"]),
        make_call(["i1", "i2"]),
    ]
    first = start_first(batcher, pool, slow, make_call(["i2"]))
    rest = [pool.submit(batcher.run, slow, call) for call in calls]
    wait_for_open(batcher, 3)
    slow.let_go.set()
    for call, future in zip(calls, rest, strict=True):
        assert_same(future.result(LONG_S), model.run(call))
    assert_same(first.result(LONG_S), model.run(make_call(["i2"])))
    assert slow.rows == reported == [1, 4]


def test_histories_of_unequal_lengths_are_answered_together_as_each_alone(contract_bundle):
    student = load_model(contract_bundle, version=1)
    reported: list[int] = []
    batcher = Batcher(64, LONG_S, {"history"}, reported.append)
    calls = [embed_call(KEYS[first : first + 1 + first % 7]) for first in range(20)]
    slow = SlowModel(student)
    with ThreadPoolExecutor(len(calls) + 1) as pool:
        start_first(batcher, pool, slow, embed_call(KEYS[:1]))
        futures = [pool.submit(batcher.run, slow, call) for call in calls]
        wait_for_open(batcher, len(calls))
        slow.let_go.set()
        for call, future in zip(calls, futures, strict=True):
            alone = student.run(call)["user_vector"]
            np.testing.assert_allclose(
                future.result(LONG_S)["user_vector"], alone, rtol=1e-5, atol=1e-6
            )
    assert reported == [1, len(calls)]


def embed_call(history) -> SignatureCall:
    inputs = {"history": np.array([[item.encode() for item in history]], object)}
    return SignatureCall("embed", inputs, ["user_vector"])


@pytest.mark.parametrize(
    "other",
    [
        make_call(["i1"], k=3),
        make_call(["i1"], exclude_seen=False),
        make_call(["i1"], outputs=["scores"]),
        make_call(*[["i1"]] * 8),
        make_call(["i1"])._replace(
            inputs={**make_call(["i1"]).inputs, "history": np.array([b"i1"], object)}
        ),
    ],
    ids=["k", "exclude_seen", "outputs", "as many rows as a batch", "rank"],
)
def test_a_request_of_another_kind_does_not_wait(busy, other):
    pool, slow = busy
    batcher = Batcher(8, LONG_S, {"history"})
    start_first(batcher, pool, slow, make_call(["i1"]))
    future = pool.submit(batcher.run, slow, other)
    error = future.exception(LONG_S)  # of the last, which the model refuses
    assert error or future.result().keys() == set(other.outputs)


def test_lengths_differ_only_where_padding_means_nothing(busy):
    pool, slow = busy
    batcher = Batcher(8, LONG_S, padded_inputs=())
    start_first(batcher, pool, slow, make_call(["i1"]))
    short = [pool.submit(batcher.run, slow, make_call(["i1"])) for _ in range(2)]
    wait_for_open(batcher, 2)
    assert pool.submit(batcher.run, slow, make_call(["i1", "i2"])).result(LONG_S)
    assert not any(future.done() for future in short)


def test_a_full_batch_does_not_wait(busy):
    pool, slow = busy
    batcher = Batcher(2, LONG_S)
    start_first(batcher, pool, slow, make_call(["i1"]))
    futures = [pool.submit(batcher.run, slow, make_call(["i1"])) for _ in range(2)]
    assert [future.result(LONG_S)["scores"].shape for future in futures] == [(1, 2)] * 2
    assert slow.rows == [1, 2]


def test_a_request_that_does_not_fit_closes_the_batch(busy):
    pool, slow = busy
    batcher = Batcher(4, LONG_S)
    start_first(batcher, pool, slow, make_call(["i1"]))
    early = pool.submit(batcher.run, slow, make_call(["i1"], ["i2"]))
    wait_for_open(batcher, 1)
    late = pool.submit(batcher.run, slow, make_call(["i1"], ["i2"], ["i3"]))
    assert early.result(LONG_S)["scores"].shape == (2, 2)
    slow.let_go.set()
    assert late.result(LONG_S)["scores"].shape == (3, 2)


def test_waiting_has_a_bound(busy):
    pool, slow = busy
    batcher = Batcher(8, max_wait_s=0.01)
    start_first(batcher, pool, slow, make_call(["i1"]))
    late = pool.submit(batcher.run, slow, make_call(["i1"]))
    assert late.result(LONG_S)["scores"].shape == (1, 2)


def test_an_error_is_for_its_request_alone(busy):
    pool, slow = busy
    batcher = Batcher(8, LONG_S, {"history"})
    start_first(batcher, pool, slow, make_call(["i1"]))
    good, broken = (pool.submit(batcher.run, slow, make_call([item])) for item in ("i1", "broken"))
    wait_for_open(batcher, 2)
    slow.let_go.set()
    assert good.result(LONG_S)["scores"].shape == (1, 2)
    with pytest.raises(ModelError, match="A broken item"):
        broken.result(LONG_S)


def test_every_request_is_answered_when_the_model_breaks(model):
    class BrokenModel:
        signature_defs = model.signature_defs

        def run(self, call: SignatureCall):
            raise MemoryError("no memory")

    with pytest.raises(MemoryError):
        Batcher(8, LONG_S, {"history"}).run(BrokenModel(), make_call(["i1"]))


def signature(**outputs: list[int]) -> meta_graph_pb2.SignatureDef:
    message = meta_graph_pb2.SignatureDef()
    for sizes, info in [
        ([-1, -1], message.inputs["history"]),
        ([], message.inputs["k"]),
        *[(sizes, message.outputs[name]) for name, sizes in outputs.items()],
    ]:
        for size in sizes:
            info.tensor_shape.dim.add(size=size)
    return message


def test_only_what_can_be_joined_and_parted_is_batched():
    assert batched_inputs(signature(scores=[-1, -1])) == {"history"}
    assert batched_inputs(signature(scores=[-1, -1], version=[])) == set()
    assert batched_inputs(signature(scores=[1, -1])) == set()
