"""What a plan is calculated with: forecasts and simulations whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import size_plan
from benchmarks.size_plan import Costs, cores_for, forecast, indexed, simulated, told


def test_a_forecast_is_the_power_that_was_measured():
    costs = [Costs(n, 2.0 * n**1.1, 5.0 * n, 7.0) for n in (10, 1_000, 30_000)]
    assert forecast(costs, "seconds", 10**6) == pytest.approx(2.0 * 10**6.6)
    assert forecast(costs, "peak_mb", 10**6) == pytest.approx(5.0 * 10**6)
    assert forecast(costs, "disk_mb", 10**6) == pytest.approx(7.0)


def test_who_is_alone_does_not_wait():
    seen = simulated(0.5, 1, np.array([20.0]))
    assert seen.p95_ms == pytest.approx(20.0)
    assert seen.refused == 0.0


def test_what_cannot_be_done_is_turned_away():
    seen = simulated(200.0, 1, np.array([10.0]))  # a hundred a second can be answered
    assert seen.refused == pytest.approx(0.5, abs=0.02)
    waiting = size_plan.WORDS_AT_ONCE + size_plan.ServiceOptions().waiting
    assert 0.8 * waiting * 10.0 < seen.p95_ms <= waiting * 10.0 + 1e-6


def test_waiting_is_that_of_the_textbook():
    """Mean time in an M/D/1 queue: service · (1 + load / (2 · (1 - load)))."""
    rng = np.random.default_rng(0)
    times = []
    free = 0.0
    for arrival in np.cumsum(rng.exponential(1.0 / 60.0, 60_000)).tolist():
        free = max(arrival, free) + 0.010
        times.append(1_000.0 * (free - arrival))
    ours = simulated(60.0, 1, np.array([10.0]), seconds=1_000.0)
    assert np.mean(times) == pytest.approx(10.0 * (1 + 0.6 / (2 * 0.4)), rel=0.03)
    assert ours.p95_ms == pytest.approx(float(np.percentile(times, 95)), rel=0.05)


def test_cores_are_as_few_as_do_it():
    cores = cores_for(300.0, np.array([10.0]))
    assert cores >= 4  # three would be busy all the time
    assert simulated(300.0, cores, np.array([10.0])).refused <= size_plan.MOST_REFUSED
    fewer = simulated(300.0, cores - 1, np.array([10.0]))
    assert fewer.refused > size_plan.MOST_REFUSED or fewer.p95_ms > size_plan.MOST_P95_MS


def test_machines_that_never_fail_take_what_they_take(monkeypatch):
    monkeypatch.setattr(size_plan, "FAILS_EVERY_H", 1e12)
    work = 10 * 16 * 86_400.0
    assert indexed(work, 10) == pytest.approx(1.0)
    assert indexed(work, 5) == pytest.approx(2.0)


def test_machines_that_fail_take_as_much_longer_as_they_are_away(monkeypatch):
    monkeypatch.setattr(size_plan, "FAILS_EVERY_H", 10.0)
    monkeypatch.setattr(size_plan, "BACK_AFTER_H", 5.0)
    work = 40 * 16 * 20 * 86_400.0
    days = np.mean([indexed(work, 40, seed) for seed in range(4)])
    assert days == pytest.approx(20 * 1.5, rel=0.05)


def test_the_table_says_all_of_it():
    costs = {"songs": 1_000, "seconds": 1.0, "peak_mb": 2.0, "disk_mb": 3.0, "query_ms": 0.5}
    found = {
        "goal": size_plan.GOAL,
        "indexes": [costs],
        "shelves": [costs | {"query_ms": float("nan")}],
        "reading": {"recording_s": 0.6, "words_s": 0.02, "keeping_s": 2e-5},
        "service_ms": {"mean": 9.0, "p95": 12.0},
        "check": {
            "rate": 50.0,
            "measured": {"p95_ms": 20.0, "refused": 0.0},
            "simulated": {"p95_ms": 30.0, "refused": 0.0},
            "index": {"seconds": [1.0, 2.0]},
            "shelf": {"disk_mb": [3.0, 4.0]},
        },
        "forecast": {
            "catalogue_gb": 27.0,
            "shelf_gb": 7.8,
            "making_s": 900.0,
            "making_gb": 26.0,
            "query_ms": 0.2,
            "core_days": {"recording": 700.0, "words": 20.0},
            "keeping_days": 0.1,
            "machines": {"recording": 7, "words": 1},
            "cores": {"100": 2},
        },
    }
    text = told(found)
    assert "100,000,000 songs" in text
    assert "| 1,000 | search index | 1.0 | 2 | 3 | 0.50 |" in text
    assert "7 machines of 16 cores" in text
    assert "nan" not in text
