"""Places for catalogues: each database that one may lie in, empty."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.postgresql_server import new_database, postgresql_server


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Path or URL where there is no catalogue yet, in each kind of database."""
    if request.param == "sqlite":
        return str(tmp_path / "songs.db")
    return new_database(request.getfixturevalue("server"))


@pytest.fixture
def execute(place: str) -> Callable[[str, list], None]:
    """Run a statement with ``?`` for values on every row, past the catalogue."""

    def run(statement: str, rows: list) -> None:
        if place.startswith("postgresql"):
            import psycopg

            with psycopg.connect(place.replace("+psycopg", "")) as connection:
                connection.cursor().executemany(statement.replace("?", "%s"), rows)
        else:
            with closing(sqlite3.connect(place)) as connection, connection:
                connection.executemany(statement, rows)

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", help="folder for pictures of the page")
