from pathlib import Path

import pytest

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.log.interactions import inspect_log
from adarec_tf.data.log.readers import InteractionColumns, list_input_files
from pipeline.configs import SCENES, custom_config, scene_config
from pipeline.scene_data import GENERATED_SCENES

# Their recipes are found by the run.
DECIDED = {"habits", "sessions", "large"}
FOLDER = Path(__file__).parents[2] / "pipeline" / "configs"
REAL_LOGS = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize("name", sorted(SCENES))
def test_a_scene_survives_the_way_through_json(name: str) -> None:
    config = scene_config(name)
    assert config.scene == name
    assert PipelineConfig.from_json(config.to_json()) == config


def test_every_recipe_is_a_scene() -> None:
    recipes = {path.stem for path in FOLDER.glob("*.json")}
    assert recipes == set(SCENES) - DECIDED
    for name in recipes:
        assert scene_config(name).effort == "none"
        assert scene_config(name) == custom_config(f"{name}.csv", str(FOLDER / f"{name}.json"))
    for name in DECIDED:
        assert scene_config(name) == PipelineConfig(scene=name, effort="standard")


def test_an_unknown_scene_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of beauty, .*, smoke. Received: 'nope'"):
        scene_config("nope")


@pytest.mark.parametrize(
    ("path", "scene"),
    [
        ("/data/My Log.csv.gz", "my_log"),
        ("clicks.parquet", "clicks"),
        ("/data/logs/", "logs"),
        ("日本.csv", "custom"),
    ],
)
def test_a_log_without_a_scene_is_named_after_its_file(path: str, scene: str) -> None:
    assert custom_config(path).scene == scene


def test_a_log_without_a_scene_is_one_whose_settings_are_decided() -> None:
    assert custom_config("log.csv") == PipelineConfig(scene="log", effort="standard")


@pytest.mark.parametrize(
    "content",
    ["no json", "[1, 2]", '{"effort": "quick"}', '{"settings": [1]}', '{"settings": 3}', "\xff"],
)
def test_a_file_that_is_no_recipe_is_one_plain_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"--recipe should be a recipe\.json .*Received: {path}"):
        custom_config("log.csv", str(path))


def test_a_recipe_of_other_settings_names_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"settings": {"teacher": {"name": "sasrec", "color": 1}}}')
    with pytest.raises(ValueError, match=r"`teacher.*color` should be one of the settings"):
        custom_config("log.csv", str(path))


@pytest.mark.parametrize("name", sorted(set(SCENES) - set(GENERATED_SCENES)))
def test_real_logs_are_read_by_their_scenes(name: str) -> None:
    log = REAL_LOGS / name / "interactions.csv.gz"
    if not log.exists():
        pytest.skip(f"needs {log}")
    columns = InteractionColumns.of_config(scene_config(name).data)
    summary = inspect_log(list_input_files(str(log)), columns)
    assert summary.time_scale == 1
    assert summary.num_interactions > 50_000
