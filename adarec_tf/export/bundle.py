"""The bundle: one SavedModel directory with all that serving and people need.

    saved_model.pb, variables/      the served functions, see `signatures`
    assets/vocabulary.txt           raw item keys, one a line, in id order
    assets.extra/manifest.json      what this is and how it was made
    assets.extra/genotype.json      the architecture, where one was searched
    assets.extra/tf_serving_warmup_requests     requests TensorFlow Serving replays on loading

A bundle appears by a rename, so one that exists is complete.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

import adarec_tf
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.signatures import ServedModel, build_served_model
from adarec_tf.export.warm_up import MAX_HISTORIES, write_warm_up
from adarec_tf.models.sequence_model import SequenceModel

SCHEMA_VERSION = 1
VOCABULARY_FILE = "vocabulary.txt"
MANIFEST_FILE = "manifest.json"
GENOTYPE_FILE = "genotype.json"
WARMUP_FILE = "tf_serving_warmup_requests"


def write_bundle(
    model: SequenceModel,
    vocabulary: ItemVocabulary,
    directory: str,
    *,
    max_length: int,
    seen: str,
    genotype_json: str | None,
    manifest: Mapping[str, Any],
    warmup_histories: Sequence[Sequence[str]],
) -> None:
    """Writes the bundle of a model.

    Args:
      model: the trained model; what only training uses is left out.
      vocabulary: of the model's items.
      directory: the bundle; must not exist yet, or be empty.
      max_length: items of a history the model sees.
      seen: `exclude` or `keep`: how the model was evaluated, and clients should ask by default.
      genotype_json: the architecture of a student, None for a model that was not searched.
      manifest: what the caller knows (when it was made, data, metrics); must be JSON.
      warmup_histories: raw item keys, oldest first; a warm-up request of the default signature
        each, and one of each other signature.

    Raises:
      ValueError: the directory holds something, the vocabulary is not the model's, `seen` is
        neither option, there are too many warm-up histories, or `manifest` has a key of our own.
    """
    _check_bundle(model, vocabulary, directory, seen, warmup_histories)
    target = Path(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        bundle = Path(scratch) / "bundle"
        vocabulary_path = str(Path(scratch) / VOCABULARY_FILE)
        vocabulary.write(vocabulary_path)
        served = build_served_model(
            model, vocabulary_path, max_length=max_length, exclude_seen=seen == "exclude"
        )
        own = _own_manifest(served, vocabulary, max_length, seen)
        if taken := sorted(own.keys() & manifest.keys()):
            raise ValueError(
                f"`manifest` should not have the keys the bundle sets. Received: {taken}."
            )
        text = json.dumps({**manifest, **own}, indent=2, sort_keys=True)
        tf.saved_model.save(served.module, str(bundle), signatures=served.signatures)
        _drop_derived_shapes(bundle)
        extra = bundle / "assets.extra"
        extra.mkdir()
        (extra / MANIFEST_FILE).write_text(text + "\n")
        if genotype_json is not None:
            (extra / GENOTYPE_FILE).write_text(genotype_json)
        if warmup_histories:
            write_warm_up(
                extra / WARMUP_FILE, warmup_histories, seen == "exclude", served.session_size
            )
        os.rename(bundle, target)


def _drop_derived_shapes(bundle: Path) -> None:
    """Takes out what every reader works out for itself: the shapes of what each node gives.

    They are a quarter of a deep student's graph. Those of arguments stay: signatures have them.
    """
    file = bundle / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in saved.meta_graphs:
        graph = meta_graph.graph_def
        for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
            for node in nodes:
                node.attr.pop("_output_shapes", None)
    file.write_bytes(saved.SerializeToString(deterministic=True))
    write_fingerprint(str(bundle))  # anew: it is of the file that was


def _check_bundle(
    model: SequenceModel,
    vocabulary: ItemVocabulary,
    directory: str,
    seen: str,
    warmup_histories: Sequence[Sequence[str]],
) -> None:
    if os.path.exists(directory) and (not os.path.isdir(directory) or os.listdir(directory)):
        raise ValueError(f"A bundle's directory should be new or empty. Received: {directory}.")
    num_items = model.sequence_embedding.num_items
    if vocabulary.num_items != num_items:
        raise ValueError(
            f"The vocabulary should have the model's {num_items} items. "
            f"Received: {vocabulary.num_items}."
        )
    if seen not in ("exclude", "keep"):
        raise ValueError(f"`seen` should be one of exclude, keep. Received: seen={seen!r}.")
    if len(warmup_histories) > MAX_HISTORIES:
        raise ValueError(
            f"There should be at most {MAX_HISTORIES} warm-up histories. "
            f"Received: {len(warmup_histories)}."
        )


def _own_manifest(
    served: ServedModel, vocabulary: ItemVocabulary, max_length: int, seen: str
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "signatures": sorted(served.signatures),
        # For `step`: what a new session is made of, and how long it may get; 0 without `step`.
        "session_size": served.session_size,
        "max_length": max_length,
        "seen": seen,
        "num_items": vocabulary.num_items,
        "library_versions": {
            "adarec_tf": adarec_tf.__version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
    }


def read_manifest(bundle_dir: str) -> dict[str, Any]:
    """Reads the manifest of a bundle.

    Raises:
      ValueError: there is no bundle, or it has another schema.
    """
    path = Path(bundle_dir) / "assets.extra" / MANIFEST_FILE
    if not path.exists():
        raise ValueError(f"A bundle should hold {path}. Received: a directory without it.")
    manifest = json.loads(path.read_text())
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{path} should have schema version {SCHEMA_VERSION}. "
            f"Received: {manifest.get('schema_version')}."
        )
    return manifest


def bundle_bytes(bundle_dir: str) -> int:
    """Size of all files of a bundle, in bytes."""
    return sum(path.stat().st_size for path in Path(bundle_dir).rglob("*") if path.is_file())
