"""Both clients against a served bundle: the embedded server's, or a real TensorFlow Serving.

`ADAREC_MODEL_SERVER=host:port` names a server of the bundle that `contract_bundle` writes.
"""

import asyncio
import math
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest

from adarec_tf import cli
from adarec_tf.export.recommender import Recommender
from adarec_tf.export.warm_up import serialized_example
from serving.client import AsyncRecommendClient, RecommendClient, RecommendError
from serving.local_server import serve
from tests.serving.contract_bundle import HIDDEN_DIM, KEYS, MAX_LENGTH

HISTORIES = [[KEYS[3], KEYS[17], KEYS[3]], [], ["unknown", KEYS[29]], list(KEYS[8:18])]
CLOSE = {"rel": 1e-4, "abs": 1e-5}

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def recommender(contract_bundle: Path) -> Recommender:
    return Recommender.load(str(contract_bundle))


@pytest.fixture(scope="module")
def address(contract_bundle: Path) -> Iterator[str]:
    real_server = os.environ.get("ADAREC_MODEL_SERVER", "")
    if real_server:
        yield real_server
        return
    with serve(contract_bundle.parent, port=0) as server:
        yield server.address


@pytest.fixture(scope="module", params=["blocking", "asyncio"])
def ask(address: str, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Calls a method of a client by name."""
    if request.param == "blocking":
        with RecommendClient(address, timeout_s=30, num_connections=2) as client:
            yield lambda name, *arguments, **named: getattr(client, name)(*arguments, **named)
        return
    with asyncio.Runner() as runner:

        async def connect() -> AsyncRecommendClient:
            return AsyncRecommendClient(address, timeout_s=30, num_connections=2)

        async_client = runner.run(connect())
        yield lambda name, *arguments, **named: runner.run(
            getattr(async_client, name)(*arguments, **named)
        )
        runner.run(async_client.close())


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_recommendations_are_those_of_the_bundle(
    ask: Ask, recommender: Recommender, exclude_seen: bool
) -> None:
    answers = ask("recommend", HISTORIES, 5, exclude_seen)
    for answer, expected in zip(answers, recommender(HISTORIES, 5, exclude_seen), strict=True):
        assert [item.item_id for item in answer] == [item.item_id for item in expected]
        assert [item.score for item in answer] == pytest.approx(
            [item.score for item in expected], **CLOSE
        )


def test_k_beyond_the_catalog_gives_what_there_is(ask: Ask) -> None:
    [answer] = ask("recommend", [[KEYS[0]]], 1000)
    assert sorted(item.item_id for item in answer) == sorted(KEYS[1:])


def test_only_allowed_items_that_are_not_denied_are_recommended(ask: Ask) -> None:
    allowed = [list(KEYS[:4]), [], [KEYS[5]], ["unknown"]]
    answers = ask("recommend", HISTORIES, 30, allowed=allowed, denied=[[KEYS[0]]])
    found = [sorted(item.item_id for item in answer) for answer in answers]
    assert found == [sorted(KEYS[1:3]), [], [KEYS[5]], []]


def test_denied_items_alone_are_left_out(ask: Ask) -> None:
    denied = [list(KEYS[:25]), [], [KEYS[29]], [""]]
    answers = ask("recommend", HISTORIES, 30, False, denied=denied)
    assert sorted(item.item_id for item in answers[0]) == sorted(KEYS[25:])
    assert [len(answer) for answer in answers[1:]] == [30, 29, 30]


def test_scores_are_those_of_recommendations(ask: Ask) -> None:
    answers = ask("recommend", HISTORIES, 3, False)
    candidates = [[*(item.item_id for item in answer), "unknown"] for answer in answers]
    candidates[0] = candidates[0][:2]
    scores = ask("score", HISTORIES, candidates)
    assert scores[0] == pytest.approx([item.score for item in answers[0][:2]], **CLOSE)
    for row, answer in zip(scores[1:], answers[1:], strict=True):
        assert row == pytest.approx([*(item.score for item in answer), -math.inf], **CLOSE)
    assert ask("score", HISTORIES, candidates[1:2])[1] == pytest.approx(scores[1], **CLOSE)


def test_examples_are_recommended_what_their_histories_are(ask: Ask) -> None:
    examples = [serialized_example(history) for history in HISTORIES]
    answers = ask("from_examples", examples)
    for answer, expected in zip(answers, ask("recommend", HISTORIES, 100), strict=True):
        assert [item.item_id for item in answer] == [item.item_id for item in expected]
        assert [item.score for item in answer] == pytest.approx(
            [item.score for item in expected], **CLOSE
        )


def test_user_vectors_tell_histories_apart(ask: Ask, recommender: Recommender) -> None:
    vectors = np.array(ask("embed", HISTORIES))
    assert vectors.shape == (len(HISTORIES), HIDDEN_DIM)
    np.testing.assert_array_equal(vectors[1], 0.0)
    assert len(np.unique(vectors, axis=0)) == len(HISTORIES)


def test_sessions_are_recommended_what_their_histories_are(ask: Ask) -> None:
    histories = [[KEYS[3], KEYS[17], KEYS[4]], ["unknown", KEYS[29], KEYS[1]]]
    sessions = [b"", b""]
    for number in range(1, 4):
        items = [history[number - 1] for history in histories]
        seen = [history[:number] for history in histories]
        steps = ask("step", items, sessions, 4, denied=seen)
        sessions = [step.session for step in steps]
        for step, expected in zip(steps, ask("recommend", seen, 4), strict=True):
            found = step.recommendations
            assert [item.item_id for item in found] == [item.item_id for item in expected]
            assert [item.score for item in found] == pytest.approx(
                [item.score for item in expected], **CLOSE
            )
    [joined, _] = ask("step", [KEYS[5], KEYS[5]], [sessions[0], b""], 4)
    [alone] = ask("step", [KEYS[5]], sessions[:1], 4)
    assert joined.session == alone.session, "a new session beside it changes nothing"


def test_a_session_that_is_too_long_says_what_to_do(ask: Ask) -> None:
    session = b""
    for _ in range(MAX_LENGTH):
        [(_, session)] = ask("step", [KEYS[0]], [session], 1)
    with pytest.raises(RecommendError, match="ask with the whole history instead") as refusal:
        ask("step", [KEYS[0]], [session], 1)
    assert refusal.value.code == "INVALID_ARGUMENT"


def test_nothing_asked_nothing_answered(ask: Ask) -> None:
    assert ask("recommend", [], 3) == []
    assert ask("score", [], []) == []
    assert ask("embed", []) == []
    assert ask("from_examples", []) == []
    assert ask("step", [], [], 3) == []


def test_the_model_is_available(ask: Ask) -> None:
    newest = ask("model_status")[0]
    assert (newest.state, newest.error_code) == ("AVAILABLE", 0)


@pytest.mark.parametrize(
    ("name", "arguments", "named", "message"),
    [
        ("recommend", (HISTORIES, 0), {}, "`k` should be a positive integer"),
        ("recommend", (HISTORIES, 1), {"denied": [["a"], ["b"]]}, "`denied` should have one row"),
        ("recommend", (HISTORIES, 1), {"allowed": "item"}, "`allowed"),
        ("score", (HISTORIES, []), {}, "`candidates` should have one row"),
        ("score", (HISTORIES, [[1]]), {}, r"`candidates\[0\]` should hold item ids as text"),
        ("embed", (["a"],), {}, r"`histories\[0\]` should be a sequence"),
        ("from_examples", (b"ab",), {}, "`examples` should be a sequence"),
        ("from_examples", (["ab"],), {}, "each of them bytes. Received: .'ab'"),
        ("step", (["a"], ["b"], 1), {}, "`sessions` should be bytes"),
        ("step", (["a", "b"], [b"12345678", b"1234"], 1), {}, "what an earlier step gave"),
        ("step", ("ab", [b""], 1), {}, "`items` should be a sequence"),
        ("embed", (HISTORIES,), {"timeout_s": 0.0}, "`timeout_s` should be positive"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(
    ask: Ask, name: str, arguments: tuple[Any, ...], named: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecommendError, match=message):
        ask(name, *arguments, **named)


@pytest.mark.parametrize("num_items", [-1.0, 0.5])
def test_a_session_of_no_number_of_items_is_refused_by_the_model(
    ask: Ask, num_items: float
) -> None:
    [(_, session)] = ask("step", [KEYS[0]], [b""], 1)
    with pytest.raises(RecommendError, match="what an earlier step gave") as refusal:
        ask("step", [KEYS[0]], [struct.pack("<f", num_items) + session[4:]], 1)
    assert refusal.value.code == "INVALID_ARGUMENT"


def test_a_session_of_another_size_is_refused_by_the_model(ask: Ask) -> None:
    with pytest.raises(RecommendError, match="should have a row of"):
        ask("step", [KEYS[0]], [bytes(8)], 1)


def test_an_unknown_model_is_named(address: str) -> None:
    with (
        RecommendClient(address, model_name="other") as client,
        pytest.raises(RecommendError, match="has no model 'other'") as failure,
    ):
        client.embed(HISTORIES)
    assert failure.value.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([KEYS[3], KEYS[17], KEYS[3]], ""),
        ([], ""),
        (
            ["who", KEYS[3], "what", "who"],
            "The model does not know these items, and ignores them: who, what.\n",
        ),
        (
            ["who"],
            "The model does not know these items, and ignores them: who. None is left: these are "
            "items for anybody.\n",
        ),
    ],
)
def test_the_command_names_unknown_items_beside_its_answer(
    address: str, history: list[str], said: str
) -> None:
    arguments = ["recommend", "--server", address, "--history", ",".join(history), "--k", "2"]
    result = click.testing.CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == said
    assert len(result.stdout.splitlines()) == 2
