import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2
from tfx.utils import proto_utils

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.watch import WatchConfig
from pipeline.configs import scene_config
from pipeline.fingerprint import source_fingerprint
from pipeline.pipeline import create_pipeline
from pipeline.warm_start import WarmStart


def _pipeline(config: PipelineConfig, folder: Path, **options: Any) -> Pipeline:
    return create_pipeline(
        config,
        data_path=str(folder / "log.csv"),
        pipeline_root=str(folder / "pipeline"),
        serving_dir=str(folder / "serving"),
        checkpoint_dir=str(folder / "checkpoints"),
        log_dir=str(folder / "tensorboard"),
        **options,
    )


def _fingerprint(config: PipelineConfig, setting: str, folder: Path) -> str:
    [searcher] = [c for c in _pipeline(config, folder).components if c.id == "StudentSearcher"]
    return searcher.exec_properties[f"{setting}_fingerprint"]


@pytest.mark.parametrize(
    ("setting", "value"), [("cost_table", "file.json"), ("genotype", "file.json:2")]
)
def test_a_changed_file_makes_the_search_stale(setting: str, value: str, tmp_path: Path) -> None:
    config = scene_config("smoke").override([f"search.{setting}={tmp_path / value}"])
    assert _fingerprint(config, setting, tmp_path) == ""  # it may be where the search runs
    found = []
    for text in ("one", "two", "one"):
        (tmp_path / "file.json").write_text(text)
        found.append(_fingerprint(config, setting, tmp_path))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("is_warm", [False, True])
def test_stages_are_told_what_they_continue_from(is_warm: bool, tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("a\n")
    start = WarmStart(
        "a day", "", "/recipe", str(vocabulary), "/teacher", "/student", "/genotype.json"
    )
    pipeline = _pipeline(scene_config("smoke"), tmp_path, start=start if is_warm else None)
    stages = {component.id: component.exec_properties for component in pipeline.components}
    given = {
        "TeacherTuner": ("initial_recipe", "/recipe"),
        "SequencePreprocessor": ("previous_vocabulary", str(vocabulary)),
        "TeacherTrainer": ("initial_model", "/teacher"),
        "StudentDistiller": ("initial_model", "/student"),
    }
    for stage, (name, value) in given.items():
        assert stages[stage][name] == (value if is_warm else "")
    before = stages["SequencePreprocessor"]["previous_fingerprint"]
    vocabulary.write_text("b\n")
    [preprocessor] = [
        component
        for component in _pipeline(scene_config("smoke"), tmp_path, start=start).components
        if component.id == "SequencePreprocessor"
    ]
    assert preprocessor.exec_properties["previous_fingerprint"] != before


TRAINING_STAGES = ("TeacherTuner", "TeacherTrainer", "StudentSearcher", "StudentDistiller")


def test_stages_that_train_are_told_numbers(tmp_path: Path) -> None:
    config = scene_config("smoke").override(["compute_dtype=bfloat16"])
    stages = {c.id: c.exec_properties for c in _pipeline(config, tmp_path).components}
    for stage in TRAINING_STAGES:
        assert stages[stage]["compute_dtype"] == "bfloat16"


def _stages(tmp_path: Path, *settings: str) -> dict[str, dict[str, Any]]:
    config = scene_config("smoke").override(settings)
    return {c.id: dict(c.exec_properties) for c in _pipeline(config, tmp_path).components}


def test_stages_are_told_what_was_given_by_hand(tmp_path: Path) -> None:
    given = ("teacher.dropout=0.1", "training.max_epochs=3", "student.num_cells=1", "seed=9")
    given += ("search.max_users=4", "distillation.max_epochs=2", "data.max_length=20")
    stages = _stages(tmp_path, *given, "effort=quick")
    assert {stage: stages[stage]["fixed"].split() for stage in TRAINING_STAGES} == {
        "TeacherTuner": ["teacher.dropout", "training.max_epochs"],
        "TeacherTrainer": ["teacher.dropout", "training.max_epochs"],
        "StudentSearcher": ["student.num_cells", "search.max_users", "distillation.max_epochs"],
        "StudentDistiller": ["student.num_cells", "distillation.max_epochs"],
    }
    assert stages["TeacherTuner"]["effort"] == "quick"
    assert _stages(tmp_path)["TeacherTuner"]["fixed"] == ""


def test_the_teachers_recipe_makes_the_students_and_is_read_by_all_that_train(
    tmp_path: Path,
) -> None:
    stages = {c.id: c for c in _pipeline(scene_config("smoke"), tmp_path).components}
    recipe = stages["TeacherTuner"].outputs["recipe"]
    assert stages["TeacherTrainer"].inputs["recipe"] is recipe
    assert stages["StudentSearcher"].inputs["recipe"] is recipe
    of_student = stages["StudentSearcher"].outputs["student_recipe"]
    assert stages["StudentDistiller"].inputs["recipe"] is of_student


def test_what_is_asked_of_a_student_makes_no_trial_and_no_teacher_stale(
    tmp_path: Path,
) -> None:
    before = _stages(tmp_path)

    def changed(setting: str) -> set[str]:
        after = _stages(tmp_path, setting)
        stages = {stage for stage in before if before[stage] != after[stage]}
        return stages - {"VersionPusher", "ReportWriter"}  # which keep all settings

    for setting in ("evaluation.min_teacher_ndcg_share=0.5", "evaluation.max_latency_ms=7"):
        assert changed(setting) == {"RankingEvaluator"}
    for setting in ("evaluation.max_bundle_bytes=7000", "evaluation.max_teacher_share=0.5"):
        assert changed(setting) == {"StudentSearcher", "RankingEvaluator"}


# What a stage's code is, besides the module of its component: run by name in another process.
FURTHER_CODE = {
    "ServerValidator": ["serving.validation"],
    "VersionPusher": ["serving.push_check"],
}
TFX_STAGES = {"StatisticsGen", "SchemaGen", "InteractionsValidator"}


def test_every_stage_has_the_fingerprint_of_its_own_code(tmp_path: Path) -> None:
    found, expected = {}, {}
    for component in _pipeline(scene_config("smoke"), tmp_path, watch=WatchConfig()).components:
        if component.id in TFX_STAGES:
            continue
        module = re.sub("(?<!^)(?=[A-Z])", "_", component.id).lower()
        further = FURTHER_CODE.get(component.id, [])
        expected[component.id] = source_fingerprint(f"components.{module}", *further)
        found[component.id] = _code_fingerprint(component)
    assert len(found) == 11
    assert found == expected
    assert len(set(found.values())) == len(found)


def _code_fingerprint(component: BaseComponent) -> str:
    if component.id != "InteractionsGen":
        return component.exec_properties["code_fingerprint"]
    # A parameter of TFX's own, which has ours inside.
    packed = component.exec_properties["custom_config"]
    settings = struct_pb2.Struct()
    proto_utils.json_to_proto(packed, config := example_gen_pb2.CustomConfig())
    config.custom_config.Unpack(settings)
    return settings["code_fingerprint"]
