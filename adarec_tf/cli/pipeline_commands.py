"""The commands from a log to a student: run, report, profile, compile."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adarec_tf.cli.group import (
    DEFAULT_SCENE,
    PATH,
    RUNS_DIR,
    WatchCommand,
    check_output,
    complete_scene,
    main,
    scene_option,
    set_option,
)
from adarec_tf.config.recipe import EFFORTS

if TYPE_CHECKING:
    from adarec_tf.config.pipeline import PipelineConfig


@main.command()
@scene_option
@click.option(
    "--data",
    type=PATH,
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
@click.option("--recipe", type=PATH, help="A recipe.json of an earlier run: nothing is tried.")
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
@click.option("--workdir", type=PATH, help="[default: runs/<scene>]")
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
@set_option
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
@click.option("--workdir", type=PATH, required=True, help="The folder of a finished run.")
@click.option("--against", type=PATH, help="The folder of another: the page compares the two.")
@click.option(
    "--item-titles", type=PATH, help="A CSV or TSV file with a row an item, its id and title."
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
@scene_option
@click.option("--data", type=PATH, help="A log, whose items are counted.")
@click.option("--num-items", type=click.IntRange(min=1), help="Items, in place of a log.")
@click.option("-o", "--output", type=PATH, default="costs.json", show_default=True)
@set_option
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
    check_output(output)
    # What TensorFlow writes when it is imported helps nobody; errors are exceptions.
    with redirected_output(Path(os.devnull)) as console, console.status("Measuring"):
        from pipeline.scene_costs import measure_scene_costs

        table = measure_scene_costs(config, data, num_items or 0)
    table.write(str(output))
    from adarec_tf.report.costs import print_costs

    print_costs(table)
    click.echo(output)


@main.command("compile", cls=WatchCommand)
@click.option("--target", type=click.Choice(["kubeflow"]), required=True)
@click.option("-o", "--output", type=PATH, required=True, help="FILE.yaml")
@click.option("--scene", default=DEFAULT_SCENE, show_default=True, shell_complete=complete_scene)
@click.option(
    "--image", help="Of every step, with this project in it.  [default: adarec-tf:latest]"
)
@click.option("--root", help="Where the volume is mounted in every step.  [default: /mnt/adarec]")
@click.option("--volume-claim", help="The volume's PersistentVolumeClaim.  [default: adarec]")
@click.option("--pipeline-root", help="Bucket of artifacts.  [default: the cluster's]")
@click.option("--data", "data_path", help="The log.  [default: ROOT/data/interactions.csv]")
@click.option(
    "--resources",
    type=PATH,
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
@set_option
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
