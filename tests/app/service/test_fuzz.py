"""A little of the fuzzing; ``python -m benchmarks.service_fuzz`` does all of it."""

from __future__ import annotations

import pytest

from benchmarks.service_fuzz import fuzz_files, fuzz_inputs, fuzz_places, target


@pytest.fixture(scope="module")
def service():
    with target() as found:
        yield found


def test_nothing_but_the_pages_own_files_can_be_read(service) -> None:
    found = fuzz_places(*service)
    assert found.problems == []
    assert sum(found.statuses.values()) > 300


def test_hostile_files_are_answered(service) -> None:
    found = fuzz_files(service[0], 45, service[1])
    assert found.problems == []
    assert found.statuses["422"] > 5


def test_random_inputs_are_answered(service) -> None:
    found = fuzz_inputs(service[0], 300)
    assert found.problems == []
    assert found.statuses["200"] > 20
    assert found.statuses["422"] > 20
