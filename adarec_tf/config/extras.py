"""The extras of the package: what only some uses need, and is not installed for the others."""

import importlib.util
from collections.abc import Sequence


class MissingExtraError(ModuleNotFoundError):
    """An extra of the package is not installed; the message says how to install it."""

    def __init__(self, extra: str, modules: Sequence[str]) -> None:
        """Creates the error.

        Args:
          extra: its name.
          modules: what is missing, one or more.
        """
        super().__init__(
            f"The extra `{extra}` should be installed: pip install 'adarec-tf[{extra}]'. "
            f"Missing: {', '.join(modules)}.",
            name=modules[0],
        )


def require_extra(extra: str, *modules: str) -> None:
    """Checks that what an extra brings is there, before it is imported.

    Args:
      extra: its name in `pyproject.toml`.
      modules: what is imported next.

    Raises:
      MissingExtraError: a module is not installed.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtraError(extra, missing)
