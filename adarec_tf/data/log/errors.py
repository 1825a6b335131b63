"""What is wrong with a raw log."""


class InteractionsError(ValueError):
    """A log cannot be read; the message names the file, the place in it and what should hold."""
