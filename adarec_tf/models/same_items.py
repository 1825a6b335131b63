"""Whether models, datasets and vocabularies go together: an id has to mean one item for all."""

from typing import Any

from adarec_tf.data.histories.vocabulary import ItemVocabulary


def check_same_items(**two: Any) -> None:
    """Checks that two things know the same items by the same ids.

    A model knows its vocabulary where it was built for a dataset or written by a run; of others the
    number of items alone is compared.

    Examples:
        >>> check_same_items(model=student, dataset=data)

    Args:
      **two: a model, and another, a dataset or a vocabulary, named as the caller's arguments.

    Raises:
      ValueError: they do not.
    """
    (first, model), (second, other) = two.items()
    (size, items), (other_size, other_items) = map(_known_items, (model, other))
    if size == other_size and (items == other_items or not items or not other_items):
        return
    came = f"{size} and {other_size} items" if size != other_size else f"{size} items, but others"
    raise ValueError(
        f"`{first}` should know the same items as `{second}`, in the same order: build and train "
        f"it for this vocabulary. Received: {came}."
    )


def _known_items(one: Any) -> tuple[int, str]:
    """How many items, and a fingerprint of them; "" where it is not known."""
    vocabulary = one if isinstance(one, ItemVocabulary) else getattr(one, "vocabulary", None)
    if vocabulary is not None:
        return vocabulary.num_items, vocabulary.fingerprint
    return int(one.sequence_embedding.num_items), getattr(one, "vocabulary_fingerprint", "")
