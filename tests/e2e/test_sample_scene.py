"""The sample scene as `make run` runs it: its ranking quality must stay at the golden figures."""

import json

import pytest

from tests.e2e.conftest import ROOT, Run

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

GOLDEN = json.loads((ROOT / "tests" / "golden" / "sample_scene.json").read_text())


def test_ranking_quality_is_that_of_the_golden_run(sample_run: Run) -> None:
    assert sample_run.done.returncode == 0, sample_run.done.stderr
    result = json.loads((sample_run.workdir / "result.json").read_text())
    for model, metrics in GOLDEN["models"].items():
        tolerance = GOLDEN["tolerance"][model]
        for metric, value in metrics.items():
            assert result["models"][model][metric] == pytest.approx(value, abs=tolerance), (
                model,
                metric,
            )
    # What the scene is made for: order matters, and the student keeps what the teacher knows.
    ndcg = {model: row["ndcg@10/full"] for model, row in result["models"].items()}
    assert ndcg["popularity"] < ndcg["markov"] < ndcg["student"]
    assert ndcg["markov"] < ndcg["teacher"]
    assert result["blessed"] is True
    assert result["pushed_version"] == 1
    student, teacher = result["models"]["student"], result["models"]["teacher"]
    assert student["encoder_macs"] < teacher["encoder_macs"] / 2
    assert student["bundle_bytes"] < teacher["bundle_bytes"] / 5
