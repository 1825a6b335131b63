"""Pusher: a blessed bundle → the next numbered version in the folder that a server watches.

As TensorFlow Serving needs it: a version appears complete, by a rename; numbers only grow and one
that was ever used is never used again, since a server does not retry a version that failed.
"""

import filecmp
import logging
import os
import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from components.blessings import read_blessing
from components.model_artifact import bundle_dir

logger = logging.getLogger(__name__)

_TEMPORARY_PREFIX = ".tmp-"
# Versions are deleted, by us and by hand; the highest number ever used is remembered here.
_LAST_VERSION_FILE = ".last_version"


def publish(bundle: str | os.PathLike[str], serving_dir: str | os.PathLike[str]) -> int:
    """Copies a bundle into a serving folder as its newest version.

    A folder whose newest version already is this bundle is left as it is.

    Args:
      bundle: a SavedModel folder.
      serving_dir: the folder that a server watches; created if need be.

    Returns:
      The version's number.
    """
    base = Path(serving_dir)
    base.mkdir(parents=True, exist_ok=True)
    versions = _versions(base)
    if versions and _has_same_files(Path(bundle), base / str(versions[-1])):
        return versions[-1]
    version = _last_used_version(base) + 1
    (base / _LAST_VERSION_FILE).write_text(f"{version}\n")
    temporary = base / f"{_TEMPORARY_PREFIX}{version}"
    shutil.copytree(bundle, temporary)
    # One atomic step: a server that sees the number sees every file.
    temporary.rename(base / str(version))
    return version


def delete_old_versions(serving_dir: str | os.PathLike[str], keep_versions: int) -> list[int]:
    """Deletes all but the newest versions, and what interrupted copies left behind.

    Args:
      serving_dir: the folder that a server watches.
      keep_versions: how many to keep, at least 1.

    Returns:
      The numbers deleted.
    """
    base = Path(serving_dir)
    for leftover in base.glob(f"{_TEMPORARY_PREFIX}*"):
        shutil.rmtree(leftover)
    old = _versions(base)[:-keep_versions]
    for version in old:
        # Out of sight first, so that no server meets a folder that is half gone.
        hidden = base / f"{_TEMPORARY_PREFIX}{version}"
        (base / str(version)).rename(hidden)
        shutil.rmtree(hidden)
    return old


def _versions(base: Path) -> list[int]:
    return sorted(int(p.name) for p in base.iterdir() if p.name.isdecimal() and p.is_dir())


def _last_used_version(base: Path) -> int:
    """The highest number ever used, by versions that failed or are deleted as well; 0 at first."""
    names = [path.name.removeprefix(_TEMPORARY_PREFIX) for path in base.iterdir()]
    if (base / _LAST_VERSION_FILE).exists():
        names.append((base / _LAST_VERSION_FILE).read_text().strip())
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _has_same_files(left: Path, right: Path) -> bool:
    names = [
        sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        for root in (left, right)
    ]
    return names[0] == names[1] and all(
        filecmp.cmp(left / name, right / name, shallow=False) for name in names[0]
    )


@component
def Pusher(  # noqa: N802 (a component is named as a class)
    model: InputArtifact[Model],
    model_blessing: InputArtifact[ModelBlessing],
    infra_blessing: InputArtifact[InfraBlessing],
    pushed_model: OutputArtifact[PushedModel],
    serving_dir: Parameter[str],
    keep_versions: Parameter[int],
    code_fingerprint: Parameter[str],
) -> None:
    """Pushes the bundle of a model if both blessings were given; says why if not.

    The properties of `pushed_model` are those of the stock Pusher (`pushed`, `pushed_destination`,
    `pushed_version`) and `reasons`.

    Args:
      model: the student.
      model_blessing: the evaluator's verdict.
      infra_blessing: the infra validator's verdict.
      pushed_model: what was pushed, if anything.
      serving_dir: the folder that a server watches.
      keep_versions: how many versions stay in it.
      code_fingerprint: of the code this runs, so that the cache sees changes.
    """
    del code_fingerprint  # a part of the cache key alone
    verdicts = [read_blessing(model_blessing), read_blessing(infra_blessing)]
    reasons = [line for is_blessed, lines in verdicts if not is_blessed for line in lines]
    is_blessed = all(is_blessed for is_blessed, _ in verdicts)
    pushed_model.set_int_custom_property("pushed", int(is_blessed))
    pushed_model.set_string_custom_property("reasons", "\n".join(reasons))
    if not is_blessed:
        logger.warning("The student is not pushed: %s", " ".join(reasons))
        return
    version = publish(bundle_dir(model.uri), serving_dir)
    deleted = delete_old_versions(serving_dir, int(keep_versions))
    logger.info("pushed version=%d to=%s deleted=%s", version, serving_dir, deleted)
    pushed_model.set_string_custom_property("pushed_version", str(version))
    pushed_model.set_string_custom_property(
        "pushed_destination", os.path.join(serving_dir, str(version))
    )
