from pathlib import Path

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


def _fingerprint(config: PipelineConfig, folder: Path) -> str:
    [searcher] = [c for c in _pipeline(config, folder).components if c.id == "StudentSearcher"]
    return searcher.exec_properties["cost_table_fingerprint"]


def test_a_changed_cost_table_makes_the_search_stale(tmp_path: Path) -> None:
    costs = tmp_path / "costs.json"
    config = scene_config("smoke").override([f"search.cost_table={costs}"])
    assert _fingerprint(scene_config("smoke"), tmp_path) == ""
    assert _fingerprint(config, tmp_path) == ""  # it may be where the search runs
    found = []
    for text in ("one", "two", "one"):
        costs.write_text(text)
        found.append(_fingerprint(config, tmp_path))
    assert found[0] == found[2] != found[1]
