"""Requests of the clients, checked before they are sent, and how the answers are read."""

import struct
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from serving import messages

_MAX_K = 2**31 - 1
NO_ITEM = "\n"  # no item has this key, which is how nothing at all is allowed

Rows = Sequence[Sequence[str]]


class RecommendError(RuntimeError):
    """A request that was not answered; the message says what to do next.

    Args:
      message: why, and what to do next.
      code: name of the gRPC status code; INVALID_ARGUMENT for what was refused before sending.
      details: what the server, or gRPC, said in its own words.
    """

    def __init__(self, message: str, code: str = "INVALID_ARGUMENT", details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class RecommendedItem(NamedTuple):
    """An item and the model's score for it; higher is better."""

    item_id: str
    score: float


class SessionAnswer(NamedTuple):
    """Recommendations after one more item, and what to ask with after the next one."""

    recommendations: list[RecommendedItem]
    session: bytes


class VersionStatus(NamedTuple):
    """State of one version: LOADING, AVAILABLE, UNLOADING or END; code 0 means no error."""

    version: int
    state: str
    error_code: int
    error_message: str


def predict_request(signature: str, inputs: dict[str, Any]) -> Any:
    """A PredictRequest; the client adds the model's name.

    Args:
      signature: which function of the model is asked.
      inputs: TensorProtos by name.
    """
    return messages.PredictRequest(model_spec={"signature_name": signature}, inputs=inputs)


def encode_k(k: int) -> Any:
    """TensorProto int32 [] of a number of items wanted."""
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _MAX_K:
        raise RecommendError(f"`k` should be a positive integer. Received: k={k!r}.")
    return messages.tensor(messages.DT_INT32, int_val=[k])


def encode_rows(name: str, rows: Rows, num_rows: Collection[int] = ()) -> Any:
    """TensorProto string [N, M] of rows of item ids, padded with "" on the left; M is >= 1.

    Args:
      name: the argument's, for errors.
      rows: item ids.
      num_rows: how many rows there may be; any number if none is given.
    """
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        raise RecommendError(f"`{name}` should be a sequence of {name}. Received: {rows!r:.80}.")
    if num_rows and len(rows) not in num_rows:
        raise RecommendError(
            f"`{name}` should have one row, or one for each of the {max(num_rows)} histories. "
            f"Received: {len(rows)} rows."
        )
    encoded = [encode_row(f"{name}[{position}]", row) for position, row in enumerate(rows)]
    width = max([1, *map(len, encoded)])
    padded = [key for row in encoded for key in [*[b""] * (width - len(row)), *row]]
    return messages.tensor(messages.DT_STRING, len(rows), width, string_val=padded)


def encode_row(name: str, row: Sequence[str]) -> list[bytes]:
    """Item ids in UTF-8.

    Args:
      name: the argument's, for errors.
      row: item ids.
    """
    if isinstance(row, str) or not isinstance(row, Sequence):
        raise RecommendError(f"`{name}` should be a sequence of item ids. Received: {row!r:.80}.")
    for item_id in row:
        if not isinstance(item_id, str):
            raise RecommendError(f"`{name}` should hold item ids as text. Received: {item_id!r}.")
    try:
        return [item_id.encode() for item_id in row]
    except UnicodeEncodeError as error:
        raise RecommendError(f"Item ids should be valid Unicode text: {error}.") from error


def encode_examples(examples: Sequence[bytes]) -> Any:
    """TensorProto string [N] of serialized examples."""
    is_list = isinstance(examples, Sequence) and not isinstance(examples, str | bytes)
    if not is_list or not all(isinstance(example, bytes) for example in examples):
        raise RecommendError(
            "`examples` should be a sequence of serialized tf.train.Examples, each of them bytes. "
            f"Received: {examples!r:.80}."
        )
    return messages.tensor(messages.DT_STRING, len(examples), string_val=examples)


def encode_sessions(sessions: Sequence[bytes], num_items: int) -> Any:
    """TensorProto float32 [N, S] of sessions.

    Args:
      sessions: what earlier steps gave; b"" is a new one, of zeros.
      num_items: how many sessions there should be.
    """
    if len(sessions) != num_items or not all(isinstance(row, bytes) for row in sessions):
        raise RecommendError(
            f"`sessions` should be bytes, one for each of the {num_items} items. "
            f"Received: {sessions!r:.80}."
        )
    sizes = {len(row) for row in sessions}
    size = max(sizes, default=0)
    if size % 4 or sizes - {0, size}:
        raise RecommendError(
            "`sessions` should be empty or what an earlier step gave. "
            f"Received: sizes {sorted(sizes)}."
        )
    content = b"".join(row or bytes(size) for row in sessions)
    return messages.tensor(messages.DT_FLOAT, num_items, size // 4, tensor_content=content)


def read_statuses(response: Any) -> list[VersionStatus]:
    """States of a model's versions, newest first."""
    statuses = []
    for entry in response.model_version_status:
        state = messages.STATES.get(entry.state, str(entry.state))
        error = entry.status
        statuses.append(VersionStatus(entry.version, state, error.error_code, error.error_message))
    return sorted(statuses, reverse=True)


def read_items(response: Any, num_histories: int) -> list[list[RecommendedItem]]:
    """The items recommended for each history, best first.

    Args:
      response: a PredictResponse.
      num_histories: how many rows it should have.
    """
    item_ids = read_rows(response, "item_ids", num_histories)
    scores = read_rows(response, "scores", num_histories)
    if [len(row) for row in item_ids] != [len(row) for row in scores]:
        raise RecommendError(
            "The model should answer with as many scores as item_ids. "
            f"Received: {len(scores[0])} and {len(item_ids[0])} a history.",
            "INTERNAL",
        )
    # An empty id fills a row whose candidates ran out.
    return [
        [RecommendedItem(item.decode(), score) for item, score in zip(*rows, strict=True) if item]
        for rows in zip(item_ids, scores, strict=True)
    ]


def read_sessions(response: Any, num_items: int) -> list[SessionAnswer]:
    """The recommendations for each session, and what it has become.

    Args:
      response: a PredictResponse.
      num_items: how many rows it should have.
    """
    answers = read_items(response, num_items)
    rows = read_rows(response, "session", num_items)
    sessions = [struct.pack(f"<{len(row)}f", *row) for row in rows]
    return list(map(SessionAnswer, answers, sessions))


def read_rows(response: Any, name: str, num_rows: int) -> list[list[Any]]:
    """An output with a row for each history: item ids in UTF-8, or numbers.

    Args:
      response: a PredictResponse.
      name: the output's.
      num_rows: how many histories there were.

    Raises:
      RecommendError: the output is missing, or is no such matrix.
    """
    if name not in response.outputs:
        raise RecommendError(
            f"The model should answer with {name}. Received: "
            f"{', '.join(sorted(response.outputs))}. Serve a model pushed by `adarec run`.",
            "INTERNAL",
        )
    proto, is_string = response.outputs[name], name == "item_ids"
    dtype = messages.DT_STRING if is_string else messages.DT_FLOAT
    shape = [dim.size for dim in proto.tensor_shape.dim]
    width = shape[1] if shape[:1] == [num_rows] and len(shape) == 2 else -1
    values = list(proto.string_val if is_string else proto.float_val)
    if proto.tensor_content and len(proto.tensor_content) == 4 * num_rows * width:
        values = list(struct.unpack(f"<{num_rows * width}f", proto.tensor_content))
    if len(values) == 1:  # one value may stand for equal ones
        values *= num_rows * width
    if proto.dtype != dtype or len(values) != num_rows * width:
        raise RecommendError(
            f"The model should answer with {name} of shape [{num_rows}, K], as "
            f"{'strings' if is_string else 'float32 numbers'}. Received: shape {shape} with "
            f"{len(values)} values of DataType {proto.dtype}.",
            "INTERNAL",
        )
    return [values[width * row : width * (row + 1)] for row in range(num_rows)]
