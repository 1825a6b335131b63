"""What a client asks and how it reads the answer: pure functions that both clients share.

Arguments are checked here, since TensorFlow Serving checks names and types of inputs only.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from serving import tensors
from serving.messages import STATES, GetModelStatusRequest, PredictRequest

_MAX_K = 2**31 - 1
# No item has this key, which is how nothing at all is allowed.
_NO_ITEM = "\n"

Result = TypeVar("Result")


class RecommendError(RuntimeError):
    """A request that was not answered; the message says what to do next.

    Attributes:
      code: name of the gRPC status code; INVALID_ARGUMENT for what was refused before sending.
    """

    def __init__(self, message: str, code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message)
        self.code = code


class Recommendation(NamedTuple):
    """A recommended item and the model's score for it; higher is better."""

    item_id: str
    score: float


class SessionStep(NamedTuple):
    """Recommendations after one more item, and what to ask with after the next one."""

    recommendations: list[Recommendation]
    session: bytes


class VersionStatus(NamedTuple):
    """State of one version: LOADING, AVAILABLE, UNLOADING or END; code 0 means no error."""

    version: int
    state: str
    error_code: int
    error_message: str


class Call(NamedTuple, Generic[Result]):
    """A request and how to read its answer.

    Attributes:
      request: a PredictRequest.
      read: makes of the PredictResponse what the caller gets; raises RecommendError.
      is_empty: whether there is nothing to ask; it is then not sent, and the answer is [].
    """

    request: Any
    read: Callable[[Any], Result]
    is_empty: bool


def recommend_call(
    histories: Sequence[Sequence[str]],
    k: int,
    exclude_seen: bool,
    allowed: Sequence[Sequence[str]] = (),
    denied: Sequence[Sequence[str]] = (),
) -> Call[list[list[Recommendation]]]:
    """Asks for the best items; see `RecommendClient.recommend`."""
    _check_k(k)
    if not isinstance(exclude_seen, bool):
        raise RecommendError(f"`exclude_seen` should be True or False. Received: {exclude_seen!r}.")
    inputs = {
        "history": _keys("histories", histories),
        "k": tensors.int32_scalar(k),
        "exclude_seen": tensors.bool_scalar(exclude_seen),
    }
    signature = "serving_default"
    if len(allowed) or len(denied):
        signature = "recommend_filtered"
        _check_rows("allowed", allowed, len(histories))
        _check_rows("denied", denied, len(histories))
        # A row without items allows none, unlike no row at all.
        rows = [row if len(row) else [_NO_ITEM] for row in allowed] or [[""]]
        inputs["allowed"] = _keys("allowed", rows)
        inputs["denied"] = _keys("denied", denied or [[""]])
    num_histories = len(histories)
    return Call(
        _request(signature, inputs),
        lambda response: _read_items(response, num_histories),
        num_histories == 0,
    )


def score_call(
    histories: Sequence[Sequence[str]], candidates: Sequence[Sequence[str]]
) -> Call[list[list[float]]]:
    """Asks for the scores of given items; see `RecommendClient.score`."""
    inputs = {"history": _keys("histories", histories)}
    inputs["candidates"] = _keys("candidates", candidates)
    num_histories = len(histories)
    if num_histories and len(candidates) != num_histories:
        _check_rows("candidates", candidates, num_histories, is_optional=False)
    counts = [len(row) for row in candidates]
    counts *= num_histories if len(counts) == 1 else 1

    def read(response: Any) -> list[list[float]]:
        rows = _matrix(response, "scores", num_histories).rows()
        return [list(row[len(row) - n :]) for row, n in zip(rows, counts, strict=True)]

    return Call(_request("score", inputs), read, num_histories == 0)


def embed_call(histories: Sequence[Sequence[str]]) -> Call[list[list[float]]]:
    """Asks for user vectors; see `RecommendClient.embed`."""
    request = _request("embed", {"history": _keys("histories", histories)})

    def read(response: Any) -> list[list[float]]:
        return [list(row) for row in _matrix(response, "user_vector", len(histories)).rows()]

    return Call(request, read, len(histories) == 0)


