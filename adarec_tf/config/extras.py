"""The extras of the package: what only some uses need, and is not installed for the others."""

import importlib.util


def require_extra(extra: str, *modules: str) -> None:
    """Says which extra to install, before an import fails.

    Args:
      extra: its name in `pyproject.toml`.
      modules: what it brings and is imported next.

    Raises:
      ModuleNotFoundError: one of the modules is not installed.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(
            f"The extra `{extra}` should be installed: pip install 'adarec-tf[{extra}]'. "
            f"Missing: {', '.join(missing)}.",
            name=missing[0],
        )
