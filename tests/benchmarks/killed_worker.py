"""A TaskManager of Flink killed in the middle of a preprocessing: does the job finish as it should?

    python tests/benchmarks/killed_worker.py --rows 4e6

makes a log as `preprocessing_speed.py` does and preprocesses it by the embedded runner, then on a
Flink cluster of a JobManager and two TaskManagers. SIGKILL takes one of the two at each of the
moments of `MOMENTS`, every time in a job of its own, as soon as tasks run on both and the step has
begun to write; the other one does what is left. The bytes of every file are compared with those of
the embedded runner. What was running, and the failures after which Flink started tasks anew, are in
`tests/benchmarks/results/killed_worker.json`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
# Before Beam, whose imports put another package `tests` on the path.
from tests.flink.cluster import FlinkCluster
from tests.flink.distribution import DEFAULT_FOLDER, FLINK_VERSION, fetch

sys.path.insert(0, str(Path(__file__).parent))

from beam_runners import EMBEDDED_RUNNERS, PACKAGES, REFERENCE, store, summary
from preprocessing_speed import generate
from stored_results import RESULTS, ROOT, provenance

PATH = RESULTS / "killed_worker.json"
# Of a step, what its first element leaves in the output.
MOMENTS = {
    "blocks are cut by user": "sequences/scratch/data_parquet-*",
    "partitions are sorted": "sequences/scratch/partition-*-ordered",
    "shards are written": "sequences/Split-train/part-*",
}
POLL_S = 0.02
TIMEOUT_S = 900


def start(
    log: Path, output: Path, beam_args: tuple[str, ...], found: Path, screen: Path
) -> subprocess.Popen[bytes]:
    """Starts a preprocessing in a process of its own: it sees the kill from outside."""
    script = str(Path(__file__).with_name("preprocessed_files.py"))
    files = ("--log", str(log), "--output", str(output), "--result", str(found))
    with screen.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, script, *files, "--", *beam_args],
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def run_and_kill(
    flink: FlinkCluster, log: Path, output: Path, moment: str, log_file: Path
) -> dict[str, Any]:
    """Runs the job, kills TaskManager 0 at the moment, waits for the end; gives what was seen."""
    found = output.with_suffix(".json")
    shutil.rmtree(output, ignore_errors=True)
    process = start(log, output, flink.beam_arguments, found, log_file)
    try:
        running = _await_moment(flink, process, output, MOMENTS[moment])
        flink.kill_task_manager(0)
        files_at_kill = len([*output.glob(MOMENTS[moment])])
        if code := process.wait(timeout=TIMEOUT_S):
            raise ChildProcessError(f"The job ended with {code}; see {log_file}.")
    finally:
        process.kill()
    job = running.pop("job")
    exceptions = flink.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
    return {
        "files_of_the_step_at_the_kill": files_at_kill,
        **running,
        "state_in_the_end": flink.get(f"/jobs/{job}")["state"],
        "failures_as_flink_tells": [entry["stacktrace"].partition(":")[0] for entry in exceptions],
        **json.loads(found.read_text()),
    }


def _await_moment(
    flink: FlinkCluster, process: subprocess.Popen[bytes], output: Path, pattern: str
) -> dict[str, Any]:
    """Waits until the step has left a file and tasks run on both TaskManagers."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        if any(output.glob(pattern)):
            tasks = _running_tasks(flink)
            if tasks and len(tasks["tasks_running_by_task_manager"]) == 2:
                return tasks
        time.sleep(POLL_S)
    raise TimeoutError(f"{pattern} should appear while both TaskManagers run tasks.")


def _running_tasks(flink: FlinkCluster) -> dict[str, Any] | None:
    """The running job, and the number of its running tasks by TaskManager."""
    running = [job for job, state in flink.jobs().items() if state == "RUNNING"]
    if not running:
        return None
    tasks = flink.tasks(running[-1], "RUNNING")
    by_task_manager = {place: len(names) for place, names in tasks.items()}
    return {"job": running[-1], "tasks_running_by_task_manager": by_task_manager}


def main() -> None:
    """Measures, stores and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=4e6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", nargs="+", choices=MOMENTS, default=list(MOMENTS))
    parser.add_argument("--folder", type=Path, default=Path("build/killed_worker"))
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"log-{options.rows:.0e}-{options.seed}.parquet"
    if not log.exists():
        generate(log, int(options.rows), options.seed)
    screen = folder / "jobs.log"
    reference = folder / "reference.json"
    embedded = ("--runner=FnApiRunner", *EMBEDDED_RUNNERS[REFERENCE])
    screen.unlink(missing_ok=True)
    process = start(log, folder / "reference", embedded, reference, screen)
    if code := process.wait():
        raise ChildProcessError(f"The embedded runner ended with {code}; see {screen}.")
    expected = json.loads(reference.read_text())["files"]
    with FlinkCluster(fetch(DEFAULT_FOLDER), folder / "flink") as flink:
        for moment in options.moments:
            row = run_and_kill(flink, log, folder / "output", moment, screen)
            files = row.pop("files")
            row |= {**summary(files), "same_bytes_as_the_embedded_runner": files == expected}
            command = ["python", "tests/benchmarks/killed_worker.py"]
            command += ["--rows", f"{options.rows:.0e}", "--seed", str(options.seed)]
            made = provenance(command, PACKAGES)
            made["versions"]["flink"] = FLINK_VERSION
            store(options.output, f"killed while {moment}", {**made, **row})
            print(moment, json.dumps(row, indent=2), flush=True)
            flink.start_task_manager(0)
            flink.await_task_managers()


if __name__ == "__main__":
    main()
