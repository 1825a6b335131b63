"""The codes of the embedded server: the stock server's, but for a table of differences."""

from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2

from serving.local_server import serve
from tests.serving.codes import COMMON, DIFFERENCES, code_of, differences_table

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "serving.md"


@pytest.fixture(scope="module")
def channel(bundle, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("models")
    (model_dir / "3").symlink_to(bundle(3), target_is_directory=True)
    with serve(model_dir, port=0) as server, grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
def good(predict_request) -> predict_pb2.PredictRequest:
    return predict_request()


@pytest.mark.parametrize("case", COMMON, ids=lambda case: case.what)
def test_a_code_is_the_stock_servers(channel, good, case):
    assert code_of(channel, case.make, good) == case.code


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.what)
def test_a_difference_is_the_one_in_the_table_and_changes_nothing(channel, good, row):
    assert code_of(channel, row.make, good) == row.embedded != row.stock
    assert code_of(channel, COMMON[0].make, good) == "OK"


def test_the_guide_has_the_table():
    assert differences_table() in GUIDE.read_text("utf-8")
