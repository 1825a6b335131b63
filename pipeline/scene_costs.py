"""What students of a scene would cost, measured before anything is trained."""

import os
import tempfile
from pathlib import Path

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.export.profile import count_costs, measure_latencies
from adarec_tf.models.students.cost_table import CostTable
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.devices import set_threads
from pipeline.scene_data import check_log, locate_data


def measure_scene_costs(
    config: PipelineConfig, data_path: str | os.PathLike[str] | None, num_items: int
) -> CostTable:
    """Measures the costs of the scene's students and of its teacher.

    Args:
      config: the scene's settings.
      data_path: the scene's log, whose items are counted; None if it can be generated.
      num_items: items of the catalog, if no log has to be read for that; 0 reads it.

    Raises:
      ValueError: there is no log, or it cannot be read.
    """
    set_threads()
    if num_items == 0:
        num_items = _count_items(config, data_path)
    # Weights of a teacher that was never trained take as long as those of one that was.
    teacher = build_teacher(config.teacher, num_items, config.data.max_length, seed=config.seed)
    return measure_latencies(count_costs(teacher, config.student, config.data.max_length), teacher)


def _count_items(config: PipelineConfig, data_path: str | os.PathLike[str] | None) -> int:
    check_log(config, data_path)
    with tempfile.TemporaryDirectory() as folder:
        path = locate_data(config.scene, data_path, Path(folder))
        return Dataset.from_config(path, config.data, config.spans).num_items
