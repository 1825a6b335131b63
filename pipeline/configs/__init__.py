"""The scenes: one module each, whose docstring says what the run aims at and how to start it.

A run without a scene of its own (`adarec run --data FILE`) has the defaults of `PipelineConfig`.
"""

import json
import os
import re
from pathlib import Path

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.log.spans import SpanPattern, is_span_pattern
from pipeline.configs.beauty import BEAUTY
from pipeline.configs.ml1m import ML1M
from pipeline.configs.ml_latest_small import ML_LATEST_SMALL
from pipeline.configs.nowplaying import NOWPLAYING
from pipeline.configs.retailrocket import RETAILROCKET
from pipeline.configs.sample import SAMPLE
from pipeline.configs.smoke import SMOKE

HABITS, SESSIONS = (
    PipelineConfig(scene=name, effort="standard") for name in ("habits", "sessions")
)
SCENES: dict[str, PipelineConfig] = {
    config.scene: config
    for config in (
        *(BEAUTY, HABITS, ML1M, ML_LATEST_SMALL, NOWPLAYING, RETAILROCKET, SAMPLE, SESSIONS),
        SMOKE,
    )
}


def scene_config(scene: str) -> PipelineConfig:
    """The settings of a scene.

    Raises:
      ValueError: there is no such scene; those there are are named.
    """
    if scene not in SCENES:
        raise ValueError(
            f"The scene should be one of {', '.join(sorted(SCENES))}. Received: {scene!r}."
        )
    return SCENES[scene]


def custom_config(data_path: str | os.PathLike[str], recipe: str = "") -> PipelineConfig:
    """The settings of a log that has no scene; it is named after the file or folder.

    Daily folders are named after the folder that they are in.

    Args:
      data_path: of the log.
      recipe: a `recipe.json`, whose settings the run has; without one they are decided from the
        scene.

    Raises:
      ValueError: the file is no recipe.
    """
    if is_span_pattern(data_path):
        data_path = SpanPattern.parse(data_path).folder
    name = os.path.basename(os.path.abspath(data_path)).partition(".")[0].lower()
    name = re.sub(r"[^a-z0-9_-]+", "_", name).strip("_-")
    name = name or "custom"
    if not recipe:
        return PipelineConfig(scene=name, effort="standard")
    try:
        settings = json.loads(Path(recipe).read_text("utf-8"))["settings"]
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"--recipe should be a recipe.json that a run wrote. Received: {recipe}."
        ) from error
    return PipelineConfig(scene=name, **settings)
