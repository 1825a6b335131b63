"""ServerValidator: student bundle + real histories → infra blessing.

The bundle is served by a server of its own, in another process, and asked over gRPC; its answers
must be those of the same bundle called in this process.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import InfraBlessing, Model

from adarec_tf.data.histories.histories import raw_histories
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.export.recommender import Recommender
from components.artifacts import Sequences, Vocabulary
from components.blessings import write_blessing
from components.model_artifact import bundle_dir, read_vocabulary
from components.serving_process import run_serving

_NUM_REQUESTS = 16
_K = 10
_RTOL = 1e-5
_TIME_LIMIT_S = 180.0

Answer = list[tuple[str, float]]


def ask_server(bundle: str, requests: Sequence[dict]) -> list[Answer]:
    """Serves a bundle from a subprocess and asks it.

    Args:
      bundle: a SavedModel folder.
      requests: `{"history": [...], "k": int, "exclude_seen": bool}` each.

    Returns:
      An answer a request: item ids and scores, best first.

    Raises:
      ValueError: the bundle cannot be served, or a request failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        request_file = Path(directory, "requests.json")
        answer_file = Path(directory, "answers.json")
        request_file.write_text(json.dumps(list(requests)), "utf-8")
        problem = run_serving(
            "validation",
            bundle=os.path.abspath(bundle),
            requests=str(request_file),
            output=str(answer_file),
            time_limit_s=_TIME_LIMIT_S,
        )
        if problem:
            raise ValueError(problem)
        answers = json.loads(answer_file.read_text("utf-8"))
    return [[(item["item_id"], item["score"]) for item in answer] for answer in answers]


def ask_in_process(bundle: str, requests: Sequence[dict]) -> list[Answer]:
    """Asks a bundle in this process.

    Args:
      bundle: a SavedModel folder.
      requests: `{"history": [...], "k": int, "exclude_seen": bool}` each.

    Returns:
      An answer a request: item ids and scores, best first.
    """
    recommend = Recommender.load(bundle)
    return [
        [(item.item_id, item.score) for item in items]
        for request in requests
        for items in recommend([request["history"]], request["k"], request["exclude_seen"])
    ]


def first_mismatch(served: Sequence[Answer], expected: Sequence[Answer]) -> str | None:
    """Says where served answers differ from the expected ones.

    Args:
      served: an answer a request.
      expected: the same; item ids must be equal, scores close to a relative 1e-5.

    Returns:
      A sentence on the first difference; None if there is none.
    """
    for position, (answer, wanted) in enumerate(zip(served, expected, strict=True)):
        items, wanted_items = [item for item, _ in answer], [item for item, _ in wanted]
        if items != wanted_items:
            return f"Request {position} should return {wanted_items}. Received: {items}."
        scores, wanted_scores = [score for _, score in answer], [score for _, score in wanted]
        if not np.allclose(scores, wanted_scores, rtol=_RTOL, atol=_RTOL):
            return f"Request {position} should score {wanted_scores}. Received: {scores}."
    return None


@component
def ServerValidator(  # noqa: N802 (a component is named as a class)
    model: InputArtifact[Model],
    sequences: InputArtifact[Sequences],
    vocabulary: InputArtifact[Vocabulary],
    blessing: OutputArtifact[InfraBlessing],
    code_fingerprint: Parameter[str],
) -> None:
    """Blesses a model whose bundle a server answers with as this process does.

    Args:
      model: the student.
      sequences: where the histories asked about come from: the test split.
      vocabulary: their items.
      blessing: the verdict and its reasons.
      code_fingerprint: of the code this runs, so that the cache sees changes.
    """
    del code_fingerprint  # a part of the cache key alone
    bundle = bundle_dir(model.uri)
    test = read_histories(sequences.uri, "test")
    histories = raw_histories(test, read_vocabulary(vocabulary.uri), _NUM_REQUESTS)
    exclude_seen = read_statistics(sequences.uri).seen == "exclude"
    requests = [{"history": h, "k": _K, "exclude_seen": exclude_seen} for h in histories]
    try:
        mismatch = first_mismatch(ask_server(bundle, requests), ask_in_process(bundle, requests))
    except ValueError as error:
        mismatch = f"The server did not answer: {error}"
    reason = mismatch or f"A server answers {len(requests)} requests as the bundle does in process."
    write_blessing(blessing, is_blessed=mismatch is None, reasons=[reason], prefix="INFRA_")
