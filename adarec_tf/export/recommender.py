"""Recommendations in this process: raw item keys in, raw item keys and scores out."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self, overload

import keras
import tensorflow as tf

from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.bundle import MANIFEST_FILE, VOCABULARY_FILE, read_manifest, write_bundle
from adarec_tf.export.signatures import FILTERED, SIGNATURE, build_served_model
from adarec_tf.export.warm_up import key_matrix
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.same_items import check_same_items
from adarec_tf.models.students.student import Student
from adarec_tf.models.teachers import bert4rec, nextitnet, sasrec  # noqa: F401 (load reads them)

_NUM_WARMUP_HISTORIES = 8


class ScoredItem(NamedTuple):
    """One recommended item: its raw key and its score."""

    item_id: str
    score: float


class Recommender:
    """A model that is asked with raw item keys, by the functions that are served.

    Examples:
        >>> recommend = ar.Recommender(student, data.vocabulary)
        >>> [item.item_id in data.vocabulary.keys for item in recommend(["crime-01-e03"], k=2)]
        [True, True]

    Attributes:
      signatures: the served functions by name, tensors in and out; see
        `signatures.build_served_model`.
      signature: the default one of them.
      seen: `exclude` or `keep`, what is done with items of a history by default.
      manifest: of the bundle that it was loaded from; empty for a model.
    """

    def __init__(
        self, model: NextItemModel, vocabulary: ItemVocabulary, *, seen: str | None = None
    ) -> None:
        """Traces the served functions of a model.

        Args:
          model: trained; later training of it is not seen.
          vocabulary: of its items.
          seen: `exclude` or `keep`; by default what the model was evaluated with.

        Raises:
          ValueError: the vocabulary is not the model's.
        """
        embedding = model.sequence_embedding
        check_same_items(model=model, vocabulary=vocabulary)
        self.model, self.vocabulary = model, vocabulary
        self.seen = seen or model.seen
        self.manifest: Mapping[str, Any] = {}
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, VOCABULARY_FILE)
            vocabulary.write(path)
            self._owner: Any = build_served_model(
                model,
                path,
                max_length=embedding.max_length,
                exclude_seen=self.seen == "exclude",
                names=(SIGNATURE, FILTERED),
            )
        self.signatures = self._owner.signatures
        self.signature = self.signatures[SIGNATURE]

    @classmethod
    def load(cls, bundle_dir: str) -> Self:
        """Loads a bundle into this process.

        Args:
          bundle_dir: what `export` or the pipeline wrote.

        Returns:
          A recommender that answers as the one that was exported.

        Raises:
          ValueError: there is no bundle, or it has another schema.
        """
        recommender = cls.__new__(cls)
        recommender.manifest = read_manifest(bundle_dir)
        recommender.seen = recommender.manifest["seen"]
        # Kept, since it owns the lookup tables and a signature alone lets them go.
        recommender._owner = tf.saved_model.load(bundle_dir)
        recommender.signatures = recommender._owner.signatures
        recommender.signature = recommender.signatures[SIGNATURE]
        return recommender

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        histories: Sequence[str],
        k: int = ...,
        exclude_seen: bool | None = ...,
        *,
        allowed: Sequence[str] | None = ...,
        denied: Sequence[str] = ...,
    ) -> list[ScoredItem]: ...

    @overload
    def __call__(
        self,
        histories: Sequence[Sequence[str]],
        k: int = ...,
        exclude_seen: bool | None = ...,
        *,
        allowed: Sequence[str] | None = ...,
        denied: Sequence[str] = ...,
    ) -> list[list[ScoredItem]]: ...

    def __call__(
        self,
        histories: Sequence[Any],
        k: int = 10,
        exclude_seen: bool | None = None,
        *,
        allowed: Sequence[str] | None = None,
        denied: Sequence[str] = (),
    ) -> Any:
        """Recommends at most k items for one history, or for each of several, best first.

        Args:
          histories: raw item keys, oldest first, unknown ones are ignored and none is a newcomer;
            or several such.
          k: how many items.
          exclude_seen: whether items of the history are no candidates; by default as `seen` says.
          allowed: the only candidates; None is all items.
          denied: items that are no candidates.

        Returns:
          Items and scores; a list of lists where several histories are given.

        Raises:
          ValueError: k is below 1.
        """
        if k < 1:
            raise ValueError(f"`k` should be a positive integer. Received: k={k}.")
        if not histories or isinstance(histories[0], str):
            return self([histories], k, exclude_seen, allowed=allowed, denied=denied)[0]
        inputs = {
            "history": key_matrix(histories),
            "k": tf.constant(k),
            "exclude_seen": tf.constant(
                self.seen == "exclude" if exclude_seen is None else exclude_seen
            ),
        }
        if allowed is None and not denied:
            answer = self.signature(**inputs)
        else:
            # A list of nothing but "" allows all items; one of unknown items allows none.
            lists = {"allowed": [""] if allowed is None else [*allowed, "\n"], "denied": denied}
            answer = self.signatures[FILTERED](
                **inputs, **{name: key_matrix([list(keys)]) for name, keys in lists.items()}
            )
        rows = zip(answer["item_ids"].numpy(), answer["scores"].numpy(), strict=True)
        return [
            [
                ScoredItem(key.decode(), float(score))
                for key, score in zip(keys, scores, strict=True)
                if key
            ]
            for keys, scores in rows
        ]


def export(recommender: Recommender, directory: str | os.PathLike[str]) -> None:
    """Writes a bundle: the SavedModel that TensorFlow Serving loads, with vocabulary and manifest.

    Examples:
        >>> recommend = ar.Recommender(student, data.vocabulary)
        >>> ar.export(recommend, folder / "student" / "1")
        >>> ar.load(folder / "student" / "1").manifest["num_items"] == data.num_items
        True

    Args:
      recommender: made of a model.
      directory: new or empty; its last part is the version, a number, where it is served from.

    Raises:
      ValueError: the directory holds something, or the recommender was loaded from a bundle.
    """
    if recommender.manifest:
        raise ValueError(
            "`recommender` should be made of a model: a bundle can be copied as it is. Received: "
            "one that was loaded from a bundle."
        )
    model, vocabulary = recommender.model, recommender.vocabulary
    # The vocabulary is in the order of popularity.
    popular = vocabulary.keys[: model.sequence_embedding.max_length]
    write_bundle(
        model,
        vocabulary,
        os.fspath(directory),
        max_length=model.sequence_embedding.max_length,
        seen=recommender.seen,
        genotype_json=model.genotype.to_json() if isinstance(model, Student) else None,
        manifest={},
        warmup_histories=[
            popular[: len(popular) * number // _NUM_WARMUP_HISTORIES + 1]
            for number in range(_NUM_WARMUP_HISTORIES)
        ],
    )


def load(path: str | os.PathLike[str]) -> Any:
    """Loads what this library saved.

    Examples:
        >>> student.save(folder / "student.keras")
        >>> type(ar.load(folder / "student.keras")).__name__
        'Student'

    Args:
      path: a bundle, or a file `*.keras` of a teacher or student.

    Returns:
      A `Recommender` of a bundle, a Keras model of a file.

    Raises:
      ValueError: it is neither.
    """
    path = os.fspath(path)
    if path.endswith(".keras"):
        return keras.saving.load_model(path)
    if not os.path.exists(os.path.join(path, "assets.extra", MANIFEST_FILE)):
        raise ValueError(
            f"`path` should be a file *.keras or the folder of a bundle. Received: {path}."
        )
    return Recommender.load(path)
