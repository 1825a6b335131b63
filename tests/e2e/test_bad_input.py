"""What is wrong with a log is found by the run, and said in one line."""

from pathlib import Path

import pytest

from tests.e2e.conftest import adarec

pytestmark = pytest.mark.e2e

HEADER = "user_id,item_id,timestamp\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "u1,a,1\nu1,b,soon\n", "log.csv, line 3"),
        (HEADER + "".join(f"u{n},i{n},{n}\n" for n in range(9)), "min"),
    ],
    ids=["time that is no number", "histories too short"],
)
def test_a_bad_log_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "log.csv").write_text(content)
    done = adarec("run", "--data", "log.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "runs" / "log" / "result.json").exists()


def test_a_model_folder_without_a_version_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = adarec("serve", "--model-dir", "models", "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
