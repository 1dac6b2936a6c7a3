"""Rate and time left, with a clock by hand."""

import pytest

from rstar.pipeline.progress import WINDOW_S, Pace


def test_nothing_is_said_of_a_rate_before_there_is_one():
    pace = Pace()
    assert (pace.rate, pace.words(5, 10)) == (None, "5 of 10")
    pace.heard(5, 0.0)
    pace.heard(5, 10.0)
    assert pace.words(5, 10) == "5 of 10"


def test_what_was_done_before_the_start_is_no_speed():
    pace = Pace()
    pace.heard(500, 0.0)
    pace.heard(520, 10.0)
    assert pace.rate == 2.0
    assert pace.words(520, 600) == "520 of 600, 2.0/s, 0:00:40 left"
    pace.heard(600, 50.0)
    assert pace.words(600, 600) == "600 of 600, 2.0/s"


def test_a_rate_is_that_of_the_last_minute():
    pace = Pace()
    for second in range(300):
        pace.heard(second * (10 if second < 100 else 1) + (900 if second >= 100 else 0), float(second))
    assert pace.rate == pytest.approx(1.0)
    assert len(pace._points) <= WINDOW_S + 3


def test_many_reports_within_a_second_are_one_point():
    pace = Pace()
    for i in range(10_000):
        pace.heard(i, i / 10_000)
    assert len(pace._points) == 2
    assert pace.rate == pytest.approx(10_000, rel=0.01)


def test_slow_stages_are_told_by_the_minute():
    pace = Pace()
    pace.heard(0, 0.0)
    pace.heard(1, 30.0)
    assert pace.words(1, 3) == "1 of 3, 2.0/min, 0:01:00 left"
