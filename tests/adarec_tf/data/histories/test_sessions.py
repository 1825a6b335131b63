"""The unit of the gap between sessions."""

import pytest

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.sessions import check_time_unit, session_gap


def test_the_gap_is_in_the_unit_of_the_times() -> None:
    config = DataConfig(session_gap_seconds=1.5, time_unit="milliseconds")
    assert session_gap(config, 1) == 1500
    assert session_gap(config, 10**6) == 1.5e9


@pytest.mark.parametrize(
    ("unit", "time", "message"),
    [
        ("seconds", 1.7e12, r"go 53,871 years from 1970 in seconds, 54 in milliseconds\. Received"),
        ("seconds", 1.7e15, r"in seconds, 54 in microseconds\. Received: time_unit='seconds'"),
        ("milliseconds", 1.7e15, r"go 53,871 years from 1970 in milliseconds, 54 in microseconds"),
        ("microseconds", 1.7e18, r"in microseconds, and far in each unit\. Received"),
    ],
)
def test_a_unit_that_is_centuries_off_is_refused(unit: str, time: float, message: str) -> None:
    config = DataConfig(session_gap_seconds=60.0, time_unit=unit)
    with pytest.raises(
        ValueError, match=rf"`time_unit` should be that of the log's times.*{message}"
    ):
        check_time_unit(config, time)
    check_time_unit(DataConfig(time_unit=unit), time)  # of no matter without sessions


@pytest.mark.parametrize(
    ("unit", "time"),
    [("seconds", 1.7e9), ("milliseconds", 1.7e12), ("microseconds", 1.7e15), ("seconds", 5.0)],
)
def test_times_of_today_and_places_in_a_row_are_in_their_unit(unit: str, time: float) -> None:
    check_time_unit(DataConfig(session_gap_seconds=60.0, time_unit=unit), time)
