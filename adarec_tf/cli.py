"""The command line, `adarec`: every command is one call into the pipeline or into serving.

Both are imported inside the commands, so that `--help` and a wrong argument answer at once.
"""

import glob
import json
import math
import os
import shlex
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adarec_tf import __version__
from adarec_tf.config.extras import MissingExtraError
from adarec_tf.config.recipe import EFFORTS

try:
    import click
except ModuleNotFoundError as error:
    raise MissingExtraError("pipeline", ["click"]) from error

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from adarec_tf.config.pipeline import PipelineConfig
    from serving.client import RecommendClient

# The one folder below which runs are kept unless --workdir says otherwise.
RUNS_DIR = Path("runs")
DEFAULT_SCENE = "sample"
# TensorFlow and a bundle are loaded by then: 23 s on a machine whose cores are all busy.
_SERVER_START_S = 60.0
_PATH = click.Path(path_type=Path)


_GROUPS = {
    "From a log to a student": ("run", "report", "profile", "compile"),
    "Serving": ("serve", "recommend", "watch", "versions", "rollback"),
}


class _Commands(click.Group):
    """Prints our errors as one line (click prints its own: usage, exit code 2), help in groups."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for title, names in _GROUPS.items():
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


def _complete_scene(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from pipeline.configs import SCENES

    return sorted(name for name in SCENES if name.startswith(incomplete))


_set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="STAGE.FIELD=VALUE",
    help="Change one setting, e.g. --set training.max_epochs=5. Repeatable.",
)


_scene_option = click.option(
    "--scene",
    help="A scene of pipeline/configs: its settings.  [default: sample]",
    shell_complete=_complete_scene,
)


@main.command()
@_scene_option
@click.option(
    "--data",
    type=_PATH,
    help="A log: a file, a folder of files, or daily folders as 'logs/{YYYY}-{MM}-{DD}/*'.",
)
@click.option("--user-column", help="Name of the log's user column.")
@click.option("--item-column", help="Name of the log's item column.")
@click.option("--time-column", help="Name of the log's time column.")
@click.option("--event-column", help="Name of a column that says what a row is: view, purchase.")
@click.option(
    "--effort",
    type=click.Choice(EFFORTS),
    help="How much is tried to find the recipe of a log.  [default: standard]",
)
@click.option("--recipe", type=_PATH, help="A recipe.json of an earlier run: nothing is tried.")
@click.option("--max-latency-ms", type=float, help="Highest median latency of the student.")
@click.option("--max-bytes", type=int, help="Most bytes of the student's bundle.")
@click.option(
    "--max-teacher-share",
    type=float,
    help="Most bytes of the student's bundle, as a share of the teacher's.  [default: 0.2]",
)
@click.option(
    "--item-titles", help="For the report: a CSV or TSV file with a row an item, its id and title."
)
@click.option("--workdir", type=_PATH, help="[default: runs/<scene>]")
@click.option("--seed", type=int, help="Of everything random.")
@click.option(
    "--beam-args",
    default="",
    metavar='"--NAME=VALUE ..."',
    help='Where the Beam stages run, e.g. "--runner=FlinkRunner --flink_master=HOST:8081".',
)
@click.option(
    "--warm-start",
    type=click.Choice(["last", "last-or-cold"]),
    help="Continue from the last blessed run on an earlier log; or begin anew if there is none.",
)
@click.option(
    "--search-again", is_flag=True, help="With --warm-start: search a student, keep none."
)
@click.option("--dry-run", is_flag=True, help="Say what would run, and do nothing.")
@_set_option
def run(
    scene: str | None,
    data: Path | None,
    workdir: Path | None,
    seed: int | None,
    effort: str | None,
    recipe: Path | None,
    max_latency_ms: float | None,
    max_bytes: int | None,
    max_teacher_share: float | None,
    item_titles: str | None,
    beam_args: str,
    warm_start: str | None,
    search_again: bool,
    dry_run: bool,
    settings: tuple[str, ...],
    **columns: str | None,
) -> None:
    """Run the pipeline from a log of interactions to a student that can be served.

    What an earlier run in the same workdir has done is not done again; an interrupted run
    continues. Without --scene and --data the built-in sample scene is run.
    """
    from pipeline.run import EXIT_INTERRUPTED, RunInterruptedError, run_pipeline

    if recipe and effort:
        raise click.UsageError(
            "--recipe and --effort exclude each other: with a recipe nothing is tried."
        )
    given = [f"data.{name}={value}" for name, value in columns.items() if value is not None]
    options = {
        "seed": seed,
        "effort": effort,
        "search.latency_budget_ms": max_latency_ms,
        "evaluation.max_latency_ms": max_latency_ms,
        "evaluation.max_bundle_bytes": max_bytes,
        "evaluation.max_teacher_share": max_teacher_share,
    }
    given += [f"{name}={value}" for name, value in options.items() if value is not None]
    config = _configure(scene, data, [*given, *settings], recipe)
    folder = workdir or RUNS_DIR / config.scene
    if dry_run:
        _print_plan(config, data, folder, warm_start or "", search_again)
        return
    try:
        finished = run_pipeline(
            config,
            data,
            folder,
            beam_arguments=_split_arguments(beam_args),
            warm_start=warm_start or "",
            search_again=search_again,
            item_titles=item_titles or "",
        )
    except RunInterruptedError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_INTERRUPTED)
    from adarec_tf.report.summary import print_summary

    program = click.get_current_context().find_root().info_name or ""
    command = program if program.startswith("python") else shlex.quote(sys.argv[0])
    print_summary(**finished._asdict(), command=command)


def _print_plan(
    config: "PipelineConfig", data: Path | None, folder: Path, warm_start: str, search_again: bool
) -> None:
    from adarec_tf.config.extras import require_extra
    from pipeline.scene_data import check_log
    from pipeline.screen import STAGES, redirected_output
    from pipeline.workdir import Workdir

    require_extra("pipeline", "tfx", "apache_beam")
    spans = check_log(config, data)
    # What TFX writes while it is imported helps nobody; errors are exceptions.
    with redirected_output(Path(os.devnull)) as console, console.status("Looking"):
        from pipeline.dry_run import plan_run

        plan = plan_run(config, data, Workdir(folder), warm_start, search_again)
    if spans:
        click.echo(f"Spans {spans}.")
    if plan.start:
        click.echo(plan.start)
    for number, (stage, title) in enumerate(STAGES.items(), start=1):
        outcome = "cached" if plan.is_cached[stage] else "would run"
        click.echo(f"{number:>2}/{len(STAGES)}  {title:<30} {outcome}")
    for line in (plan.basis, *map(str, plan.decisions)):
        click.echo(f"       {line}")


def _configure(
    scene: str | None, data: Path | None, settings: Sequence[str], recipe: Path | None = None
) -> "PipelineConfig":
    """The settings of a scene, of a recipe, or of a log that has neither."""
    from pipeline.configs import custom_config, scene_config

    if recipe and (scene or not data):
        raise click.UsageError("--recipe comes with --data, and without --scene.")
    if data and not scene:
        config = custom_config(data, str(recipe or ""))
    else:
        config = scene_config(scene or DEFAULT_SCENE)
    return config.override(settings)


def _split_arguments(text: str) -> list[str]:
    """The arguments of a quoted line, as a shell would split it."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(
            f"`--beam-args` should be arguments as in a shell. Received: {text!r} ({error})."
        ) from error


