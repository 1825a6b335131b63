"""The group of all commands, and the options that several of them have."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adarec_tf import __version__
from adarec_tf.config.extras import MissingExtraError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

# The one folder below which runs are kept unless --workdir says otherwise.
RUNS_DIR = Path("runs")
DEFAULT_SCENE = "sample"
PATH = click.Path(path_type=Path)

GROUPS = {
    "From a log to a student": ("run", "report", "profile", "compile"),
    "Serving": ("serve", "recommend", "watch", "versions", "rollback"),
}


class _Commands(click.Group):
    """Prints our errors as one line (click prints its own: usage, exit code 2), help in groups."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for title, names in GROUPS.items():
            commands = [(name.ljust(width), self.commands[name]) for name in names]
            limit = formatter.width - width - 6
            rows = [(name, command.get_short_help_str(limit)) for name, command in commands]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, MissingExtraError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            place = f": {error.filename}" if error.filename else ""
            raise click.ClickException(f"{error.strerror or error}{place}") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="adarec")
def main() -> None:
    """Scene-adaptive sequential recommenders: teacher, searched student, distillation, serving."""
    # Before these are first imported: TensorFlow writes notices about this machine's CPU, gRPC its
    # errors (which are raised as well), and other libraries warn of the end of Python versions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    warnings.filterwarnings("ignore", category=FutureWarning)


def complete_scene(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The scenes that begin as what was typed, for the shell.

    Args:
      ctx: of click; not read.
      param: not read.
      incomplete: what was typed.
    """
    from pipeline.configs import SCENES

    return sorted(name for name in SCENES if name.startswith(incomplete))


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="STAGE.FIELD=VALUE",
    help="Change one setting, e.g. --set training.max_epochs=5. Repeatable.",
)


scene_option = click.option(
    "--scene",
    help="A scene of pipeline/configs: its settings.  [default: sample]",
    shell_complete=complete_scene,
)


class WatchCommand(click.Command):
    """Has the limits of the watch as options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Args: of click."""
        from adarec_tf.config.watch import WatchConfig

        return with_fields(self, super().get_params(ctx), WatchConfig.model_fields)


def with_fields(
    command: click.Command, params: list[click.Parameter], fields: "Mapping[str, FieldInfo]"
) -> list[click.Parameter]:
    """The options of a command: its own, those of a config, and `--help`.

    Args:
      command: with its own options.
      params: these and `--help`.
      fields: of the config.
    """
    options = [_field_option(name, field) for name, field in fields.items()]
    return [*command.params, *options, *params[len(command.params) :]]


def _field_option(name: str, field: "FieldInfo") -> click.Option:
    """An option that may be left out, and then is as the config has it."""
    default = field.get_default(call_default_factory=True)
    is_list = isinstance(default, tuple)
    flag = name.removesuffix("s") if is_list else name
    told = " ".join(default) if is_list else default
    is_told = told and not field.default_factory  # or it is of this machine
    return click.Option(
        [f"--{flag.replace('_', '-')}", name],
        type=str if is_list else type(default),
        multiple=is_list,
        help=f"{field.description}{f'  [default: {told}]' if is_told else ''}",
    )


def check_output(path: Path) -> None:
    """Checks where a file is to be written, before anything is done that would be lost.

    Args:
      path: of the file.

    Raises:
      ValueError: its folder is not there.
    """
    if not path.absolute().parent.is_dir():
        raise ValueError(f"The output file should be in an existing folder. Received: {path}.")
