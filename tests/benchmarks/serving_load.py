"""Throughput and latency of the embedded server under 1 to 64 clients, without and with batching.

    python tests/benchmarks/serving_load.py --name beauty --bundle runs/beauty/serving/student/1

Closed loop: each client has a connection of its own and one request under way. Server and clients
are two processes on one machine, and share its cores. Writes `results/serving_load_<name>.json`
and a picture of it in `docs/images`; `--smoke` measures briefly and writes nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import matplotlib
from server_process import running_server
from stored_results import RESULTS, ROOT, markdown, provenance, write_result
from system_tables import serving_load

matplotlib.use("Agg")
from matplotlib import pyplot as plt

CLIENTS = (1, 2, 4, 8, 16, 32, 64)
CONFIGURATIONS = {"one by one": [], "batched": ["--batch-rows", "64", "--batch-wait-ms", "2"]}


def measure(
    bundle: Path, options: list[str], clients: tuple[int, ...], seconds: float
) -> list[Any]:
    """One server, asked by one number of clients after the other."""
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(bundle, Path(folder), options) as server,
    ):
        command = [sys.executable, str(Path(__file__).parent / "closed_loop.py")]
        command += ["--server", server.address, "--bundle", str(bundle)]
        command += ["--clients", *map(str, clients), "--seconds", str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
            for line in asking.stdout or ():
                rows.append({**json.loads(line), "memory_mib": round(server.memory_mib(), 1)})
                print(rows[-1], flush=True)
        if asking.returncode:
            raise RuntimeError(f"The clients ended with {asking.returncode}.")
    return rows


def draw(curves: dict[str, list[Any]], path: Path) -> None:
    """Throughput and latency over the number of clients."""
    figure, (throughput, latency) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for number, (name, rows) in enumerate(curves.items()):
        clients = [row["clients"] for row in rows]
        color = f"C{number}"
        throughput.plot(
            clients, [row["requests_per_s"] for row in rows], "o-", color=color, label=name
        )
        for key, style in (("p50_ms", "-"), ("p99_ms", "--"), ("p999_ms", ":")):
            label = f"{name}, {key.removesuffix('_ms')}"
            latency.plot(clients, [row[key] for row in rows], style, color=color, label=label)
    throughput.set(xscale="log", xlabel="clients", ylabel="requests a second", ylim=(0, None))
    latency.set(xscale="log", yscale="log", xlabel="clients", ylabel="latency, ms")
    for axes in (throughput, latency):
        axes.set_xticks(clients, [str(count) for count in clients])
        axes.minorticks_off()
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measures, prints, draws and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="a pushed version")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--smoke", action="store_true", help="two points of a second each")
    options = parser.parse_args()
    clients, seconds = ((1, 8), 1.0) if options.smoke else (CLIENTS, options.seconds)
    curves = {
        name: measure(options.bundle.resolve(), server_options, clients, seconds)
        for name, server_options in CONFIGURATIONS.items()
    }
    print(markdown(serving_load("", {"curves": curves})))
    if options.smoke:
        draw(curves, Path(tempfile.mkdtemp()) / "smoke.png")
        return
    draw(curves, ROOT / "docs" / "images" / f"serving_load_{options.name}.png")
    command = f"python tests/benchmarks/serving_load.py --name {options.name}"
    command += f" --bundle <version> --seconds {options.seconds}"
    result = {**provenance(command.split(), ["grpcio", "tensorflow"]), "curves": curves}
    write_result(RESULTS / f"serving_load_{options.name}.json", result)


if __name__ == "__main__":
    main()
