"""The embedded server under load: swaps of versions, SIGTERM, and memory over many requests.

    python tests/benchmarks/hot_swaps.py --name beauty --bundle runs/beauty/serving/student/1

1. Twenty-five versions are published while clients ask: no request may fail, and no client may see
   a version go back.
2. SIGTERM while clients ask until they are refused: every request the server answered has reached
   its client (the server's access log is compared with the clients' answers), and it exits with 0.
3. Resident memory over 200,000 requests.

Writes `results/hot_swaps_<name>.json`; `--smoke` does a little of each and writes nothing.
"""

import argparse
import asyncio
import collections
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from closed_loop import Answer, ask_in_a_loop, read_requests, run_clients
from server_process import ServerProcess, publish, running_server
from stored_results import RESULTS, provenance, write_result

SCRIPT = "tests/benchmarks/hot_swaps.py"
NUM_CLIENTS = 8


def count_codes(answers: list[list[Answer]]) -> dict[str, int]:
    """How many requests ended how."""
    return dict(collections.Counter(answer.code for own in answers for answer in own))


def goes_back(answers: list[Answer]) -> bool:
    """Whether a client saw an older version after a newer one."""
    versions = [answer.version for answer in answers if answer.code == "OK"]
    return versions != sorted(versions)


def swap(bundle: Path, requests: list[bytes], num_swaps: int) -> dict[str, Any]:
    """Publishes versions under load."""

    async def publish_under_load(server: ServerProcess) -> list[list[Answer]]:
        stop = asyncio.Event()
        answers: list[list[Answer]] = [[] for _ in range(NUM_CLIENTS)]
        clients = [
            asyncio.create_task(ask_in_a_loop(server.address, requests, stop, own))
            for own in answers
        ]
        for version in range(2, num_swaps + 2):
            await asyncio.to_thread(publish, bundle, server.model_dir, version)
            while not all(own and own[-1].version == version for own in answers):
                await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*clients)
        return answers

    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(bundle, Path(folder), ["--poll-interval-s", "0.2"]) as server,
    ):
        answers = asyncio.run(publish_under_load(server))
        return {
            "swaps": num_swaps,
            "clients": NUM_CLIENTS,
            "codes": count_codes(answers),
            "clients_that_saw_a_version_go_back": sum(map(goes_back, answers)),
            "longest_answer_ms": round(max(a.seconds for own in answers for a in own) * 1000, 1),
        }


def terminate(bundle: Path, requests: list[bytes], seconds: float) -> dict[str, Any]:
    """Stops the server under load and compares what both sides saw."""

    async def ask_until_refused(server: ServerProcess) -> list[list[Answer]]:
        answers: list[list[Answer]] = [[] for _ in range(NUM_CLIENTS)]
        clients = [
            asyncio.create_task(
                ask_in_a_loop(server.address, requests, asyncio.Event(), own, until_refused=True)
            )
            for own in answers
        ]
        await asyncio.sleep(seconds)
        stopping = asyncio.to_thread(server.stop)
        await asyncio.gather(stopping, *clients)
        return answers

    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as log:
        with running_server(bundle, Path(folder), ["--access-log", log.name]) as server:
            answers = asyncio.run(ask_until_refused(server))
            exit_code = server.process.returncode
        lines = [json.loads(line) for line in Path(log.name).read_text().splitlines()]
    codes = count_codes(answers)
    return {
        "clients": NUM_CLIENTS,
        "codes": codes,
        "answered_by_the_server": sum(line["code"] == "OK" for line in lines),
        "lost_answers": sum(line["code"] == "OK" for line in lines) - codes["OK"],
        "exit_code": exit_code,
    }


def watch_memory(bundle: Path, requests: list[bytes], num_requests: int) -> dict[str, Any]:
    """Resident memory after every tenth of the requests."""
    samples: list[dict[str, float]] = []
    num_done = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(bundle, Path(folder)) as server,
    ):
        while num_done < num_requests:
            part = 0
            while part < num_requests / 10:
                answers = asyncio.run(run_clients(server.address, requests, NUM_CLIENTS, 1.0))
                part += count_codes(answers)["OK"]
            num_done += part
            samples.append({"requests": num_done, "memory_mib": round(server.memory_mib(), 1)})
            print(samples[-1], flush=True)
    # The first tenth still fills caches and thread-local pools.
    growth = samples[-1]["memory_mib"] - samples[0]["memory_mib"]
    return {"samples": samples, "growth_after_the_first_tenth_mib": round(growth, 1)}


def main() -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="a pushed version")
    parser.add_argument("--swaps", type=int, default=25)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    num_swaps, num_requests = (2, 200) if options.smoke else (options.swaps, options.requests)
    bundle = options.bundle.resolve()
    requests = read_requests(bundle, "student")
    result: dict[str, Any] = {"swaps": swap(bundle, requests, num_swaps)}
    print(result["swaps"], flush=True)
    result["sigterm"] = terminate(bundle, requests, 1.0 if options.smoke else 5.0)
    print(result["sigterm"], flush=True)
    result["memory"] = watch_memory(bundle, requests, num_requests)
    print(result["memory"]["growth_after_the_first_tenth_mib"], "MiB of growth")
    if not options.smoke:
        command = f"python {SCRIPT} --name {options.name} --bundle <version>"
        command += f" --swaps {options.swaps} --requests {options.requests}"
        stored = {**provenance(command.split(), ["grpcio", "tensorflow"]), **result}
        write_result(RESULTS / f"hot_swaps_{options.name}.json", stored)


if __name__ == "__main__":
    main()
