"""A recipe of a small scene, for tests of what takes any."""

from typing import Any

from adarec_tf.config.recipe import Decision, Recipe, SceneProfile

SCENE = SceneProfile(
    num_users=5,
    num_items=7,
    vocabulary_bytes=35,
    num_positions=30,
    mean_length=7.0,
    max_length=20,
    windows="last",
    seen="exclude",
    repeat_share=0.25,
    top_share=0.5,
)


def recipe(**decisions: Any) -> Recipe:
    """A recipe of `stage__field=value`; without any, of no effort."""
    decided = tuple(
        Decision(setting=name.replace("__", "."), value=value, reason="by hand")
        for name, value in decisions.items()
    )
    effort = "standard" if decided else "none"
    return Recipe(effort=effort, scene=SCENE, decisions=decided)
