"""Scene-adaptive knowledge distillation (AdaRec) for sequential recommenders, in Keras.

    import adarec_tf as ar

Names load when they are first used: importing this package imports nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adarec_tf.config.search import Budget as Budget
    from adarec_tf.data.dataset import Dataset as Dataset
    from adarec_tf.data.log.built_in import generate_sample_scene as generate_sample_scene
    from adarec_tf.distillation.distiller import Distiller as Distiller
    from adarec_tf.distillation.distiller import distill as distill
    from adarec_tf.evaluation.accuracy import evaluate as evaluate
    from adarec_tf.evaluation.baselines import ItemKNN as ItemKNN
    from adarec_tf.evaluation.baselines import Markov as Markov
    from adarec_tf.evaluation.baselines import Popularity as Popularity
    from adarec_tf.export.recommender import Recommender as Recommender
    from adarec_tf.export.recommender import export as export
    from adarec_tf.export.recommender import load as load
    from adarec_tf.models.metrics import MRR as MRR
    from adarec_tf.models.metrics import NDCG as NDCG
    from adarec_tf.models.metrics import HitRate as HitRate
    from adarec_tf.models.next_item_model import NextItemModel as NextItemModel
    from adarec_tf.models.students.genotype import Genotype as Genotype
    from adarec_tf.models.students.student import Student as Student
    from adarec_tf.models.teachers.bert4rec import BERT4Rec as BERT4Rec
    from adarec_tf.models.teachers.nextitnet import NextItNet as NextItNet
    from adarec_tf.models.teachers.sasrec import SASRec as SASRec
    from adarec_tf.tuning.student_search import search as search

__version__ = "0.1.0"

_HOMES = {
    "BERT4Rec": "models.teachers.bert4rec",
    "Budget": "config.search",
    "Dataset": "data.dataset",
    "Distiller": "distillation.distiller",
    "Genotype": "models.students.genotype",
    "HitRate": "models.metrics",
    "ItemKNN": "evaluation.baselines",
    "MRR": "models.metrics",
    "Markov": "evaluation.baselines",
    "NDCG": "models.metrics",
    "NextItNet": "models.teachers.nextitnet",
    "NextItemModel": "models.next_item_model",
    "Popularity": "evaluation.baselines",
    "Recommender": "export.recommender",
    "SASRec": "models.teachers.sasrec",
    "Student": "models.students.student",
    "distill": "distillation.distiller",
    "evaluate": "evaluation.accuracy",
    "export": "export.recommender",
    "generate_sample_scene": "data.log.built_in",
    "load": "export.recommender",
    "search": "tuning.student_search",
}
__all__ = ["__version__", *sorted(_HOMES)]

# Two functions are named as their packages, which are empty. Loaded before the functions are, a
# package does not take their place later.
for _name in ("search", "export"):
    importlib.import_module(f"adarec_tf.{_name}")
    del globals()[_name]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"adarec_tf.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
