"""A bundle's requests: what a client sends, and the warm-up TensorFlow Serving replays."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from adarec_tf.config.extras import require_extra
from adarec_tf.export import signatures

MODEL_NAME = "student"
# TensorFlow Serving refuses to load a model with more than 1000 requests; 5 are of other names.
MAX_HISTORIES = 1000 - 5
_K = 10


def request_tensors(
    histories: Sequence[Sequence[str]], k: int, exclude_seen: bool
) -> dict[str, tf.Tensor]:
    """The inputs of the default signature.

    Args:
      histories: raw item keys, of any lengths; they become string [B, N].
      k: items asked for.
      exclude_seen: whether items of the history are no candidates.
    """
    return {
        "history": key_matrix(histories),
        "k": tf.constant(k, tf.int32),
        "exclude_seen": tf.constant(exclude_seen),
    }


def request_arrays(
    histories: Sequence[Sequence[str]], k: int, exclude_seen: bool
) -> dict[str, np.ndarray]:
    """The inputs of the default signature as NumPy arrays, which a session takes.

    Args:
      histories: raw item keys, of any lengths.
      k: items asked for.
      exclude_seen: whether items of the history are no candidates.
    """
    tensors = request_tensors(histories, k, exclude_seen)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def key_matrix(rows: Sequence[Sequence[str]]) -> tf.Tensor:
    """Rows of item keys of any lengths as string [B, N], padded with "" on the left."""
    longest = max((len(row) for row in rows), default=0)
    padded = [[""] * (longest - len(row)) + list(row) for row in rows]
    return tf.reshape(tf.constant(padded, tf.string), [len(rows), longest])


def serialized_example(history: Sequence[str]) -> bytes:
    """A history of raw item keys as `from_examples` reads it."""
    keys = tf.train.BytesList(value=[key.encode() for key in history])
    features = tf.train.Features(feature={"history": tf.train.Feature(bytes_list=keys)})
    return tf.train.Example(features=features).SerializeToString()


def write_warm_up(
    path: Path, histories: Sequence[Sequence[str]], exclude_seen: bool, session_size: int
) -> None:
    """Writes a request of the default signature for each history, and one of each other.

    Args:
      path: the file to write.
      histories: raw item keys; at least one.
      exclude_seen: what clients should ask by default.
      session_size: numbers of a session of `step`; 0 if the model has no such signature.

    Raises:
      MissingExtraError: the extra `serving` is not installed.
    """
    require_extra("serving", "tensorflow_serving")
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, tensors in _requests(histories, exclude_seen, session_size):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = MODEL_NAME
            request.model_spec.signature_name = name
            for key, tensor in tensors.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(tensor))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def _requests(
    histories: Sequence[Sequence[str]], exclude_seen: bool, session_size: int
) -> Iterator[tuple[str, Mapping[str, tf.Tensor]]]:
    for history in histories:
        yield signatures.SIGNATURE, request_tensors([history], _K, exclude_seen)
    history = key_matrix(histories[:1])
    filters = {"allowed": key_matrix([[""]]), "denied": history}
    tensors = request_tensors(histories[:1], _K, exclude_seen)
    yield signatures.FILTERED, {**tensors, **filters}
    yield signatures.SCORE, {"history": history, "candidates": history}
    yield signatures.EMBED, {"history": history}
    yield signatures.EXAMPLES, {"examples": tf.constant([serialized_example(histories[0])])}
    if session_size:
        session = tf.constant(np.zeros([1, session_size], np.float32))
        item = tf.constant([*histories[0], ""][:1])
        inputs = {"item": item, "session": session, "k": tf.constant(_K), "denied": history}
        yield signatures.STEP, inputs