@main.command()
@click.option("--workdir", type=_PATH, required=True, help="The folder of a finished run.")
@click.option("--against", type=_PATH, help="The folder of another: the page compares the two.")
@click.option(
    "--item-titles", type=_PATH, help="A CSV or TSV file with a row an item, its id and title."
)
def report(workdir: Path, against: Path | None, item_titles: Path | None) -> None:
    """Write the page of a run anew, with titles of its items, or beside another run.

    Two runs may be of one log, or two days of a recurring run. Nothing is measured again.
    """
    from adarec_tf.report.page import comparison_page, read_checks, read_facts, run_page
    from adarec_tf.report.titles import read_titles
    from pipeline.workdir import Workdir

    folder = Workdir(workdir)
    facts = read_facts(folder.report_facts)
    if against is None:
        titles = read_titles(item_titles) if item_titles else {}
        page, path = run_page(facts, titles, read_checks(folder.watch)), folder.report
    else:
        other = Workdir(against)
        runs = {str(workdir): facts, str(against): read_facts(other.report_facts)}
        page, path = comparison_page(runs), folder.root / f"against_{other.root.name}.html"
    path.write_text(page, "utf-8")
    click.echo(path)


@main.command()
@_scene_option
@click.option("--data", type=_PATH, help="A log, whose items are counted.")
@click.option("--num-items", type=click.IntRange(min=1), help="Items, in place of a log.")
@click.option("-o", "--output", type=_PATH, default="costs.json", show_default=True)
@_set_option
def profile(
    scene: str | None,
    data: Path | None,
    num_items: int | None,
    output: Path,
    settings: tuple[str, ...],
) -> None:
    """Measure on this machine what the students of a scene cost.

    The file written is for search.cost_table: searches that go by it weigh costs and keep budgets
    (search.latency_budget_ms, max_macs, max_parameters, max_bytes) by the same figures.
    """
    from pipeline.screen import redirected_output

    config = _configure(scene, data, settings)
    _check_output(output)
    # What TensorFlow writes when it is imported helps nobody; errors are exceptions.
    with redirected_output(Path(os.devnull)) as console, console.status("Measuring"):
        from pipeline.scene_costs import measure_scene_costs

        table = measure_scene_costs(config, data, num_items or 0)
    table.write(str(output))
    from adarec_tf.report.costs import print_costs

    print_costs(table)
    click.echo(output)


