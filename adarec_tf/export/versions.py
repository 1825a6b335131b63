"""The folder that a server watches: publishing a bundle as its next version, and taking one back.

As TensorFlow Serving needs it: a version appears and disappears whole, by a rename; numbers only
grow, and one that was ever used is never used again, since a server does not retry a version that
failed. Names that are no numbers are not seen by a server; ours begin with a dot.
"""

import filecmp
import os
import shutil
from pathlib import Path
from typing import NamedTuple

_TEMPORARY_PREFIX = ".tmp-"
# Holds why a version was taken back.
_WITHDRAWN_PREFIX = ".withdrawn-"
# Versions are deleted, by us and by hand; the highest number ever used is remembered here.
_LAST_VERSION_FILE = ".last_version"
# In a version's folder: what it was when it was blessed. No part of the bundle.
BASELINE_DIR = Path("assets.extra", "baseline")
ROLLED_BACK = "rolled back"


class PushedVersion(NamedTuple):
    """The files and the state of one version number.

    Attributes:
      version: the number.
      state: "newest" (served by default), "kept" or "withdrawn".
      pushed_at: when it appeared or was withdrawn, in seconds since 1970.
      size_bytes: of all its files, 0 if withdrawn.
      note: why it was withdrawn.
    """

    version: int
    state: str
    pushed_at: float
    size_bytes: int
    note: str


def publish(
    bundle: str | os.PathLike[str],
    serving_dir: str | os.PathLike[str],
    baseline: str | os.PathLike[str] | None = None,
) -> int:
    """Copies a bundle into a serving folder as its newest version.

    A folder whose newest version already is this bundle is left as it is.

    Args:
      bundle: a SavedModel folder.
      serving_dir: the folder that a server watches; created if need be.
      baseline: a folder that the version has as well, as `assets.extra/baseline`; None for none.

    Returns:
      The version's number.
    """
    base = Path(serving_dir)
    base.mkdir(parents=True, exist_ok=True)
    versions = find_versions(base)
    if versions and _is_bundle_of(base / str(versions[-1]), Path(bundle)):
        return versions[-1]
    version = _last_used_version(base) + 1
    (base / _LAST_VERSION_FILE).write_text(f"{version}\n")
    temporary = base / f"{_TEMPORARY_PREFIX}{version}"
    shutil.copytree(bundle, temporary)
    if baseline is not None:
        shutil.copytree(baseline, temporary / BASELINE_DIR)
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
    old = find_versions(base)[:-keep_versions]
    for version in old:
        _delete(base, version)
    return old


def withdraw(serving_dir: str | os.PathLike[str], version: int, reason: str) -> None:
    """Takes a version back: its folder is deleted, its number and the reason stay known.

    Args:
      serving_dir: the folder that a server watches.
      version: a version in it.
      reason: why, for `list_versions`.
    """
    base = Path(serving_dir)
    # First, so that the number is not used again whatever happens next.
    (base / f"{_WITHDRAWN_PREFIX}{version}").write_text(f"{reason}\n", "utf-8")
    _delete(base, version)


def roll_back(serving_dir: str | os.PathLike[str], to: int = 0) -> list[int]:
    """Withdraws the newest versions, so that an older one is the newest, and served.

    Args:
      serving_dir: the folder that a server watches.
      to: the version to go back to; 0 means the one before the newest.

    Returns:
      The numbers withdrawn, newest first.

    Raises:
      ValueError: there is no such version, or it is the newest already.
    """
    base = Path(serving_dir)
    versions = find_versions(base) if base.is_dir() else []
    older = versions[:-1]
    if not older or (to and to not in older):
        raise ValueError(
            f"A rollback should go to a version before the newest one in {base}: "
            f"{', '.join(map(str, older)) or 'there is none'}. Received: {to or 'the one before'}."
        )
    withdrawn = [version for version in reversed(versions) if version > (to or older[-1])]
    for version in withdrawn:
        withdraw(base, version, ROLLED_BACK)
    return withdrawn


def list_versions(serving_dir: str | os.PathLike[str]) -> list[PushedVersion]:
    """All versions present or withdrawn, newest first."""
    base = Path(serving_dir)
    present = find_versions(base)
    found = [
        PushedVersion(
            version,
            "newest" if version == present[-1] else "kept",
            (base / str(version)).stat().st_mtime,
            sum(f.stat().st_size for f in (base / str(version)).rglob("*") if f.is_file()),
            "",
        )
        for version in present
    ]
    for marker in base.glob(f"{_WITHDRAWN_PREFIX}*"):
        version = int(marker.name.removeprefix(_WITHDRAWN_PREFIX))
        note = marker.read_text("utf-8").strip()
        found.append(PushedVersion(version, "withdrawn", marker.stat().st_mtime, 0, note))
    return sorted(found, reverse=True)


def find_versions(serving_dir: str | os.PathLike[str]) -> list[int]:
    """The numbers of the versions present, oldest first."""
    return sorted(
        int(path.name)
        for path in Path(serving_dir).iterdir()
        if path.name.isdecimal() and path.is_dir()
    )


def _delete(base: Path, version: int) -> None:
    # Out of sight first, so that no server meets a folder that is half gone.
    hidden = base / f"{_TEMPORARY_PREFIX}{version}"
    (base / str(version)).rename(hidden)
    shutil.rmtree(hidden)


def _last_used_version(base: Path) -> int:
    """The highest number ever used, by versions that failed or are deleted as well; 0 at first."""
    names = [
        path.name.removeprefix(_TEMPORARY_PREFIX).removeprefix(_WITHDRAWN_PREFIX)
        for path in base.iterdir()
    ]
    if (base / _LAST_VERSION_FILE).exists():
        names.append((base / _LAST_VERSION_FILE).read_text().strip())
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _is_bundle_of(version: Path, bundle: Path) -> bool:
    names = [
        sorted(
            path.relative_to(root)
            for path in root.rglob("*")
            if path.is_file() and root / BASELINE_DIR not in path.parents
        )
        for root in (version, bundle)
    ]
    return names[0] == names[1] and all(
        filecmp.cmp(version / name, bundle / name, shallow=False) for name in names[0]
    )
