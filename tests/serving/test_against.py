"""The command that tries any server, tried: a good server passes, and bad ones do not."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from serving import batching
from serving.loaded_model import LoadedModel, SignatureCall
from serving.local_server import serve
from serving.served_models import ServedModels
from tests.serving import against, fuzzing


@pytest.fixture
def model_dir(contract_bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(contract_bundle, tmp_path / "student" / "1")
    return tmp_path / "student"


@pytest.fixture
def address(model_dir: Path) -> Iterator[str]:
    with serve(model_dir, port=0, poll_interval_s=0.1) as server:
        yield server.address


@pytest.mark.slow
def test_the_embedded_server_passes_and_its_folder_is_left_as_it_was(
    address: str, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--clients", "4", "--seconds", "1", "--bad-requests", "40", "--swaps", "2"]
    status = against.main([address, "--model-dir", str(model_dir), *options])
    outcome = json.loads(capsys.readouterr().out)
    failed = [part for part in outcome.values() if isinstance(part, dict) and not part["passed"]]
    assert (failed, status, outcome["passed"], outcome["left_out"]) == ([], 0, True, [])
    assert outcome["contract"]["tests"] > 40
    assert outcome["codes"]["wrong"] == {}
    assert sum(outcome["bad_requests"]["codes"].values()) >= 40
    assert "is damaged" in outcome["swaps"]["why_the_broken_version_is_refused"]
    assert [path.name for path in model_dir.iterdir()] == ["1"]


def test_swaps_that_are_left_out_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("contract", "codes", "bad_requests", "load"):
        passed = part != "codes"
        monkeypatch.setattr(against, f"run_{part}", lambda *_, ok=passed: {"passed": ok})
    assert against.main(["nowhere:1"]) == 1
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["left_out"] == ["swaps: --model-dir is not given"]
    assert not outcome["passed"]


def pad_as_the_stock_server(arrays: list[np.ndarray]) -> np.ndarray:
    """With `pad_variable_length_inputs`: on the right, with a row's own first item."""
    width = max(array.shape[-1] for array in arrays)
    rows = [[*row, *[row[0]] * (width - len(row))] for array in arrays for row in array.tolist()]
    return np.array(rows, object)


def test_answers_that_are_wrong_only_in_a_batch_are_found(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    join_rows, run, requests = batching._join_rows, LoadedModel.run, against.load_requests()

    def join(arrays: list[np.ndarray]) -> np.ndarray:
        is_even = len({array.shape[1:] for array in arrays}) == 1
        return join_rows(arrays) if is_even else pad_as_the_stock_server(arrays)

    def run_slowly(model: LoadedModel, call: SignatureCall) -> dict[str, np.ndarray]:
        time.sleep(0.02)  # so that requests meet
        return run(model, call)

    embed = [request for request in requests if request.model_spec.signature_name == "embed"]
    monkeypatch.setattr(against, "load_requests", lambda: embed)
    monkeypatch.setattr(LoadedModel, "run", run_slowly)
    with serve(model_dir, port=0, batch_rows=16, batch_wait_ms=1000) as server:
        assert against.run_load(server.address, 8, 2.0)["passed"]
        monkeypatch.setattr(batching, "_join_rows", join)
        outcome = against.run_load(server.address, 8, 2.0)
    assert not outcome["passed"]
    assert outcome["wrong_answers"]["embed"] > 0


def test_a_code_that_neither_server_has_is_found(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert against.run_codes(address)["passed"]
    monkeypatch.setattr(ServedModels, "statuses", None)  # gRPC answers UNKNOWN then
    outcome = against.run_codes(address)
    assert not outcome["passed"]
    assert "GetModelStatus with an unknown label" in outcome["wrong"]


def test_an_answer_that_bad_requests_changed_is_found(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ask, asked = LoadedModel.run, fuzzing.ask, []

    def run_badly(model: LoadedModel, call: SignatureCall) -> dict[str, np.ndarray]:
        return {name: array[:, :: -1 if asked else 1] for name, array in run(model, call).items()}

    def ask_and_break(channel: grpc.Channel, request: bytes) -> grpc.StatusCode:
        asked.append(request)
        return ask(channel, request)

    monkeypatch.setattr(LoadedModel, "run", run_badly)
    monkeypatch.setattr(fuzzing, "ask", ask_and_break)
    with serve(model_dir, port=0) as server:
        outcome = against.run_bad_requests(server.address, 20)
    assert (outcome["passed"], outcome["answers_as_before"]) == (False, False)
