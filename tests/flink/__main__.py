"""A Flink cluster on this machine, of one JobManager and two TaskManagers.

    python -m tests.flink

fetches what is not there (Flink by pip, Beam's job server by Maven), starts the cluster, prints the
arguments that have Beam stages run on it, and stops it on SIGINT or SIGTERM. A second one needs a
port and a folder of its own.
"""

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.flink.cluster import FlinkCluster, check_port_is_free
from tests.flink.distribution import DEFAULT_FOLDER, fetch

DEFAULT_PORT = 8081


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until a signal; or only fetches."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.flink",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="of jars and logs")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="of Flink's page and REST")
    parser.add_argument("--host", default="localhost", help="where all ports listen")
    parser.add_argument("--task-managers", type=int, default=2)
    parser.add_argument("--fetch-only", action="store_true")
    options = parser.parse_args(arguments)
    try:
        if options.port and not options.fetch_only:
            check_port_is_free(options.host, options.port)  # before the download
        found = fetch(options.folder)
        if options.fetch_only:
            return 0
        where = (options.task_managers, options.port, options.host)
        _wait_in(FlinkCluster(found, options.folder / "run", *where))
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _wait_in(cluster: FlinkCluster) -> None:
    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    with cluster:
        processes = {name: process.pid for name, process in cluster.processes.items()}
        print(f"Flink runs at http://{cluster.address} as {json.dumps(processes)}.")
        print("Ctrl-C stops it. The Beam stages of a run go there with")
        arguments = shlex.quote(shlex.join(cluster.beam_arguments))
        print(f"  adarec run --beam-args {arguments}", flush=True)
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
