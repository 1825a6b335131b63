import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import adarec_tf as ar


@pytest.mark.parametrize("name", [name for name in ar.__all__ if name != "__version__"])
def test_a_public_name_loads_and_says_what_it_is(name: str) -> None:
    value = getattr(ar, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert name in dir(ar)


def test_functions_named_as_their_packages_stay_functions() -> None:
    code = (
        "import adarec_tf as ar\n"
        "from adarec_tf.search.searcher import search_genotype\n"
        "from adarec_tf.export.bundle import write_bundle\n"
        "assert callable(ar.search) and callable(ar.export), (ar.search, ar.export)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("search", "export"):
        package = importlib.import_module(f"adarec_tf.{name}")
        source = Path(str(package.__file__)).read_text()
        assert "import" not in source, f"it is loaded with the library. Received: {source}"


def test_a_name_that_is_none_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        ar.Datset  # noqa: B018


def test_type_checkers_see_the_names_that_load() -> None:
    stub = Path(str(ar.__file__)).with_suffix(".pyi").read_text()
    seen = re.findall(r"^from (adarec_tf\.[\w.]+) import (\w+) as \2$", stub, re.MULTILINE)
    assert sorted(name for _, name in seen) == sorted(set(ar.__all__) - {"__version__"})
    for home, name in seen:
        assert getattr(importlib.import_module(home), name) is getattr(ar, name)
