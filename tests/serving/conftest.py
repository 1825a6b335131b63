"""A hand-made bundle with the served signature, whose answers tell which version gave them."""

import datetime
import ipaddress
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving.loaded_model import WARMUP_FILE
from tests.serving.contract_bundle import write_contract_bundle

NUM_ITEMS = 8


class TableModel(tf.Module):
    """Item `i1` is best, `i8` worst; version v adds 1000 v to every score.

    The item id "slow" in a history makes the graph work for a second, "broken" makes it fail.
    """

    def __init__(self, version: int) -> None:
        super().__init__()
        self.bonus = tf.Variable(1000.0 * version, trainable=False)
        self.items = tf.constant([f"i{number}" for number in range(1, NUM_ITEMS + 1)])

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, name="history"),
            tf.TensorSpec([], tf.int32, name="k"),
            tf.TensorSpec([], tf.bool, name="exclude_seen"),
        ]
    )
    def recommend(self, history, k, exclude_seen):
        tf.debugging.assert_positive(k, message="`k` should be positive.")
        tf.debugging.assert_none_equal(history, "broken", message="A broken item.")
        num_histories = tf.shape(history)[0]
        seen = tf.reduce_any(history[:, :, tf.newaxis] == self.items, axis=1)
        table = tf.range(NUM_ITEMS, 0, -1, dtype=tf.float32) + self.bonus
        scores = tf.where(seen & exclude_seen, -float("inf"), table)
        scores = tf.concat([scores, tf.fill([num_histories, k], -float("inf"))], axis=1)
        until = tf.timestamp() + tf.cast(tf.reduce_any(history == "slow"), tf.float64)
        with tf.control_dependencies(
            tf.while_loop(lambda now: now < until, lambda now: [tf.timestamp()], [tf.timestamp()])
        ):
            best, positions = tf.math.top_k(scores, k)
        names = tf.gather(tf.concat([self.items, tf.fill([k], "")], axis=0), positions)
        return {"item_ids": tf.where(tf.math.is_inf(best), "", names), "scores": best}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Folder of the SavedModel that answers as the version asked for; made once."""
    folder = tmp_path_factory.mktemp("bundles")

    def make(version: int) -> Path:
        path = folder / str(version)
        if not path.exists():
            model = TableModel(version)
            tf.saved_model.save(model, str(path), signatures={"serving_default": model.recommend})
        return path

    return make


@pytest.fixture(scope="session")
def contract_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 of a student with every signature, in a folder of its own; not to be changed."""
    return write_contract_bundle(tmp_path_factory.mktemp("contract") / "1")


@pytest.fixture
def publish(bundle: Callable[[int], Path]) -> Callable[[Path, int], Path]:
    """Publishes a version as a pusher does: a copy under another name, then a rename."""

    def copy_and_rename(model_dir: Path, version: int) -> Path:
        model_dir.mkdir(exist_ok=True)
        unfinished = model_dir / f".tmp-{version}"
        shutil.copytree(bundle(version), unfinished)
        return unfinished.rename(model_dir / str(version))

    return copy_and_rename


@pytest.fixture
def predict_request() -> Callable[..., predict_pb2.PredictRequest]:
    """Makes a Predict request for histories of one length."""

    def make(history=(("i1",),), k: int = 1, exclude_seen: bool = True):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "student"
        request.inputs["history"].CopyFrom(tf.make_tensor_proto(history, dtype=tf.string))
        request.inputs["k"].CopyFrom(tf.make_tensor_proto(k, dtype=tf.int32))
        request.inputs["exclude_seen"].CopyFrom(tf.make_tensor_proto(exclude_seen))
        return request

    return make


@pytest.fixture
def write_warm_up() -> Callable[[Path, list[predict_pb2.PredictRequest]], None]:
    """Puts warm-up requests into a bundle."""

    def write(path: Path, requests: list[predict_pb2.PredictRequest]) -> None:
        (path / WARMUP_FILE).parent.mkdir()
        with tf.io.TFRecordWriter(str(path / WARMUP_FILE)) as writer:
            for request in requests:
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request)
                writer.write(log.SerializeToString())

    return write


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> dict[str, str]:
    """A certificate for 127.0.0.1 that signs itself, and its key: files in PEM."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, no_password))
    return {"tls_cert": str(folder / "cert.pem"), "tls_key": str(folder / "key.pem")}
