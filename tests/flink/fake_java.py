"""A Java whose JobManager answers as Flink's does when two TaskManagers have registered.

WORDS in the environment is what it answers instead.
"""

import http.server
import os
import signal
import sys
from pathlib import Path

TASK_MANAGERS = '{"taskmanagers": [{"id": "a"}, {"id": "b"}]}'


class Rest(http.server.BaseHTTPRequestHandler):
    """The REST interface."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("WORDS", TASK_MANAGERS).encode())

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    """Runs until a signal."""
    [*_, main_class, _, folder] = sys.argv
    if "StandaloneSession" not in main_class:
        signal.pause()
    lines = (Path(folder) / "flink-conf.yaml").read_text().splitlines()
    settings = dict(line.split(": ", 1) for line in lines)
    address = (settings["rest.bind-address"], int(settings["rest.port"]))
    http.server.HTTPServer(address, Rest).serve_forever()


if __name__ == "__main__":
    main()