def step_call(
    items: Sequence[str], sessions: Sequence[bytes], k: int, denied: Sequence[Sequence[str]] = ()
) -> Call[list[SessionStep]]:
    """Adds an item to each session; see `RecommendClient.step`."""
    _check_k(k)
    encoded = _encode_row("items", items)
    _check_rows("denied", denied, len(items))
    if len(sessions) != len(items) or not all(isinstance(row, bytes) for row in sessions):
        raise RecommendError(
            f"`sessions` should be bytes, one for each of the {len(items)} items. "
            f"Received: {sessions!r:.80}."
        )
    size = max(map(len, sessions), default=0)
    if size % 4 or {len(row) for row in sessions} - {0, size}:
        raise RecommendError(
            "`sessions` should be empty or what an earlier step gave. "
            f"Received: sizes {sorted({len(row) for row in sessions})}."
        )
    inputs = {
        "item": tensors.string_vector(encoded),
        "session": tensors.float_matrix([row or bytes(size) for row in sessions]),
        "k": tensors.int32_scalar(k),
        "denied": _keys("denied", denied or [[""]]),
    }

    def read(response: Any) -> list[SessionStep]:
        answers = _read_items(response, len(items))
        rows = _matrix(response, "session", len(items)).rows()
        return [
            SessionStep(answer, tensors.float_bytes(row))
            for answer, row in zip(answers, rows, strict=True)
        ]

    return Call(_request("step", inputs), read, len(items) == 0)


def status_request(model_name: str) -> Any:
    """Asks for the versions of a model."""
    return GetModelStatusRequest(model_spec={"name": model_name})


def read_status(response: Any) -> list[VersionStatus]:
    """States of the versions, newest first."""
    statuses = [
        VersionStatus(
            entry.version,
            STATES.get(entry.state, str(entry.state)),
            entry.status.error_code,
            entry.status.error_message,
        )
        for entry in response.model_version_status
    ]
    return sorted(statuses, reverse=True)


def _request(signature: str, inputs: dict[str, Any]) -> Any:
    return PredictRequest(model_spec={"signature_name": signature}, inputs=inputs)


def _check_k(k: int) -> None:
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _MAX_K:
        raise RecommendError(f"`k` should be a positive integer. Received: k={k!r}.")


def _check_rows(
    name: str, rows: Sequence[Sequence[str]], num_histories: int, is_optional: bool = True
) -> None:
    if len(rows) not in ({0, 1, num_histories} if is_optional else {1, num_histories}):
        raise RecommendError(
            f"`{name}` should have one row, or one for each of the {num_histories} histories. "
            f"Received: {len(rows)} rows."
        )


def _keys(name: str, rows: Sequence[Sequence[str]]) -> Any:
    """TensorProto string [N, M] of rows of item ids."""
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        raise RecommendError(f"`{name}` should be a sequence of {name}. Received: {rows!r:.80}.")
    return tensors.string_matrix(
        [_encode_row(f"{name}[{position}]", row) for position, row in enumerate(rows)]
    )


def _encode_row(name: str, row: Sequence[str]) -> list[bytes]:
    if isinstance(row, str) or not isinstance(row, Sequence):
        raise RecommendError(f"`{name}` should be a sequence of item ids. Received: {row!r:.80}.")
    for item_id in row:
        if not isinstance(item_id, str):
            raise RecommendError(f"`{name}` should hold item ids as text. Received: {item_id!r}.")
    try:
        return [item_id.encode() for item_id in row]
    except UnicodeEncodeError as error:
        raise RecommendError(f"Item ids should be valid Unicode text: {error}.") from error


def _read_items(response: Any, num_histories: int) -> list[list[Recommendation]]:
    if not {"item_ids", "scores"} <= set(response.outputs):
        raise RecommendError(
            f"The model should answer with item_ids and scores. Received: "
            f"{', '.join(sorted(response.outputs))}. Serve a model pushed by `adarec run`.",
            "INTERNAL",
        )
    item_ids = _matrix(response, "item_ids", num_histories)
    scores = _matrix(response, "scores", num_histories)
    if item_ids.shape != scores.shape:
        raise RecommendError(
            f"The model should answer with item_ids and scores of one shape. Received: "
            f"{item_ids.shape} and {scores.shape}.",
            "INTERNAL",
        )
    # An empty id fills a row whose candidates ran out.
    return [
        [
            Recommendation(item_id.decode(), score)
            for item_id, score in zip(row_ids, row_scores, strict=True)
            if item_id
        ]
        for row_ids, row_scores in zip(item_ids.rows(), scores.rows(), strict=True)
    ]


def _matrix(response: Any, name: str, num_rows: int) -> tensors.Tensor:
    """An output with a row for each history."""
    try:
        tensor = tensors.read_tensor(response.outputs[name])
    except ValueError as error:
        raise RecommendError(f"The model's {name} cannot be read: {error}", "INTERNAL") from error
    is_string = name == "item_ids"
    if len(tensor.shape) != 2 or tensor.shape[0] != num_rows or tensor.is_string != is_string:
        raise RecommendError(
            f"The model should answer with {name} of shape [{num_rows}, K], as "
            f"{'strings' if is_string else 'numbers'}. Received: {tensor.shape}, as "
            f"{'strings' if tensor.is_string else 'numbers'}.",
            "INTERNAL",
        )
    return tensor
