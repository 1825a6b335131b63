from pathlib import Path

import pytest
from tfx.orchestration.pipeline import Pipeline

from adarec_tf.config import PipelineConfig
from pipeline.configs import scene_config
from pipeline.pipeline import create_pipeline


def _pipeline(config: PipelineConfig, folder: Path) -> Pipeline:
    return create_pipeline(
        config,
        data_path=str(folder / "log.csv"),
        pipeline_root=str(folder / "pipeline"),
        serving_dir=str(folder / "serving"),
        checkpoint_dir=str(folder / "checkpoints"),
        log_dir=str(folder / "tensorboard"),
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
