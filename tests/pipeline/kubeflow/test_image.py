"""The container image's recipe, and that what it installs is whole."""

import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "pipeline" / "kubeflow" / "image"
PACKAGES = ("adarec_tf", "components", "pipeline", "serving")


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of the Dockerfile's instructions."""
    text = re.sub(r"(?m)^#.*\n", "", (FOLDER / "Dockerfile").read_text()).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, arguments) for name, arguments in lines]


def copied() -> list[str]:
    """What is copied from the repository."""
    return [
        source
        for name, arguments in instructions()
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]


def test_the_image_is_slim_and_its_user_is_not_root() -> None:
    given = instructions()
    bases = [arguments.split()[0] for name, arguments in given if name == "FROM"]
    assert set(bases) == {"python:3.11-slim"}
    users = [arguments for name, arguments in given if name == "USER"]
    assert users == ["10001:10001"]
    # Nothing is installed by that user, nor changed after it.
    assert {name for name, _ in given[given.index(("USER", users[0])) + 1 :]} <= {"WORKDIR", "CMD"}


def test_the_launcher_finds_folders_that_the_user_owns() -> None:
    [line] = [arguments for name, arguments in instructions() if "mkdir" in arguments]
    commands = [command.strip() for command in line.split("&&")]
    assert {"mkdir /gcs /minio /s3", "chown 10001:10001 /gcs /minio /s3"} < set(commands)


def test_versions_are_the_locked_ones() -> None:
    installs = [
        command
        for name, arguments in instructions()
        if name == "RUN"
        for command in re.split(r"&&|\|\|", arguments)
        if "pip install" in command
    ]
    assert len(installs) == 4
    for command in installs:
        assert re.search(r"--(requirement|constraint) requirements.lock|\.whl|uv==", command)
    makefile = (ROOT / "Makefile").read_text()
    [version] = re.findall(r"(?m)^UV_VERSION := (.+)$", makefile)
    assert ("ARG", f"UV_VERSION={version}") in instructions()
    [compiled] = re.findall(r"(?m)^export UV_COMPILE_BYTECODE := (.+)$", makefile)
    assert ("ENV", f"UV_COMPILE_BYTECODE={compiled}") in instructions()


def test_what_is_copied_is_there_and_not_ignored() -> None:
    patterns = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in patterns if line.startswith("!")}
    assert set(copied()) == kept
    assert set(PACKAGES) < kept
    for source in copied():
        assert (ROOT / source).exists()


@pytest.mark.slow
def test_the_wheel_has_every_module_and_the_command(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in set(copied()) - {"requirements.lock"}:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", tmp_path, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [entry_points] = [name for name in names if fnmatch(name, "*/entry_points.txt")]
        assert "adarec = adarec_tf.cli:main" in archive.read(entry_points).decode()
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= names


def test_the_volume_is_given_to_the_images_user() -> None:
    text = (ROOT / "pipeline" / "kubeflow" / "kubernetes" / "volume.yaml").read_text()
    claim, job = yaml.safe_load_all(text)
    assert claim["kind"] == "PersistentVolumeClaim"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    pod = job["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    [container] = pod["containers"]
    assert "chown 10001:10001 /mnt/adarec" in container["command"][-1]


@pytest.mark.slow
def test_the_image_builds() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip("there is no Docker daemon")
    done = subprocess.run(
        ["make", "image", "IMAGE=adarec-tf:test"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    run = [docker, "run", "--rm", "adarec-tf:test"]
    shown = subprocess.run([*run, "adarec", "--version"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert subprocess.run([*run, "id", "-u"], capture_output=True, text=True).stdout == "10001\n"
