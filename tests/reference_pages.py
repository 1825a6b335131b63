"""What of the docs is made from the code: settings, commands, Python names, and the notebook.

    python -m tests.reference_pages

writes them anew. `tests/test_docs.py` compares them with what stands in `docs`.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import click

import adarec_tf
from adarec_tf.cli import main as command_line
from adarec_tf.config.base import Config
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.teacher import TeacherConfig
from tests.benchmarks.quickstart import readme_script
from tests.benchmarks.stored_results import ROOT, markdown

FOLDER = ROOT / "docs"
_SETTINGS = """# Settings

`adarec run --set STAGE.FIELD=VALUE` changes a setting; a [recipe](../guides/recipe.md) sets those
that are not given. There are {count}, those of all kinds of teachers included. An unknown name, or
a value that is not allowed, is an error before anything runs. This page is generated from the
configs (`make docs`).
"""
_COMMANDS = """# Commands

This page is generated from the command line (`make docs`).

With this line in `~/.bashrc`, or in `~/.zshrc` with `zsh_source`, the shell completes commands,
options, scenes and files. In fish it is `_ADAREC_COMPLETE=fish_source adarec | source`.

```shell
eval "$(_ADAREC_COMPLETE=bash_source adarec)"
```
"""
_API = """# Python names

`import adarec_tf as ar` has these. [In Python](../guides/python.md) shows how they go together.
This page is generated from the docstrings (`make docs`).
"""
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
}


def settings_page() -> str:
    """Every setting with its default, its values and its description."""
    stages: dict[str, tuple[type[Config], str]] = {}
    for stage, field in PipelineConfig.model_fields.items():
        if stage == "teacher":
            for kind in teacher_kinds():
                stages[f"teacher, {kind.model_fields['name'].default}"] = kind, "teacher."
        elif isinstance(field.default, Config):
            stages[stage] = type(field.default), f"{stage}."
    of_run = [row for row in setting_rows(PipelineConfig, "") if "." not in row["setting"]]
    of_stages = {title: [*setting_rows(*stage)] for title, stage in stages.items()}
    names = {row["setting"] for rows in (of_run, *of_stages.values()) for row in rows}
    parts = [_SETTINGS.format(count=len(names)), f"## run\n\n{markdown(of_run)}"]
    for title, rows in of_stages.items():
        first_line = (stages[title][0].__doc__ or "").splitlines()[0]
        parts.append(f"## {title}\n\n{first_line}\n\n{markdown(rows)}")
    return "\n".join(parts)


def teacher_kinds() -> list[type[TeacherConfig]]:
    """The configs of the library's own teachers."""
    kinds = TeacherConfig.KINDS.values()
    return [kind for kind in kinds if kind.__module__ == TeacherConfig.__module__]


def setting_rows(kind: type[Config], prefix: str) -> Iterator[dict[str, str]]:
    """A row for each setting of a config, and of the configs inside it.

    Args:
      kind: the config's class.
      prefix: what stands before the names of its fields.
    """
    schemas = kind.model_json_schema()["properties"]
    for name, field in kind.model_fields.items():
        if isinstance(field.default, Config):
            yield from setting_rows(type(field.default), f"{prefix}{name}.")
            continue
        default = field.get_default(call_default_factory=True)
        yield {
            "setting": f"`{prefix}{name}`",
            "default": "" if field.is_required() else f"`{json.dumps(default)}`",
            "values": _values(schemas[name]),
            "what it is": " ".join((field.description or "").split()),
        }


def _values(schema: dict[str, Any]) -> str:
    """What a setting may be, in words."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_values(part) for part in schema["anyOf"])
    kind = schema["type"]
    if kind == "array":
        return f"list of: {_values(schema['items'])}"
    if kind == "object":
        return f"text to: {_values(schema['additionalProperties'])}"
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    words = {"string": "text", "boolean": "`true`, `false`", "null": "null"}
    return " ".join([words.get(kind, kind), ", ".join(bounds)]).strip()


def commands_page() -> str:
    """Every command of `adarec` with its options."""
    parts = [_COMMANDS]
    for name, command in sorted(command_line.commands.items()):
        if command.hidden:
            continue
        parts.append(f"## adarec {name}\n\n{_help_text(command)}\n")
        params = command.get_params(click.Context(command, help_option_names=[]))
        options = [option for option in params if isinstance(option, click.Option)]
        shown = [option for option in options if not option.hidden]
        if rows := list(map(_option_row, shown)):
            parts.append(markdown(rows))
    return "\n".join(parts)


def _help_text(command: click.Command) -> str:
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(text.replace("\b", "").split()) for text in paragraphs)


def _option_row(option: click.Option) -> dict[str, str]:
    if isinstance(option.type, click.Choice):
        value = f" {' or '.join(option.type.choices)}"
    else:
        value = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    default = f" [default: {option.default}]" if option.show_default else ""
    return {
        "option": ", ".join(f"`{name}{value}`" for name in option.opts),
        "what it does": " ".join((option.help or "").split()).replace("<", "\\<")
        + (" Required." if option.required else default),
    }


def api_page() -> str:
    """Every public name, in the words with which mkdocstrings takes its docstring."""
    names = sorted(set(adarec_tf.__all__) - {"__version__"}, key=str.lower)
    homes = {name: getattr(adarec_tf, name).__module__ for name in names}
    parts = [f"## ar.{name}\n\n::: {homes[name]}.{name}\n" for name in names]
    return "\n".join([_API, *parts])


def notebook() -> str:
    """The README's script, a cell for each of its paragraphs."""
    text = "# From a log to a served student\n\nThe README's script; it takes a few minutes."
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "source": text}]
    for code in readme_script().strip().split("\n\n"):
        cells.append({"cell_type": "code", "source": code, "outputs": [], "execution_count": None})
    for number, cell in enumerate(cells):
        cell |= {"id": f"cell-{number}", "metadata": {}}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    stored = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(stored, indent=1, ensure_ascii=False) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "reference/api.md": api_page,
    "guides/quickstart.ipynb": notebook,
}


def main() -> None:
    """Writes the pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
