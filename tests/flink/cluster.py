"""A standalone Flink cluster of one JobManager and some TaskManagers, each a process here.

Each TaskManager starts a worker of Python for a job, a process beside it: Beam's environment
PROCESS. A job goes on when a TaskManager is lost: what it had to do is done anew by another, whose
slots wait for that.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psutil

from tests.flink.distribution import Distribution, find_program

_START_WORKER = Path(__file__).with_name("start_worker.sh")
_MAIN = {
    "jobmanager": "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
    "taskmanager": "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
}
# https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/deployment/config/
_SETTINGS: dict[str, str | int | float] = {
    # One could do what two do.
    "taskmanager.numberOfTaskSlots": 2,
    "cluster.evenly-spread-out-slots": "true",
    # A busy TaskManager may be silent for some seconds.
    "heartbeat.interval": 2000,
    "heartbeat.timeout": 30000,
    # Until a silent one is known to be lost, each new attempt may meet it again.
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 6,
    "restart-strategy.fixed-delay.delay": "8 s",
    # Beam's classes are Flink's own, so that it knows a job's workers again in the next step.
    "classloader.resolve-order": "parent-first",
    # What Flink's own scripts would work out. Rows never travel through Flink: see `block_files`.
    "taskmanager.cpu.cores": 1.0,
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.heap.size": "512m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.network.min": "256m",
    "taskmanager.memory.network.max": "256m",
    "taskmanager.memory.managed.size": "256m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
# Where the processes listen, and where they are told to find one another.
_HOSTS = (
    *("rest.address", "rest.bind-address", "jobmanager.rpc.address", "jobmanager.bind-host"),
    *("taskmanager.host", "taskmanager.bind-host"),
)
_JVM = ("-Xmx768m", "-XX:MaxDirectMemorySize=640m", "-XX:+UseSerialGC")
# Of Java 17, for Flink's own look into classes.
_OPENED = (
    *("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "java.text"),
    *("java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
    *("java.util.concurrent.locks", "sun.nio.ch"),
)
_LOG4J = """rootLogger.level = INFO
rootLogger.appenderRef.err.ref = Err
appender.err.name = Err
appender.err.type = Console
appender.err.target = SYSTEM_ERR
appender.err.layout.type = PatternLayout
appender.err.layout.pattern = %d %-5p %c{1} %m%n
"""


class FlinkCluster:
    """A running cluster; stop it by leaving its `with` block.

    Args:
      distribution: what was fetched.
      folder: gets the configuration and a log of each process.
      num_task_managers: how many there are.
      port: of Flink's REST interface and page; 0 is a free one.
      host: the name or address of this machine at which all ports listen; others cannot reach them
        by default.

    Attributes:
      address: `host:port` of the REST interface.
      processes: by name: `jobmanager`, `taskmanager-0` and so on.

    Raises:
      ValueError: the port or the folder is in use, or the cluster does not start; the message says
        by whom, or which log tells why.
    """

    def __init__(
        self,
        distribution: Distribution,
        folder: Path,
        num_task_managers: int = 2,
        port: int = 0,
        host: str = "localhost",
    ) -> None:
        self._folder = folder.resolve()
        self._distribution = distribution
        self._java = find_program("java")
        self._num_task_managers = num_task_managers
        if port:
            check_port_is_free(host, port)
        rest_port, rpc_port = port or _free_port(host), _free_port(host)
        self.address = f"{host}:{rest_port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: IO[str] | None = None
        ports = {"rest.port": rest_port, "jobmanager.rpc.port": rpc_port}
        self._settings = {**_SETTINGS, **dict.fromkeys(_HOSTS, host), **ports}

    @property
    def beam_arguments(self) -> tuple[str, ...]:
        """What to give to a Beam pipeline that shall run here, on all TaskManagers."""
        return (
            "--runner=FlinkRunner",
            f"--flink_master={self.address}",
            f"--flink_job_server_jar={self._distribution.job_server.resolve()}",
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps({'command': str(_START_WORKER)})}",
            # A worker of Python waits so long for the next step before it ends, and imports
            # TensorFlow when it starts.
            "--environment_cache_millis=60000",
            f"--parallelism={self._num_task_managers}",
        )

    def __enter__(self) -> "FlinkCluster":
        """Starts all processes; returns when every TaskManager has registered."""
        self._lock = self._locked_folder()
        try:
            self._write_configuration()
            self._start_java("jobmanager", _MAIN["jobmanager"])
            for number in range(self._num_task_managers):
                self.start_task_manager(number)
            self.await_task_managers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops what still runs."""
        self.stop()

    def start_task_manager(self, number: int) -> None:
        """Starts a TaskManager; also in place of one that was killed."""
        self._start_java(f"taskmanager-{number}", _MAIN["taskmanager"])

    def kill_task_manager(self, number: int) -> None:
        """SIGKILL: it has no time to say anything to anybody."""
        process = self.processes[f"taskmanager-{number}"]
        process.kill()
        process.wait()

    def get(self, path: str) -> dict[str, Any]:
        """The answer of Flink's REST interface, such as of `/taskmanagers`."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return json.load(answer)

    def jobs(self) -> dict[str, str]:
        """The state of each job, such as RUNNING, by its id; the newest last."""
        jobs = sorted(self.get("/jobs/overview")["jobs"], key=lambda job: job["start-time"])
        return {job["jid"]: job["state"] for job in jobs}

    def tasks(self, job: str, state: str) -> dict[str, list[str]]:
        """The names of a job's tasks in a state, by TaskManager; a step has one on each."""
        found: dict[str, list[str]] = {}
        for step in self.get(f"/jobs/{job}")["vertices"]:
            if step["tasks"][state]:
                for task in self.get(f"/jobs/{job}/vertices/{step['id']}")["subtasks"]:
                    if task["status"] == state:
                        found.setdefault(task["taskmanager-id"], []).append(step["name"])
        return found

    def await_task_managers(self, timeout_s: float = 120) -> None:
        """Returns when as many TaskManagers have registered as there should be.

        Raises:
          ValueError: a process has ended, or the time is over.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise ValueError(
                        f"Flink's {name} should keep running. Received: exit code "
                        f"{process.returncode}; see {self._folder / name}.log."
                    )
            with contextlib.suppress(OSError):  # it does not listen yet
                if len(self._registered()) >= self._num_task_managers:
                    return
            time.sleep(0.5)
        raise ValueError(
            f"Flink's TaskManagers should register within {timeout_s:.0f} s. Received: silence; "
            f"see the logs in {self._folder}."
        )

    def _registered(self) -> list[Any]:
        """The TaskManagers that the JobManager knows.

        Raises:
          ValueError: something else than Flink answers.
        """
        try:
            return self.get("/taskmanagers")["taskmanagers"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"Flink should answer at {self.address}. Received: no answer of Flink's; give "
                "another --port."
            ) from error

    def stop(self) -> None:
        """Ends every process and its children, and lets go of the folder."""
        for process in reversed(self.processes.values()):
            # A group outlives its leader: workers may be left of it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if self._lock is not None:
            self._lock.close()

    def _locked_folder(self) -> IO[str]:
        """The folder's lock, which goes with this process and says which it is."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / ".lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with lock:
                lock.seek(0)
                raise ValueError(
                    f"{self._folder} should have one cluster at a time. Received: that of "
                    f"{lock.read()} runs; stop it, or give another --folder and --port."
                ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} at {self.address}")
        lock.flush()
        return lock

    def _write_configuration(self) -> None:
        for log in self._folder.glob("*.log"):
            log.unlink()
        temporary = self._folder / "temporary"
        temporary.mkdir(exist_ok=True)
        lines = [f"{name}: {value}" for name, value in self._settings.items()]
        lines.append(f"io.tmp.dirs: {temporary}")
        (self._folder / "flink-conf.yaml").write_text("\n".join(lines) + "\n")
        (self._folder / "log4j.properties").write_text(_LOG4J)

    def _start_java(self, name: str, main_class: str) -> None:
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
        log4j = f"-Dlog4j.configurationFile={self._folder / 'log4j.properties'}"
        # In this order: the job server has some of Flink's classes too, and another log.
        jars = (*sorted(self._distribution.lib.iterdir()), self._distribution.job_server)
        path = os.pathsep.join(str(jar.resolve()) for jar in jars)
        command = [self._java, *_JVM, *opened, log4j, "-cp", path, main_class]
        command += ["--configDir", str(self._folder)]
        worker_log = str(self._folder / f"{name}-python.log")
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHON": sys.executable, "WORKER_LOG": worker_log},
                start_new_session=True,
            )


def check_port_is_free(host: str, port: int) -> None:
    """Refuses a port that something listens on.

    Args:
      host: the name or address of this machine.
      port: of it.

    Raises:
      ValueError: it is in use; the message says by which process, where that can be seen.
    """
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ValueError(
            f"Flink should be able to listen at {host}:{port}. Received: {error.strerror}"
            f"{_holder(port)}; stop what listens there, or give another --port."
        ) from error


def _holder(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for listener in psutil.net_connections("tcp"):
            if listener.status == psutil.CONN_LISTEN and listener.laddr.port == port:
                return f" by process {listener.pid} ({psutil.Process(listener.pid).name()})"
    return ""


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