def _check_output(path: Path) -> None:
    """Before anything is done whose outcome could not be written."""
    if not path.absolute().parent.is_dir():
        raise ValueError(f"The output file should be in an existing folder. Received: {path}.")


_workdir_option = click.option("--workdir", type=_PATH, help="What this run pushed.")
_model_dir_option = click.option(
    "--model-dir", type=_PATH, help="This folder of numbered versions."
)


class _ServeCommand(click.Command):
    """Has the options of the server as well, which are imported only where they are asked for."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from serving.server_options import ServerOptions

        return _with_fields(self, super().get_params(ctx), ServerOptions.model_fields)


class _WatchCommand(click.Command):
    """Has the limits of the watch as options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from adarec_tf.config.watch import WatchConfig

        return _with_fields(self, super().get_params(ctx), WatchConfig.model_fields)


def _with_fields(
    command: click.Command, params: list[click.Parameter], fields: "Mapping[str, FieldInfo]"
) -> list[click.Parameter]:
    """The options of a command, behind its own those of a config, and `--help`."""
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


@main.command(cls=_ServeCommand)
@_workdir_option
@_model_dir_option
@click.option("--model-name", help="The name that requests give.  [default: as it was pushed]")
@click.option(
    "--model-config-file",
    type=_PATH,
    help="Several models, version policies, labels: as the stock server's.",
)
def serve(
    workdir: Path | None,
    model_dir: Path | None,
    model_name: str | None,
    model_config_file: Path | None,
    **options: Any,
) -> None:
    """Serve a pushed student over gRPC (TensorFlow Serving's API) until told to stop.

    Without --workdir, --model-dir and --model-config-file: the newest run below runs/. New versions
    are picked up.
    """
    if sum(map(bool, (workdir, model_dir, model_config_file))) > 1:
        raise click.UsageError("--workdir, --model-dir and --model-config-file exclude each other.")
    given = {name: value for name, value in options.items() if value not in (None, ())}
    folder = None if model_config_file else model_dir or _pushed_models(workdir)
    from serving.local_server import serve as serve_folder
    from serving.local_server import serve_models, shutdown_event
    from serving.model_config import read_model_config_file
    from serving.server_options import ServerOptions

    shutdown_requested = shutdown_event()
    if folder:
        server = serve_folder(folder, model_name or folder.absolute().name, **given)
    else:
        models = read_model_config_file(Path(model_config_file or ""))
        server = serve_models(models, ServerOptions(**given))
    with server:
        served = ", ".join(
            f"version {' and '.join(map(str, versions))} as {name!r}"
            for name, versions in server.available_versions.items()
        )
        click.echo(
            f"Serving {folder or model_config_file} {served} on {server.address}. Ctrl-C stops it."
        )
        sys.stdout.flush()
        shutdown_requested.wait()


