"""What a stage's result depends on besides its inputs: the source code that the stage can reach.

TFX reuses a cached result when inputs and parameters are equal; it does not see code. So each
component gets the fingerprint of its module, and of every module of ours that it imports, as a
parameter: an edit of the search reruns the search and what follows, and leaves the teacher alone.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

OUR_PACKAGES = ("adarec_tf", "components", "pipeline", "serving")


def source_fingerprint(*module_names: str) -> str:
    """Hashes the modules named and all modules of ours that they import, directly or not.

    Args:
      *module_names: dotted names, such as `components.teacher_trainer`.

    Returns:
      SHA-256 as 64 hexadecimal digits.

    Raises:
      ValueError: there is no such module of ours.
    """
    sources = reachable_sources(*module_names)
    text = "\0".join(f"{name}\0{source}" for name, source in sorted(sources.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def reachable_sources(*module_names: str) -> dict[str, str]:
    """Module name to source text, of the modules named and all of ours that they import.

    Raises:
      ValueError: there is no such module of ours.
    """
    sources: dict[str, str] = {}
    waiting = list(module_names)
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        path = _source_path(name)
        if path is None:
            raise ValueError(f"`module_names` should be modules of ours. Received: {name!r}.")
        sources[name] = path.read_text("utf-8")
        parts = name.split(".")
        packages = [".".join(parts[:i]) for i in range(1, len(parts))]
        found = [name for name in _imported_names(sources[name]) if _source_path(name)]
        waiting += [*packages, *found]
    return sources


def _source_path(name: str) -> Path | None:
    """The file of a module of ours; None for other packages and for names inside a module."""
    package, _, rest = name.partition(".")
    if package not in OUR_PACKAGES:
        return None
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    # Submodules are located by path: `find_spec` of a submodule would import its parents.
    base = Path(spec.origin).parent.joinpath(*rest.split(".") if rest else ())
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _imported_names(source: str) -> Iterator[str]:
    """Every dotted name a module may import, with the packages above it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from a.b import c`: c is a module or a name in b.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))
