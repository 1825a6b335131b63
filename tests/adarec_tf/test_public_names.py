import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import adarec_tf as ar


@pytest.mark.parametrize("name", [name for name in ar.__all__ if name != "__version__"])
def test_a_public_name_loads_and_says_what_it_is(name: str) -> None:
    value = getattr(ar, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert name in dir(ar)


def described() -> list[Any]:
    """Every public function, and every public method that is ours, with its class."""
    found = []
    for name in sorted(set(ar.__all__) - {"__version__"}):
        value = getattr(ar, name)
        members = inspect.getmembers(value) if inspect.isclass(value) else [("", value)]
        for member, function in members:
            function = inspect.unwrap(getattr(function, "__func__", function))
            is_ours = inspect.isfunction(function) and function.__module__.startswith("adarec_tf.")
            is_public = not member.startswith("_") or member in ("__init__", "__call__")
            if is_ours and is_public:
                owner = value if inspect.isclass(value) else None
                found.append(pytest.param(owner, function, id=f"{name}.{member}".strip(".")))
    return found


@pytest.mark.parametrize(("owner", "function"), described())
def test_arguments_results_and_errors_are_described(owner: Any, function: Any) -> None:
    text = inspect.getdoc(function) or ""
    if function.__name__ == "__init__":
        text += f"\n{inspect.getdoc(owner)}"
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    if len(names) > 1 or "Args:" in text:
        assert [name for name in names if not re.search(rf"^ +\**{name}: ", text, re.M)] == []
    is_given = inspect.signature(function).return_annotation not in (None, "None")
    assert "Returns:" in text or not (is_given and "Args:" in text)
    try:
        is_raised = " raise " in inspect.getsource(function)
    except OSError:  # made by `dataclass`
        is_raised = False
    assert "Raises:" in text or not is_raised


@pytest.mark.slow
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
