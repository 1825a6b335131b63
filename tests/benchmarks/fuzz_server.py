"""Many requests of every kind of wrongness to a server: no crash, no hang, a telling code each.

    python tests/benchmarks/fuzz_server.py --bundle runs/beauty/serving/student/1 --examples 20000

Ends with the number of requests by code; a request that breaks the rule ends it with an error.
"""

import argparse
import collections
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))

import fuzzing
import grpc
from closed_loop import read_requests
from hypothesis import HealthCheck, given, settings
from server_process import running_server
from tensorflow_serving.apis import predict_pb2


def main() -> None:
    """Asks and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="a pushed version")
    parser.add_argument("--examples", type=int, default=20_000)
    options = parser.parse_args()
    bundle = options.bundle.resolve()
    good = predict_pb2.PredictRequest.FromString(read_requests(bundle, "student")[0])
    codes: collections.Counter[str] = collections.Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(bundle, Path(folder), ["--batch-rows", "8"]) as server,
        grpc.insecure_channel(server.address) as channel,
    ):

        @settings(
            max_examples=options.examples, deadline=None, suppress_health_check=list(HealthCheck)
        )
        @given(fuzzing.requests(good))
        def ask(request: bytes) -> None:
            code = fuzzing.ask(channel, request)
            codes[code.name] += 1
            assert code == grpc.StatusCode.OK or code in fuzzing.TELLING_CODES

        ask()
        assert fuzzing.ask(channel, good.SerializeToString()) == grpc.StatusCode.OK
        assert server.stop() == 0
    print(dict(codes))


if __name__ == "__main__":
    main()
