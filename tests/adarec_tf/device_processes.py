"""Processes that train, alone or as workers of one cluster."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def cluster(ports: list[int], index: int) -> str:
    addresses = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def start(
    script: Path, devices: str, folder: Path, name: str, tf_config: str | None = None
) -> subprocess.Popen:
    """Starts a script with these arguments; its errors go to `<folder>/<name>.err`."""
    variables = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
    variables["PYTHONPATH"] = str(ROOT)
    if tf_config is not None:
        variables["TF_CONFIG"] = tf_config
    command = [sys.executable, str(script), devices, str(folder), name]
    return subprocess.Popen(command, env=variables, stderr=(folder / f"{name}.err").open("w"))


def start_workers(script: Path, folder: Path, names: Sequence[str]) -> list[subprocess.Popen]:
    """Starts a script as the workers of a cluster; the first is the chief."""
    ports = free_ports(len(names))
    return [
        start(script, "one", folder, name, cluster(ports, index))
        for index, name in enumerate(names)
    ]


def wait(processes: Sequence[subprocess.Popen], folder: Path) -> None:
    """Waits until all have ended, and fails with their errors if one did not end well."""
    try:
        codes = [process.wait(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0] * len(codes), [path.read_text()[-2000:] for path in folder.glob("*.err")]


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
