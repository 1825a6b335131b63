import json
import subprocess
import sys
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.validation import (
    RecommendRequest,
    main,
    read_requests,
    validate_bundle,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def requests_file(tmp_path):
    path = tmp_path / "requests.json"
    requests = [
        {"history": ["i1", "i2"], "k": 2, "exclude_seen": True},
        {"history": [], "k": 1, "exclude_seen": False},
    ]
    path.write_text(json.dumps(requests))
    return path


def run(bundle, requests, output, *more) -> int:
    files = ["--bundle", str(bundle), "--requests", str(requests), "--output", str(output)]
    return main([*files, *more])


def test_a_good_bundle_is_served_asked_and_stopped(bundle, requests_file, tmp_path):
    output = tmp_path / "answers.json"
    assert run(bundle(0), requests_file, output) == 0
    assert json.loads(output.read_text()) == [
        [{"item_id": "i3", "score": 6.0}, {"item_id": "i4", "score": 5.0}],
        [{"item_id": "i1", "score": 8.0}],
    ]


def test_a_broken_bundle_fails_with_the_servers_reason(requests_file, tmp_path, capsys):
    (tmp_path / "bundle").mkdir()
    output = tmp_path / "answers.json"
    assert run(tmp_path / "bundle", requests_file, output) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: The bundle cannot be served: ")
    assert "has no saved_model.pb" in error
    assert not output.exists()


def test_a_failing_request_is_named(bundle):
    requests = [RecommendRequest(["i1"], 1, True), RecommendRequest(["broken"], 1, True)]
    with pytest.raises(
        ServingError, match=r"Request 1 failed: .*refused: assertion failed: \[A broken item"
    ):
        validate_bundle(bundle(0), requests)


@pytest.mark.slow
def test_the_time_limit_ends_the_process(bundle, requests_file, tmp_path):
    command = [sys.executable, "-m", "serving.validation", "--bundle", str(bundle(0))]
    command += ["--requests", str(requests_file), "--output", str(tmp_path / "answers.json")]
    done = subprocess.run(
        [*command, "--time-limit-s", "0.01"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: The bundle should be loaded, answer and")
    assert not (tmp_path / "answers.json").exists()


def test_a_missing_bundle_is_refused(requests_file, tmp_path, capsys):
    assert run(tmp_path / "nowhere", requests_file, tmp_path / "answers.json") == 1
    assert "The bundle should be a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "should hold a list of requests, .*Invalid JSON"),
        ("[]", "at least one request"),
        ('[{"history": []}]', r"with history, k and exclude_seen alone.* at \[0\]\[k\]:"),
        ('[{"history": [], "k": "1", "exclude_seen": true}]', r"at \[0\]\[k\]: '1'"),
        ('[{"history": [], "k": 1, "exclude_seen": true, "z": 1}]', r"at \[0\]\[z\]: 1"),
    ],
)
def test_requests_of_another_form_are_refused(tmp_path, text, message):
    path = tmp_path / "requests.json"
    path.write_text(text)
    with pytest.raises(ServingError, match=message):
        read_requests(path)
    with pytest.raises(ServingError, match="should be a file of requests"):
        read_requests(tmp_path / "nowhere")
