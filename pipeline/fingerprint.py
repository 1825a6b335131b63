"""What a stage's result depends on besides its inputs: the source code that the stage can reach.

TFX reuses a cached result when inputs and parameters are equal; it does not see code. So each
component gets the fingerprint of its module, and of every module of ours that it imports, as a
parameter: an edit of the search reruns the search and what follows, and leaves the teacher alone.
"""

import hashlib
import importlib.util
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

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
    specs = map(importlib.util.find_spec, OUR_PACKAGES)
    finder = _Finder(
        [*{str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin}]
    )
    for name in module_names:
        try:
            finder.import_hook(name)
        except ImportError as error:
            raise ValueError(
                f"`module_names` should be modules of ours. Received: {name!r}."
            ) from error
    return {
        name: Path(vars(module)["__file__"]).read_text("utf-8")
        for name, module in finder.modules.items()
    }


class _Finder(ModuleFinder):
    """Follows the imports of our modules, also those inside functions, and no import of others."""

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        if path is None and name not in OUR_PACKAGES:
            raise ImportError(name)
        return super().find_module(name, path, parent)
