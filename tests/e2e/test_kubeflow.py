"""A compiled pipeline, every container command of it run: the same final table as locally."""

import json
import os
from pathlib import Path

import pytest

from adarec_tf.export.recommender import Recommender
from tests.e2e.conftest import COLUMNS, Run, adarec
from tests.pipeline.kubeflow.emulator import Emulator, ranking_figures

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def emulate(scene: str, log: Path, folder: Path, *settings: str) -> Emulator:
    """Compiles a scene for a volume in this folder, and runs what was compiled."""
    emulator = compiled(scene, log, folder, *settings)
    for _ in emulator.run():
        pass
    return emulator


def compiled(scene: str, log: Path, folder: Path, *settings: str) -> Emulator:
    compiled, volume = folder / "pipeline.yaml", folder / "volume"
    volume.mkdir()
    done = adarec(
        *("compile", "--target", "kubeflow", "-o", str(compiled), "--scene", scene),
        *("--data", str(log), "--root", str(volume)),
        *("--pipeline-root", "minio://mlpipeline/adarec", "--watch"),
        *(argument for setting in settings for argument in ("--set", setting)),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return Emulator(compiled, folder)


def check_equal(emulator: Emulator, local: Run) -> None:
    result = json.loads((local.workdir / "result.json").read_text())
    table = emulator.final_table()
    assert ranking_figures(table) == ranking_figures(result["models"])
    for model in ("teacher", "student"):
        expected = pytest.approx(result["models"][model]["bundle_bytes"], rel=0.01)
        assert table[model]["bundle_bytes"] == expected
    genotype = emulator.stored("StudentSearcher", "genotype") / "genotype.json"
    assert json.loads(genotype.read_text()) == result["genotype"]
    # Pushed on the volume, and the same student.
    [version] = [
        path
        for path in (emulator.folder / "volume" / "serving" / "student").iterdir()
        if path.name.isdecimal()
    ]
    history = result["example_history"]
    answers = [
        Recommender.load(str(bundle))([history], 10, True)
        for bundle in (version, result["paths"]["bundle"])
    ]
    assert answers[0] == answers[1]
    assert emulator.artifacts["VersionPusher", "pushed_model"].metadata[
        "pushed_destination"
    ] == str(version)


def test_the_smoke_scene_ends_as_it_does_locally(
    smoke_run: Run, raw_log: Path, tmp_path: Path
) -> None:
    names = ("user_column", "item_column", "time_column")
    columns = (f"data.{name}={value}" for name, value in zip(names, COLUMNS[1::2], strict=True))
    front = ("search.front_size=3", "search.front_quantity=macs")
    emulator = compiled("smoke", raw_log, tmp_path, *columns, *front)
    # Nothing was pushed yet, so that there is something to do.
    assert [name for name, _ in emulator.run()][:2] == ["SceneWatch", "InteractionsGen"]
    check_equal(emulator, smoke_run)

    # The next night finds no new events, and does nothing.
    again = Emulator(tmp_path / "pipeline.yaml", tmp_path / "second night")
    assert [name for name, _ in again.run()] == ["SceneWatch"]
    check = json.loads((again.stored("SceneWatch", "check") / "check.json").read_text())
    assert check["answer"] == "fine"
    assert check["reasons"][0].startswith("The log should have events after those that")


@pytest.mark.skipif(
    "ADAREC_EMULATE_SAMPLE" not in os.environ,
    reason="trains the sample scene once more: set ADAREC_EMULATE_SAMPLE=1",
)
def test_the_sample_scene_ends_as_it_does_locally(sample_run: Run, tmp_path: Path) -> None:
    check_equal(
        emulate("sample", sample_run.workdir / "data" / "sample.csv.gz", tmp_path), sample_run
    )
