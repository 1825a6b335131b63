"""The custom artifact types of the pipeline, and the names of the files inside each artifact.

Kubeflow imports an artifact type by its `TYPE_NAME` as a class path, so the names are
`components.<Class>` and `components/__init__.py` re-exports the classes. Types declare no
properties (Kubeflow's driver refuses declared ones); figures travel as custom properties.
"""

from tfx.types import artifact

VOCABULARY_FILE = "vocabulary.txt"
RECIPE_FILE = "recipe.json"
GENOTYPE_FILE = "genotype.json"
SEARCH_TRACE_FILE = "search_trace.jsonl"
FRONT_FILE = "front.json"
METRICS_FILE = "metrics.json"
CHECK_FILE = "check.json"
REPORT_FILE = "report.html"
REPORT_FACTS_FILE = "report.json"
# A model artifact holds the served bundle and, beside it, the Keras model for applications.
BUNDLE_DIR = "bundle"
KERAS_MODEL_FILE = "model.keras"
# The teachers of an ensemble after the first, numbered from 2.
MEMBER_MODEL_FILE = "member_{number}.keras"
TRAINING_HISTORY_FILE = "history.json"


class Sequences(artifact.Artifact):
    """Split histories: Parquet files `Split-{train,valid,test}/part-*`, and `statistics.json`.

    `shards.json` lists the files with a count and a checksum each.
    """

    TYPE_NAME = "components.Sequences"


class Vocabulary(artifact.Artifact):
    """`vocabulary.txt`: one raw item key a line, in id order from 1.

    The custom property `until` is the time of the last event of the log, in its unit.
    """

    TYPE_NAME = "components.Vocabulary"


class Recipe(artifact.Artifact):
    """`recipe.json`: the scene's profile, the settings decided with their reasons, the trials."""

    TYPE_NAME = "components.Recipe"


class SceneCheck(artifact.Artifact):
    """`check.json`: whether the scene has changed, by which signals, and what to do.

    The custom property `retrain` is 1 where something is to be done.
    """

    TYPE_NAME = "components.SceneCheck"


class Genotype(artifact.Artifact):
    """`genotype.json`: the architecture; `search_trace.jsonl`: how it was found.

    `front.json`: students of several budgets, if asked for. A genotype that was given has the first
    file alone.
    """

    TYPE_NAME = "components.Genotype"


class Report(artifact.Artifact):
    """`report.html`: the page of a run; `report.json`: what it says.

    Where it could not be made there is no file, and the custom property `problem` says why.
    """

    TYPE_NAME = "components.Report"
