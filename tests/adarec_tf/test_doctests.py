"""Every example of a docstring is run; names of the README's quickstart are given to it."""

import doctest
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import adarec_tf as ar

HEAVY = {"adarec_tf.tuning.student", "adarec_tf.distillation.distiller"}


def modules() -> list[Any]:
    names = [module.name for module in pkgutil.walk_packages(ar.__path__, "adarec_tf.")]
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else [])
        for name in names
        if not name.endswith("__main__")
    ]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data = ar.Dataset.from_interactions(ar.generate_sample_scene(num_users=60), max_length=8)
    genotype = ar.Genotype.from_primitives(3, [["conv_3"] * 6] * 2)
    return {
        "ar": ar,
        "data": data,
        "genotype": genotype,
        "teacher": ar.SASRec.for_dataset(data, hidden_dim=8, num_blocks=1),
        "student": ar.Student.for_dataset(data, genotype=genotype, hidden_dim=8),
        "folder": tmp_path_factory.mktemp("saved"),
    }


@pytest.mark.parametrize("module", modules())
def test_the_examples_of_a_module_are_true(
    module: str, names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library = importlib.import_module(module)
    assert doctest.testmod(library, extraglobs=names).failed == 0


@pytest.mark.parametrize("name", [name for name in ar.__all__ if name != "__version__"])
def test_a_public_name_has_an_example(name: str) -> None:
    assert ">>>" in getattr(ar, name).__doc__
