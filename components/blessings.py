"""Blessings as stock TFX tools read them: a marker file, and the custom property `blessed`.

Why a model was or was not blessed is in the further property `reasons`, one sentence a line.
"""

import os
from collections.abc import Sequence

from tfx.dsl.io import fileio
from tfx.types import artifact

_BLESSED = "blessed"
_REASONS = "reasons"


def write_blessing(
    blessing: artifact.Artifact, *, is_blessed: bool, reasons: Sequence[str], prefix: str = ""
) -> None:
    """Marks a `ModelBlessing` or `InfraBlessing` artifact.

    Args:
      blessing: the artifact.
      is_blessed: the verdict.
      reasons: sentences, for either verdict.
      prefix: of the marker file's name: stock InfraValidator uses `INFRA_`.
    """
    fileio.makedirs(blessing.uri)
    marker = f"{prefix}{'BLESSED' if is_blessed else 'NOT_BLESSED'}"
    with fileio.open(os.path.join(blessing.uri, marker), "w") as file:
        file.write("")
    blessing.set_int_custom_property(_BLESSED, int(is_blessed))
    blessing.set_string_custom_property(_REASONS, "\n".join(reasons))


def read_blessing(blessing: artifact.Artifact) -> tuple[bool, list[str]]:
    """The verdict of an artifact that `write_blessing` marked, and its reasons."""
    is_blessed = blessing.get_int_custom_property(_BLESSED) == 1
    return is_blessed, blessing.get_string_custom_property(_REASONS).splitlines()