@main.command(cls=_WatchCommand)
@click.option("--workdir", type=_PATH, required=True, help="The folder of the runs.")
@click.option(
    "--data",
    type=_PATH,
    help="The log, with what was trained on and new events.  [default: that of the last run]",
)
@click.option("--json", "json_file", type=_PATH, help="Write what was found to this file.")
@click.option("--metrics", type=_PATH, help="Write it as Prometheus metrics to this file.")
def watch(
    workdir: Path,
    data: Path | None,
    json_file: Path | None,
    metrics: Path | None,
    **limits: Any,
) -> None:
    """Say whether the scene has changed since the last blessed run, and what to do.

    Exit code 0: all is fine; 10: run again with --warm-start; 20: with --search-again as well.
    """
    from adarec_tf.config.extras import require_extra
    from adarec_tf.config.watch import WatchConfig
    from adarec_tf.watch.scene_check import EXIT_CODES
    from pipeline.screen import redirected_output
    from pipeline.workdir import Workdir

    for file in filter(None, (json_file, metrics)):
        _check_output(file)
    require_extra("pipeline", "tfx", "apache_beam")
    given = {name: value for name, value in limits.items() if value is not None}
    config = WatchConfig(**given)
    folder = Workdir(workdir)
    with redirected_output(Path(os.devnull)) as console, console.status("Looking") as status:
        from pipeline.watch import watch_run

        record = watch_run(data, folder, config, status.update)
    if json_file:
        json_file.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    if metrics:
        from adarec_tf.watch.metrics import write_metrics

        write_metrics(os.fspath(metrics), record)
    from adarec_tf.report.watch_table import print_check

    print_check(record)
    sys.exit(EXIT_CODES[record["answer"]])


@main.command()
@_workdir_option
@_model_dir_option
def versions(workdir: Path | None, model_dir: Path | None) -> None:
    """List pushed versions, newest first, and why others were taken back."""
    from adarec_tf.export.versions import list_versions

    for pushed in list_versions(model_dir or _pushed_models(workdir)):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(pushed.pushed_at))
        size = f"{pushed.size_bytes / 1e6:.2f} MB" if pushed.size_bytes else "-"
        line = f"{pushed.version}\t{pushed.state}\t{when}\t{size}\t{pushed.note}"
        click.echo(line.rstrip())


@main.command()
@_workdir_option
@_model_dir_option
@click.option("--to", type=int, default=0, help="The version to go back to.  [default: one back]")
def rollback(workdir: Path | None, model_dir: Path | None, to: int) -> None:
    """Withdraw the newest version, so that servers go back to the one before.

    Withdrawn versions are deleted, and their numbers are not used again.
    """
    from adarec_tf.export.versions import find_versions, roll_back

    folder = model_dir or _pushed_models(workdir)
    withdrawn = ", ".join(map(str, roll_back(folder, to)))
    click.echo(f"{folder} is back at version {find_versions(folder)[-1]}; withdrawn: {withdrawn}.")


def _pushed_models(workdir: Path | None) -> Path:
    from pipeline.workdir import newest_pushed_models

    return newest_pushed_models(glob.escape(str(workdir)) if workdir else str(RUNS_DIR / "*"))


