"""The quantiles of what took how long lately."""

from __future__ import annotations

import math

import pytest

from lfm_voice_ros.core.latencies import Latencies


def test_quantiles_are_of_the_times_of_that_name() -> None:
    latencies = Latencies()
    for number in range(1, 101):
        latencies.add("reply", number / 100)
        latencies.add("end", 7.0)

    assert latencies.quantiles("reply") == pytest.approx((0.505, 0.9505, 100))
    assert latencies.quantiles("end") == (7.0, 7.0, 100)
    assert latencies.names() == ("reply", "end")


def test_what_did_not_happen_does_not_count() -> None:
    latencies = Latencies()
    for seconds in (math.nan, 1.0, math.inf, 3.0):
        latencies.add("tools", seconds)

    assert latencies.quantiles("tools") == pytest.approx((2.0, 2.9, 2))


def test_a_name_without_times_has_no_quantiles() -> None:
    half, most, number = Latencies().quantiles("tools")

    assert math.isnan(half)
    assert math.isnan(most)
    assert number == 0


def test_only_the_newest_are_remembered() -> None:
    latencies = Latencies(window=3)
    for seconds in (9.0, 9.0, 1.0, 2.0, 3.0):
        latencies.add("reply", seconds)

    assert latencies.quantiles("reply") == pytest.approx((2.0, 2.9, 3))
