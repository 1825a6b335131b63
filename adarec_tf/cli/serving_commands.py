"""The commands of serving: serve, recommend, watch, versions, rollback."""

import glob
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adarec_tf.cli.group import (
    PATH,
    RUNS_DIR,
    WatchCommand,
    check_output,
    main,
    with_fields,
)

if TYPE_CHECKING:
    from serving.client import RecommendClient

# TensorFlow and a bundle are loaded by then: 23 s on a machine whose cores are all busy.
_SERVER_START_S = 60.0

_workdir_option = click.option("--workdir", type=PATH, help="What this run pushed.")
_model_dir_option = click.option("--model-dir", type=PATH, help="This folder of numbered versions.")


class _ServeCommand(click.Command):
    """Has the options of the server as well, which are imported only where they are asked for."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from serving.server_options import ServerOptions

        return with_fields(self, super().get_params(ctx), ServerOptions.model_fields)


@main.command(cls=_ServeCommand)
@_workdir_option
@_model_dir_option
@click.option("--model-name", help="The name that requests give.  [default: as it was pushed]")
@click.option(
    "--model-config-file",
    type=PATH,
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


@main.command(cls=WatchCommand)
@click.option("--workdir", type=PATH, required=True, help="The folder of the runs.")
@click.option(
    "--data",
    type=PATH,
    help="The log, with what was trained on and new events.  [default: that of the last run]",
)
@click.option("--json", "json_file", type=PATH, help="Write what was found to this file.")
@click.option("--metrics", type=PATH, help="Write it as Prometheus metrics to this file.")
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
        check_output(file)
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
