"""From an exception of any depth to one sentence about its cause."""

import re

# The last line of a printed exception. Ours are all ValueErrors whose messages users can act on.
_EXCEPTION_LINE = re.compile(
    r"^(?P<module>(?:\w+\.)*)(?P<type>\w*(?:Error|Exception)): (?P<message>.+)$"
)
_OUR_MODULES = ("adarec_tf.", "components.", "pipeline.", "serving.")
_BEAM_SUFFIX = re.compile(r" \[while running '[^']*'\]")
_MESSAGE_LENGTH = 600


def root_cause(error: BaseException) -> str:
    """One line saying what went wrong.

    Beam reports an error of a worker as a `RuntimeError` whose text is the worker's traceback; the
    cause is then the last exception line in it. Messages of `ValueError`s are written for users
    and stand alone; other exceptions keep their type's name.

    Args:
      error: what a stage raised.

    Returns:
      The message, without a traceback and without line breaks.
    """
    text = _BEAM_SUFFIX.sub("", str(error)).strip()
    matches = [match for line in text.splitlines() if (match := _EXCEPTION_LINE.match(line))]
    if "Traceback (most recent call last)" in text and matches:
        cause = matches[-1]
        kind, message = cause["type"], cause["message"]
        is_for_users = kind == "ValueError" or cause["module"].startswith(_OUR_MODULES)
    else:
        kind, message = type(error).__name__, text.partition("\n")[0]
        is_for_users = isinstance(error, ValueError)
    message = message[:_MESSAGE_LENGTH]
    if is_for_users and message:
        return message
    return f"{kind}: {message}" if message else kind
