"""The command line, `adarec`: every command is one call into the pipeline or into serving.

Both are imported inside the commands, so that `--help` and a wrong argument answer at once.
"""

from adarec_tf.config.extras import MissingExtraError

try:
    from adarec_tf.cli import pipeline_commands, serving_commands
    from adarec_tf.cli.group import main
except ModuleNotFoundError as error:
    if error.name != "click":
        raise
    raise MissingExtraError("pipeline", ["click"]) from error

__all__ = ["main", "pipeline_commands", "serving_commands"]
