import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from adarec_tf.config.pipeline import PipelineConfig
from pipeline import workdir
from pipeline.workdir import Workdir


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (
        Workdir(tmp_path).locked(),
        pytest.raises(ValueError, match=r"one run at a time. Received: .*another run is at work"),
        Workdir(tmp_path).locked(),
    ):
        pass
    with Workdir(tmp_path).locked():
        pass  # free again


def test_the_lock_of_a_killed_run_is_gone_with_it(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from pipeline.workdir import Workdir\n"
        f"with Workdir({str(tmp_path)!r}).locked():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert killed.returncode == -9
    with Workdir(tmp_path).locked():
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            ValueError, match=r"should be a folder that can be written to. Received: .*file"
        ),
        Workdir(tmp_path / "file" / "run").locked(),
    ):
        pass


def test_config_json_holds_what_repeats_the_run(tmp_path: Path) -> None:
    config = PipelineConfig(scene="tiny", seed=7)
    folder = Workdir(tmp_path)
    folder.write_config(config, data_path="/log.csv", beam_arguments=["--direct_num_workers=2"])
    written = json.loads(folder.config.read_text())
    assert PipelineConfig.from_dict(written["config"]) == config
    assert written["seed"] == 7
    assert written["data_path"] == "/log.csv"
    assert written["beam_arguments"] == ["--direct_num_workers=2"]
    assert written["versions"]["tensorflow"].startswith("2.")
    assert written["python"].startswith("3.")


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Workdir("runs/a").metadata == tmp_path / "runs" / "a" / "metadata.sqlite"


def test_files_and_folders_have_the_names_that_are_documented(tmp_path: Path) -> None:
    folder = Workdir(tmp_path)
    listed = re.findall(r"`([\w.]+)/?(?:<stage>/)?`:", workdir.__doc__)
    places = {value.name for name, value in vars(folder).items() if name != "root"}
    assert {*listed} == places
    assert folder.serving("shop") == tmp_path / "serving" / "shop"
