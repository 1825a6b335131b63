"""Scene-adaptive knowledge distillation (AdaRec) for sequential recommenders, in Keras.

    import adarec_tf as ar

Names load when they are first used: importing this package imports nothing else. Their types are in
`__init__.pyi`, for editors and type checkers.
"""

import importlib
from typing import Any

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
    "distill": "tuning.student",
    "evaluate": "evaluation.accuracy",
    "export": "export.recommender",
    "generate_sample_scene": "data.log.built_in",
    "load": "export.recommender",
    "search": "tuning.student",
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
