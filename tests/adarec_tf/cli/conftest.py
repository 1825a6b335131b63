from pathlib import Path

import pytest

from adarec_tf.config.pipeline import PipelineConfig
from pipeline import run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[PipelineConfig, Path | None, Path]]:
    """What `adarec run` passes on; no run takes place."""
    calls: list[tuple[PipelineConfig, Path | None, Path]] = []

    def record(config: PipelineConfig, data: Path | None, workdir: Path, **options: object) -> None:
        calls.append((config, data, workdir))
        raise run.RunFailedError("stop here")

    monkeypatch.setattr(run, "run_pipeline", record)
    return calls
