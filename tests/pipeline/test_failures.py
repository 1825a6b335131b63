import pytest

from pipeline.failures import root_cause

BEAM_TEXT = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1495, in apache_beam.runners.common.DoFnRunner.process
  File "adarec_tf/data/log/interactions.py", line 5, in read
adarec_tf.data.log.readers.InteractionsError: log.csv, line 7. [while running 'ReadBlocks']

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "worker.py", line 1, in run
{last}
"""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("`k` should be positive."), "`k` should be positive."),
        (KeyError("teacher"), "KeyError: 'teacher'"),
        (RuntimeError("first line\nsecond line"), "RuntimeError: first line"),
        (MemoryError(), "MemoryError"),
        (ValueError("Bad row. [while running 'Read/Map']"), "Bad row."),
    ],
)
def test_a_plain_error_is_its_first_line(error: Exception, cause: str) -> None:
    assert root_cause(error) == cause


def test_the_last_exception_in_a_workers_traceback_is_the_cause() -> None:
    last = (
        "adarec_tf.data.log.readers.InteractionsError: log.csv, line 7: `timestamp` should "
        "be a number. Received: 'x'. [while running 'ReadBlocks']"
    )
    assert root_cause(RuntimeError(BEAM_TEXT.format(last=last))) == (
        "log.csv, line 7: `timestamp` should be a number. Received: 'x'."
    )


def test_an_exception_that_is_not_written_for_users_keeps_its_type() -> None:
    text = BEAM_TEXT.format(last="pyarrow.lib.ArrowKeyError: no such key")
    assert root_cause(RuntimeError(text)) == "ArrowKeyError: no such key"


def test_the_cause_is_one_line_of_readable_length() -> None:
    cause = root_cause(ValueError("x" * 5000))
    assert len(cause) == 600