@main.command()
@click.option("--history", required=True, help="Raw item ids, oldest first: a,b,c.")
@click.option("--k", default=10, show_default=True, help="How many items.")
@click.option("--server", default="localhost:8500", show_default=True, help="HOST:PORT.")
@click.option("--model-name", default="student", show_default=True)
@click.option("--keep-seen", is_flag=True, help="Recommend items of the history as well.")
@click.option("--tls-ca", default="", help="PEM file: ask with TLS, trusting it.")
@click.option("--tls-cert", default="", help="PEM file: a certificate of one's own.")
@click.option("--tls-key", default="", help="PEM file.")
def recommend(
    history: str,
    k: int,
    server: str,
    model_name: str,
    keep_seen: bool,
    **tls: str,
) -> None:
    """Ask a running server for the next items of one history.

    A server that was started a moment ago is waited for. Items that the model does not know are
    named on the error stream; they change nothing.
    """
    from serving.client import RecommendClient, RecommendError, parse_history
    from serving.connection import read_credentials

    try:
        credentials, keys = read_credentials(**tls), parse_history(history)
        _wait_for_server(server)
        with RecommendClient(server, model_name, credentials=credentials) as client:
            [items] = client.recommend([keys], k, exclude_seen=not keep_seen)
            _name_unknown(client, keys)
    except RecommendError as error:
        raise click.ClickException(str(error)) from error
    if not sys.stdout.isatty():
        for item in items:
            click.echo(f"{item.item_id}\t{item.score:.6g}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("rank", "item", "score")
    for rank, item in enumerate(items, start=1):
        table.add_row(str(rank), item.item_id, f"{item.score:.4f}")
    Console().print(table)


def _wait_for_server(address: str) -> None:
    """Waits until something listens at an address, for as long as a server takes to start."""
    from serving.connection import Listener, find_listener

    if find_listener(address) is not Listener.NONE:
        return
    click.echo(f"No server listens at {address} yet: waiting {_SERVER_START_S:g} s.", err=True)
    until = time.monotonic() + _SERVER_START_S
    while time.monotonic() < until and find_listener(address) is Listener.NONE:
        time.sleep(0.1)


def _name_unknown(client: "RecommendClient", history: Sequence[str]) -> None:
    """Says which items of a history the model does not know: they have no score."""
    from serving.client import RecommendError

    keys = [key for key in dict.fromkeys(history) if key]
    if not keys:
        return
    try:
        [scores] = client.score([keys], [keys])
    except RecommendError:
        return  # a bundle of others may have no scores to ask for
    unknown = [key for key, score in zip(keys, scores, strict=True) if score == -math.inf]
    if unknown:
        left = "" if len(unknown) < len(keys) else " None is left: these are items for anybody."
        click.echo(
            f"The model does not know these items, and ignores them: {', '.join(unknown)}.{left}",
            err=True,
        )


@main.command("compile", cls=_WatchCommand)
@click.option("--target", type=click.Choice(["kubeflow"]), required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="FILE.yaml")
@click.option("--scene", default=DEFAULT_SCENE, show_default=True, shell_complete=_complete_scene)
@click.option(
    "--image", help="Of every step, with this project in it.  [default: adarec-tf:latest]"
)
@click.option("--root", help="Where the volume is mounted in every step.  [default: /mnt/adarec]")
@click.option("--volume-claim", help="The volume's PersistentVolumeClaim.  [default: adarec]")
@click.option("--pipeline-root", help="Bucket of artifacts.  [default: the cluster's]")
@click.option("--data", "data_path", help="The log.  [default: ROOT/data/interactions.csv]")
@click.option(
    "--resources",
    type=_PATH,
    help="YAML or JSON: what steps ask for, as TeacherTrainer: {cpu: 4, memory_gb: 16, gpus: 1}.",
)
@click.option("--item-titles", help="For the report: where the steps find the titles of items.")
@click.option("--cache-log", is_flag=True, help="The log's content never changes.")
@click.option(
    "--watch",
    is_flag=True,
    help="Run the steps only where the scene has changed since the last push, within the limits.",
)
@click.option("--warm-start", hidden=True)
@_set_option
def compile_(
    target: str,
    output: Path,
    scene: str,
    resources: Path | None,
    watch: bool,
    warm_start: str | None,
    settings: tuple[str, ...],
    **options: Any,
) -> None:
    """Compile the pipeline for another orchestrator."""
    del target  # there is one
    from adarec_tf.config.watch import WatchConfig

    given = {name: value for name, value in options.items() if value is not None}
    limits = {name: given.pop(name) for name in WatchConfig.model_fields if name in given}
    if limits and not watch:
        option = next(iter(limits)).replace("_", "-")
        raise ValueError(f"--{option} should come with --watch. Received: no --watch.")
    if watch:
        given["watch"] = WatchConfig(**limits)
    if warm_start is not None:
        raise ValueError(
            "--warm-start should be left to `adarec run`, which finds the earlier run in its "
            f"workdir; a run on Kubeflow begins anew. Received: --warm-start {warm_start}."
        )
    from pipeline.kubeflow.resources import read_resources
    from pipeline.kubeflow.runner import compile_pipeline
    from pipeline.screen import redirected_output

    config = _configure(scene, None, settings)
    if resources:
        given["resources"] = read_resources(resources)
    # What TFX writes while it is imported helps nobody; errors are exceptions.
    with redirected_output(Path(os.devnull)):
        compile_pipeline(config, output, **given)
    click.echo(output)
