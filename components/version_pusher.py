"""VersionPusher: a blessed bundle → the next numbered version in the folder that a server watches.

With it goes what it was when it was blessed, for `SceneWatch` to compare with.

Where a running server is named, the new version has to answer real requests there; otherwise it is
taken back, and the version before it serves on.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import (
    ExampleStatistics,
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    PushedModel,
    Schema,
)

from adarec_tf.export.versions import delete_old_versions, find_versions, publish, withdraw
from components import artifacts
from components.baseline import write_baseline
from components.blessings import read_blessing
from components.model_artifact import bundle_dir
from components.serving_process import run_serving

# Two looks of a server at the folder, and loading; a server that tries again takes longer.
_TIME_LIMIT_S = 120.0

logger = logging.getLogger(__name__)


class RunningServer(NamedTuple):
    """A server that watches the pushed folder.

    Attributes:
      address: HOST:PORT, "" for no server.
      model_name: the name it serves the folder under.
      tls_ca: PEM file with who signs its certificate; "" for plain text.
      tls_cert: PEM file with a certificate to show it and its key; "" for none.
    """

    address: str
    model_name: str
    tls_ca: str = ""
    tls_cert: str = ""


def push(
    bundle: str, baseline: str, serving_dir: str, keep_versions: int, server: RunningServer
) -> tuple[int, str]:
    """Publishes a bundle and, where a server is named, sees it answer.

    Args:
      bundle: a SavedModel folder.
      baseline: a folder with what it was when it was blessed.
      serving_dir: the folder that a server watches.
      keep_versions: how many versions stay in it.
      server: which server that is.

    Returns:
      The version's number, and why it was taken back: "" if it was not.
    """
    before = find_versions(serving_dir) if os.path.isdir(serving_dir) else []
    version = publish(bundle, serving_dir, baseline)
    if server.address and version not in before:
        problem = ask_running_server(os.path.join(serving_dir, str(version)), version, server)
        if problem:
            withdraw(serving_dir, version, problem)
            return version, problem
    deleted = delete_old_versions(serving_dir, keep_versions)
    logger.info("pushed version=%d to=%s deleted=%s", version, serving_dir, deleted)
    return version, ""


def ask_running_server(bundle: str, version: int, server: RunningServer) -> str:
    """Waits until a server serves a version and asks it the bundle's own warm-up requests.

    Args:
      bundle: the folder of the version.
      version: its number.
      server: where it should be served.

    Returns:
      What went wrong, "" if nothing did.
    """
    ca, cert = (path and os.path.abspath(path) for path in (server.tls_ca, server.tls_cert))
    return run_serving(
        "push_check",
        bundle=os.path.abspath(bundle),
        version=version,
        server=server.address,
        model_name=server.model_name,
        time_limit_s=_TIME_LIMIT_S,
        tls_ca=ca,
        tls_cert=cert,
        tls_key=cert,
    )


@component
def VersionPusher(  # noqa: N802 (a component is named as a class)
    model: InputArtifact[Model],
    model_blessing: InputArtifact[ModelBlessing],
    infra_blessing: InputArtifact[InfraBlessing],
    statistics: InputArtifact[ExampleStatistics],
    schema: InputArtifact[Schema],
    vocabulary: InputArtifact[artifacts.Vocabulary],
    recipe: InputArtifact[artifacts.Recipe],
    genotype: InputArtifact[artifacts.Genotype],
    evaluation: InputArtifact[ModelEvaluation],
    pushed_model: OutputArtifact[PushedModel],
    serving_dir: Parameter[str],
    keep_versions: Parameter[int],
    server_address: Parameter[str],
    server_tls_ca: Parameter[str],
    server_tls_cert: Parameter[str],
    model_name: Parameter[str],
    run_config: Parameter[str],
    code_fingerprint: Parameter[str],
) -> None:
    """Pushes the bundle of a model if both blessings were given; says why if not.

    The properties of `pushed_model` are those of the stock Pusher (`pushed`, `pushed_destination`,
    `pushed_version`) and `reasons`.

    Args:
      model: the student.
      model_blessing: the evaluator's verdict.
      infra_blessing: the infra validator's verdict.
      statistics: of a sample of the log's rows.
      schema: of these rows.
      vocabulary: the items that the student knows.
      recipe: settings that were decided.
      genotype: the student's architecture and how it was found.
      evaluation: the figures of all models.
      pushed_model: what was pushed, if anything.
      serving_dir: the folder that a server watches.
      keep_versions: how many versions stay in it.
      server_address: HOST:PORT of a running server that has to answer with the new version; ""
        for none.
      server_tls_ca: PEM file with who signs that server's certificate; "" for plain text.
      server_tls_cert: PEM file with a certificate to show it and its key; "" for none.
      model_name: the name it serves the folder under.
      run_config: JSON of `PipelineConfig`.
      code_fingerprint: of the code this runs, so that the cache sees changes.
    """
    del code_fingerprint  # a part of the cache key alone
    verdicts = [read_blessing(model_blessing), read_blessing(infra_blessing)]
    reasons = [line for is_blessed, lines in verdicts if not is_blessed for line in lines]
    version = 0
    if all(is_blessed for is_blessed, _ in verdicts):
        server = RunningServer(server_address, model_name, server_tls_ca, server_tls_cert)
        with tempfile.TemporaryDirectory() as scratch:
            baseline = Path(scratch, "baseline")
            write_baseline(
                baseline,
                since=vocabulary.get_float_custom_property("until"),
                run_config=run_config,
                recipe_dir=recipe.uri,
                genotype_dir=genotype.uri,
                evaluation_dir=evaluation.uri,
                schema_dir=schema.uri,
                statistics_dir=statistics.uri,
            )
            version, problem = push(
                bundle_dir(model.uri), str(baseline), serving_dir, int(keep_versions), server
            )
        reasons = [f"Version {version} was taken back: {problem}"] if problem else []
    is_pushed = version > 0 and not reasons
    pushed_model.set_int_custom_property("pushed", int(is_pushed))
    pushed_model.set_string_custom_property("reasons", "\n".join(reasons))
    if not is_pushed:
        logger.warning("The student is not pushed: %s", " ".join(reasons))
        return
    pushed_model.set_string_custom_property("pushed_version", str(version))
    pushed_model.set_string_custom_property(
        "pushed_destination", os.path.join(serving_dir, str(version))
    )
