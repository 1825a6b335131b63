"""Where the command line prints its tables and lines.

Lines go out by `Console.out`: paths and commands in them are there to be copied, so they are not
wrapped, and brackets in them are no markup.
"""

import sys

from rich.console import Console

# Wide enough for every table where there is no terminal to ask.
_PLAIN_WIDTH = 140


def standard_output() -> Console:
    """The console of standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
