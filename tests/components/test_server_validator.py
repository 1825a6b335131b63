import re
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import InfraBlessing, Model

from components import server_validator
from components.artifacts import Sequences, Vocabulary
from components.blessings import read_blessing
from components.server_validator import ServerValidator, first_mismatch

ANSWER = [("a", 2.0), ("b", 1.0)]


def validate(
    tmp_path: Path, model: Model, sequences: Sequences, vocabulary: Vocabulary
) -> tuple[bool, list[str]]:
    blessing = InfraBlessing()
    blessing.uri = str(tmp_path / "blessing")
    ServerValidator.test_call(
        model=model,
        sequences=sequences,
        vocabulary=vocabulary,
        blessing=blessing,
        code_fingerprint="",
    )
    return read_blessing(blessing)


@pytest.mark.slow
def test_a_bundle_that_serves_as_in_process_is_blessed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: Model,
    sequences: Sequences,
    vocabulary: Vocabulary,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    is_blessed, reasons = validate(tmp_path, model, sequences, vocabulary)
    assert is_blessed, reasons
    assert reasons == ["A server answers 16 requests as the bundle does in process."]
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.slow
def test_a_bundle_that_cannot_be_loaded_is_not_blessed(
    tmp_path: Path, sequences: Sequences, vocabulary: Vocabulary
) -> None:
    broken = Model()
    broken.uri = str(tmp_path / "broken")
    (tmp_path / "broken" / "bundle").mkdir(parents=True)
    (tmp_path / "broken" / "bundle" / "saved_model.pb").write_bytes(b"no model")
    is_blessed, [reason] = validate(tmp_path, broken, sequences, vocabulary)
    assert not is_blessed
    assert reason.startswith("The server did not answer: ")


def test_a_bundle_that_answers_otherwise_than_in_process_is_not_blessed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: Model,
    sequences: Sequences,
    vocabulary: Vocabulary,
) -> None:
    def ask(bundle: str, requests: list[dict]) -> list[server_validator.Answer]:
        answers = server_validator.ask_in_process(bundle, requests)
        answers[-1] = answers[-1][::-1]
        return answers

    monkeypatch.setattr(server_validator, "ask_server", ask)
    is_blessed, [reason] = validate(tmp_path, model, sequences, vocabulary)
    assert not is_blessed
    assert re.match(r"Request 15 should return \[", reason)


def test_equal_answers_match() -> None:
    assert first_mismatch([ANSWER, []], [ANSWER, []]) is None
    assert first_mismatch([[("a", 2.0 + 1e-6), ("b", 1.0)]], [ANSWER]) is None


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ([("b", 2.0), ("a", 1.0)], r"Request 1 should return \['a', 'b'\]. Received: \['b', 'a'\]"),
        ([("a", 2.0)], r"Request 1 should return \['a', 'b'\]. Received: \['a'\]"),
        ([("a", 2.001), ("b", 1.0)], r"Request 1 should score \[2.0, 1.0\]. Received: \[2.001"),
    ],
)
def test_the_first_difference_is_named(served: list[tuple[str, float]], message: str) -> None:
    mismatch = first_mismatch([ANSWER, served], [ANSWER, ANSWER])
    assert mismatch is not None
    assert re.match(message, mismatch)
