"""Where the command line prints its tables and lines."""

import sys

from rich.console import Console

# Wide enough for every table where there is no terminal to ask.
_PLAIN_WIDTH = 140


def standard_output() -> Console:
    """The console of standard output."""
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def print_lines(console: Console, *lines: str) -> None:
    """Prints lines as they are: paths and commands in them are there to be copied.

    Args:
      console: where to.
      *lines: not wrapped, and without markup.
    """
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
