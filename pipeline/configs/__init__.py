"""The scenes: a recipe each, `<scene>.json`, as a run without settings wrote it.

A run without a scene of its own (`adarec run --data FILE`) finds its recipe.
"""

import json
import os
import re
from pathlib import Path

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.log.spans import SpanPattern, is_span_pattern


def _read_config(scene: str, recipe: Path) -> PipelineConfig:
    """The settings of all stages that a recipe decided."""
    try:
        settings = json.loads(recipe.read_text("utf-8"))["settings"]
        return PipelineConfig(scene=scene, **settings)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"--recipe should be a recipe.json that a run wrote. Received: {recipe}."
        ) from error


SCENES: dict[str, PipelineConfig] = {
    # Generated, and without a recipe: few items and long histories, many items and short ones.
    **{
        name: PipelineConfig(scene=name, effort="standard")
        for name in ("habits", "sessions", "large")
    },
    **{
        path.stem: _read_config(path.stem, path)
        for path in sorted(Path(__file__).parent.glob("*.json"))
    },
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
    name = re.sub(r"[^a-z0-9_-]+", "_", name).strip("_-") or "custom"
    if not recipe:
        return PipelineConfig(scene=name, effort="standard")
    return _read_config(name, Path(recipe))
