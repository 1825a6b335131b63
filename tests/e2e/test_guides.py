"""The commands of README and guides, typed as they stand, in a folder with a log of one's own.

A program in place of `adarec` trains shortly and blesses any student: what is tried here is that
the commands do what the pages say, one after the other.
"""

import csv
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adarec_tf.export.versions import find_versions
from tests.e2e.conftest import COLUMNS, ROOT, environment

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(
        "ADAREC_GUIDES" not in os.environ,
        reason="types all commands of the guides: set ADAREC_GUIDES=1",
    ),
]

# Read in this order: what a page makes, another one goes on with.
PAGES = (
    "README.md",
    *(
        f"docs/guides/{name}.md"
        for name in (
            *("own-log", "recipe", "report", "budgets", "teachers", "small-tables"),
            *("daily-runs", "watch", "serving", "kubeflow"),
        )
    ),
)
# Programs that are not tried here: the tests are started by `make`, and a container needs Docker.
OTHERS = ("make", "docker", "pip")
# The server of Docker's line; `docs/guides/serving.md` and README ask it.
OF_DOCKER = ".venv/bin/adarec recommend --server localhost:8500 --history a,b,c --k 10"
ALSO_FINE = {".venv/bin/adarec watch": (10, 20)}
SHORT = (
    *("training.max_epochs=2", "search.max_epochs=2", "search.warmup_epochs=1"),
    *("distillation.max_epochs=2", "search.num_evaluations=2"),
    *("evaluation.min_teacher_ndcg_share=0",),
)
# The README's names of the columns, and the default ones.
NAMES = (("visitor", "product", "ts"), ("user_id", "item_id", "timestamp"))


def commands(page: str) -> list[str]:
    """The commands of a page; what a shell reads as one, such as an `if`, is one."""
    blocks = re.findall(r"```shell\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    found: list[str] = []
    for block in blocks:
        lines = block.replace("\\\n", " ").splitlines()
        if any(line.startswith("if ") for line in lines):
            found.append(block)
            continue
        found += [line for line in lines if line and line.split()[0] not in OTHERS]
    return [line for line in found if line != OF_DOCKER]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, raw_log: Path) -> Path:
    """A shop's folder: its log, whole and by days, and what the pages say one may have."""
    root = tmp_path_factory.mktemp("shop")
    program = root / ".venv" / "bin" / "adarec"
    program.parent.mkdir(parents=True)
    settings = " ".join(f"--set {setting}" for setting in SHORT)
    program.write_text(
        "#!/bin/sh\n"
        f"python='{sys.executable} -m adarec_tf'\n"
        'case "$*" in\n'
        f'*--recipe*|*--scene*) short="{settings}" ;;\n'
        f'*) short="--effort quick {settings}" ;;\n'
        "esac\n"
        'if [ "$1" = run ]; then shift; exec $python run $short "$@"; fi\n'
        'exec $python "$@"\n'
    )
    program.chmod(0o755)
    write_logs(root, raw_log)
    shutil.copy(ROOT / "serving" / "model_server" / "models.config", root)
    config = (
        (root / "models.config").read_text().replace("/models", str(root / "runs/sample/serving"))
    )
    (root / "models.config").write_text(config)
    subprocess.run(
        shlex.split("openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=localhost")
        + shlex.split("-addext subjectAltName=DNS:localhost -keyout server.key -out server.pem"),
        cwd=root,
        check=True,
        capture_output=True,
    )
    return root


def write_logs(root: Path, raw_log: Path) -> None:
    with raw_log.open(newline="") as file:
        rows = [[row[name] for name in COLUMNS[1::2]] for row in csv.DictReader(file)]

    def write(path: Path, later: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([name for names in NAMES for name in names])
            for user, item, time in rows:
                row = (user, item, int(time) + later)
                writer.writerow([*row, *row])

    write(root / "events.csv")
    write(root / "interactions.csv")
    for name in ("events.csv", "interactions.csv"):
        subprocess.run(["gzip", "--keep", name], cwd=root, check=True)
    length = max(int(time) for *_, time in rows)
    for number, day in enumerate(("2026-11-29", "2026-11-30")):
        write(root / "logs" / day / "events.csv", number * length)
    items = sorted({item for _, item, _ in rows})
    (root / "movies.csv").write_text("".join(f"{item},The {item}\n" for item in items))


def serve_for_a_moment(command: str, folder: Path) -> None:
    """Types a command that runs until Ctrl-C."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[0]
    assert line.startswith("Serving "), line + rest
    assert process.returncode == 0, rest


def before(page: str, folder: Path) -> None:
    """What the reader of a page has done already."""
    runs = folder / "runs"
    if page.endswith("report.md"):
        for day in ("monday", "tuesday"):
            shutil.copytree(runs / "events", runs / day)
    if page.endswith("watch.md"):
        next_day(folder / "logs")
    if page.endswith("serving.md"):
        shutil.copytree(runs / "events", runs / "sample")
        versions = runs / "sample" / "serving" / "student"
        numbers = find_versions(versions)
        for number in {3, max(numbers) + 3} - set(numbers):
            shutil.copytree(versions / str(numbers[-1]), versions / str(number))
        versions.touch()  # as the last push does


def next_day(logs: Path) -> None:
    """A further day, like the one before it."""
    with (logs / "2026-11-30" / "events.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    times = [int(row[-1]) for row in rows]
    length = max(times) - min(times) + 1
    (logs / "2026-12-01").mkdir()
    with (logs / "2026-12-01" / "events.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for row, time in zip(rows, times, strict=True):
            later = time + length
            writer.writerow([*row[:2], later, *row[3:5], later])


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(folder: Path, page: str) -> None:
    before(page, folder)
    typed = commands(page)
    assert typed
    in_background = ""
    for command in typed:
        if command.startswith(".venv/bin/adarec serve") and not command.endswith("&"):
            serve_for_a_moment(command.partition("#")[0], folder)
            continue
        if command.endswith("&"):
            in_background = command
            continue
        # A shell of its own has what was left in the background, and ends it.
        text = f"{in_background}\n{command}\nstatus=$?\nkill $(jobs -p) 2>/dev/null\nexit $status"
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=1800,
        )
        fine = next((codes for start, codes in ALSO_FINE.items() if command.startswith(start)), ())
        assert done.returncode in (0, *fine), f"{command}\n{done.stdout[-2000:]}{done.stderr}"
