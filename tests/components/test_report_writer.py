"""The ReportWriter on its own: an untrained model as teacher and as student."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.types import standard_artifacts

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.report import facts
from adarec_tf.report.comparison import compare_models
from components import artifacts
from components.artifacts import Recipe, Sequences, Vocabulary
from components.blessings import write_blessing
from components.model_artifact import bundle_dir, read_model, read_vocabulary
from components.report_writer import ReportWriter
from tests.components.conftest import NUM_USERS, make_artifact

GENOTYPE = Genotype.from_primitives(1, [["conv_3"]])


@pytest.fixture
def given(
    tmp_path: Path,
    sequences: Sequences,
    vocabulary: Vocabulary,
    model: standard_artifacts.Model,
    recipe: Recipe,
) -> dict[str, Any]:
    """What the component is given, but for its output."""
    statistics = make_artifact(standard_artifacts.ExampleStatistics, tmp_path / "statistics")
    (tmp_path / "statistics" / "Split-sample").mkdir()
    log = statistics_pb2.DatasetFeatureStatisticsList()
    times = log.datasets.add().features.add()
    times.path.step.append("timestamp")
    times.num_stats.min, times.num_stats.max = 1_500_000_000_000, 1_600_000_000_000  # milliseconds
    path = tmp_path / "statistics" / "Split-sample" / "FeatureStats.pb"
    path.write_bytes(log.SerializeToString())

    genotype = make_artifact(artifacts.Genotype, tmp_path / "genotype")
    (tmp_path / "genotype" / "genotype.json").write_text(GENOTYPE.to_json())
    evaluation = make_artifact(standard_artifacts.ModelEvaluation, tmp_path / "evaluation")
    trained = read_model(model.uri)
    comparison = compare_models(
        [trained],
        trained,
        read_histories(sequences.uri, "train"),
        read_histories(sequences.uri, "test"),
        statistics=read_statistics(sequences.uri),
        vocabulary=read_vocabulary(vocabulary.uri),
        teacher_bundle=bundle_dir(model.uri),
        student_bundle=bundle_dir(model.uri),
        num_requests=2,
    )
    (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps(comparison.to_dict()))
    blessings = {}
    for name, kind, is_blessed in (
        ("model_blessing", standard_artifacts.ModelBlessing, True),
        ("infra_blessing", standard_artifacts.InfraBlessing, False),
    ):
        blessings[name] = make_artifact(kind, tmp_path / name)
        write_blessing(blessings[name], is_blessed=is_blessed, reasons=[f"Why of {name}."])
    titles = tmp_path / "titles.csv"
    titles.write_text("".join(f'"item, {number}",Title {number}\n' for number in range(1, 17)))
    return {
        "statistics": statistics,
        "sequences": sequences,
        "vocabulary": vocabulary,
        "recipe": recipe,
        "teacher": model,
        "genotype": genotype,
        "student": model,
        "evaluation": evaluation,
        **blessings,
        "pushed_model": standard_artifacts.PushedModel(),
        "run_config": PipelineConfig(scene="walk").to_json(),
        "data_path": "/logs/walk.csv",
        "item_titles": str(titles),
        "continued_from": "a day",
        "code_fingerprint": "code",
    }


def test_a_page_is_made_of_what_the_stages_left(tmp_path: Path, given: dict[str, Any]) -> None:
    report = make_artifact(artifacts.Report, tmp_path / "report")
    ReportWriter.test_call(report=report, **given)
    assert report.get_string_custom_property("problem") == ""
    said = json.loads((tmp_path / "report" / "report.json").read_text())
    assert said["time_span"] == [1_500_000_000.0, 1_600_000_000.0]
    assert (said["blessed"], said["pushed_version"]) == (False, None)
    assert said["reasons"] == ["Why of model_blessing.", "Why of infra_blessing."]
    assert said["lengths"] == [["4", NUM_USERS]]
    assert said["origin"] == {"log": "/logs/walk.csv", "continued_from": "a day"}
    assert len(said["examples"]) == 20
    for example in said["examples"]:
        assert example["teacher"] == example["student"]  # they are one
        assert example["shared"] == len(example["student"]) == 10
        # Every user walks on to the next item.
        last, target = (
            int(key.removeprefix("item, ")) for key in (example["history"][-1], example["target"])
        )
        assert target == last % 16 + 1
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Title 16" in page
    assert "item, 16" not in page


def test_a_report_that_cannot_be_made_says_why_and_fails_no_run(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    report = make_artifact(artifacts.Report, tmp_path / "report")
    ReportWriter.test_call(report=report, **{**given, "item_titles": str(tmp_path / "gone.csv")})
    problem = report.get_string_custom_property("problem")
    assert problem.startswith("The titles of items should be a file. Received: ")
    assert list((tmp_path / "report").iterdir()) == []


def test_each_model_recommends_from_its_own_bundle_and_the_version_is_told(
    tmp_path: Path, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = make_artifact(standard_artifacts.Model, tmp_path / "student")
    shutil.copytree(given["teacher"].uri, student.uri, dirs_exist_ok=True)

    def load(bundle: str) -> Any:
        return lambda histories, k: [[SimpleNamespace(item_id=bundle)]] * len(histories)

    monkeypatch.setattr(facts, "Recommender", SimpleNamespace(load=load))
    given["pushed_model"].set_string_custom_property("pushed_version", "3")
    report = make_artifact(artifacts.Report, tmp_path / "report")
    ReportWriter.test_call(report=report, **{**given, "student": student})
    assert report.get_string_custom_property("problem") == ""
    said = json.loads((tmp_path / "report" / "report.json").read_text())
    assert said["pushed_version"] == 3
    assert {
        (*example["teacher"], *example["student"], example["shared"])
        for example in said["examples"]
    } == {(bundle_dir(given["teacher"].uri), bundle_dir(student.uri), 0)}
