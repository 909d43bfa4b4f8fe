"""Where a catalogue lies: an SQLite file, memory, or a PostgreSQL server.

Whoever writes keeps a file in SQLite's write-ahead log while it is open, so that
readers are never kept waiting and see the last whole state. When it is closed the
log is put into the file, which is then one again: it can be copied, and read where
nothing can be written. Readers open a file for each reading. One that was put in
the same place is seen, and nothing is held back that the writer needs.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import sqlalchemy as sa

from data_prep.errors import CatalogueError, InputError

BUSY_S: Final = 30.0

IN_MEMORY: Final = "the catalogue in memory"
"""Name of a catalogue that is no file and no server's."""

_WAIT_TO_SETTLE_S: Final = 0.2
_WRITER_LOCK: Final = 0x6D6165756D  # "maeum"; one writer at a time on a server
_WAL_HEADER: Final = b"\x02"


@dataclass(frozen=True, eq=False)
class Place:
    """A place that can be connected to.

    Attributes
    ----------
    engine
        Connects. Its transactions write if the option ``maeum_write`` is set.
    name
        Path or URL, without a password; for messages.
    path
        The file, if it is one.
    """

    engine: sa.Engine
    name: str
    path: Path | None = None

    @property
    def is_writable(self) -> bool:
        """Whether what is there may be changed, as far as can be told beforehand."""
        if self.path is None:
            return True
        may_make = os.access(self.path.parent, os.W_OK)
        return may_make and (not self.path.exists() or os.access(self.path, os.W_OK))

    @contextmanager
    def connection(self, *, write: bool) -> Iterator[sa.Connection]:
        """A connection in a transaction.

        Raises
        ------
        CatalogueError
            If the database fails; says what that means here.
        InputError
            If a value is nothing that a database holds.
        """
        try:
            with (
                self.engine.connect() as plain,
                plain.execution_options(maeum_write=write) as connection,
                connection.begin(),
            ):
                yield connection
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            raise CatalogueError(f"{self.name}: {explain(error)}") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise InputError(
                f"a value is nothing that a catalogue holds: {error}; expected years of four "
                "digits and text in UTF-8"
            ) from error

    def settle(self) -> None:
        """Put the log of a file into it, after all connections of this place are closed.

        While others use the file the log may stay, empty: they see to it.
        """
        if self.path is None or not _is_logged(self.path):
            return
        with (
            suppress(sqlite3.Error),
            closing(_connect(self.path, "mode=rw", _WAIT_TO_SETTLE_S)) as connection,
        ):
            try:
                connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            except sqlite3.OperationalError:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def shrink(self) -> None:
        """Give back what a file holds and does not use; as good as it can be done."""
        if self.path is None:
            return
        with suppress(sqlite3.Error), closing(_connect(self.path, "mode=rw", BUSY_S)) as connection:
            connection.execute("VACUUM")


def place_of(given: str, *, create: bool, read_only: bool) -> Place:
    """The place that a path or URL names.

    Raises
    ------
    CatalogueError
        If it names nothing that could hold a catalogue, or there is none and
        none is to be made.
    """
    location = _parse(given)
    if location.get_backend_name() == "postgresql":
        return _server(location)
    if location.database in (None, "", ":memory:"):
        return _memory()
    path = Path(str(location.database))
    _check_file(path, create=create, read_only=read_only)
    return _file(path, create=create, read_only=read_only)


def _parse(given: str) -> sa.URL:
    if "://" not in given:
        return sa.URL.create("sqlite", database=str(Path(given).expanduser()))
    scheme = given.partition("://")[0]
    try:
        location = sa.make_url(given)
    except (sa.exc.ArgumentError, ValueError):
        location = None
    if location is None or location.drivername not in (
        "sqlite",
        "postgresql",
        "postgresql+psycopg",
    ):
        raise CatalogueError(
            f"the catalogue URL that begins {scheme}:// cannot be read: expected a path, "
            "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        )
    return location


def _memory() -> Place:
    engine = sa.create_engine(
        "sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False}
    )
    _let_us_begin(engine)
    return Place(engine, IN_MEMORY)


def _file(path: Path, *, create: bool, read_only: bool) -> Place:
    def connect() -> sqlite3.Connection:
        how = _reading(path) if read_only else "mode=rwc" if create else "mode=rw"
        return _connect(path, how, BUSY_S)

    pool = sa.NullPool if read_only else sa.QueuePool
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=pool)
    _let_us_begin(engine)
    return Place(engine, str(path), path)


def _connect(path: Path, how: str, timeout_s: float) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?{how}"
    return sqlite3.connect(address, uri=True, timeout=timeout_s, check_same_thread=False)


def _reading(path: Path) -> str:
    """How to open a file for reading.

    A file that was left in its log, by a copy or a crash, wants to be read with two
    files beside it. Where none can be made, and none that holds anything is there,
    it is whole by itself and read as a file that nobody changes.
    """
    log = path.with_name(f"{path.name}-wal")
    if _is_logged(path) and not os.access(path.parent, os.W_OK):
        with suppress(OSError):
            if log.stat().st_size > 0:
                return "mode=ro"
        return "mode=ro&immutable=1"
    return "mode=ro"


def _is_logged(path: Path) -> bool:
    """Whether a file's header says that it has a write-ahead log."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:19] == _WAL_HEADER
    except OSError:
        return False


def _check_file(path: Path, *, create: bool, read_only: bool) -> None:
    """Say clearly what SQLite would call ``unable to open database file``."""
    if path.is_dir():
        raise CatalogueError(f"{path} is a folder: expected the file of a catalogue")
    if path.exists():
        if not path.is_file() or not os.access(path, os.R_OK):
            raise CatalogueError(f"{path} cannot be read: expected the file of a catalogue")
        return
    if not create or read_only:
        raise CatalogueError(
            f"{path} does not exist: make a catalogue with `maeum index PATH --catalogue {path}`"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogueError(f"{path.parent} cannot be made for a catalogue: {error}") from error


def _let_us_begin(engine: sa.Engine) -> None:
    """Take transactions away from the sqlite3 module, which begins them late.

    A write takes the lock at once, so that it never fails half way for a reader
    that became a writer before it; a read sees one state throughout.
    """

    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    def on_begin(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("maeum_write"):
            connection.exec_driver_sql("BEGIN")
            return
        # Where there can be no log, as on a network drive, the old journal does: it is as
        # safe, and keeps readers waiting.
        journal = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one()
        if journal == "wal":
            connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", on_connect)
    sa.event.listen(engine, "begin", on_begin)


def _server(location: sa.URL) -> Place:
    try:
        engine = sa.create_engine(location.set(drivername="postgresql+psycopg"))
    except ImportError as error:
        raise CatalogueError(
            f"no driver for {location.drivername!r} databases: expected a path, sqlite:///FILE, or "
            f"postgresql+psycopg://… with `pip install 'psycopg[binary]'` ({error})"
        ) from error

    def on_begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("maeum_write"):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {1000 * BUSY_S:.0f}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    sa.event.listen(engine, "begin", on_begin)
    return Place(engine, location.render_as_string(hide_password=True))


def explain(error: sa.exc.DBAPIError | sqlite3.Error) -> str:
    """What a database's own message means here."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    text = " ".join(str(original).split())
    if "not a database" in text:
        return "not a catalogue: expected a file made by `maeum index PATH --catalogue FILE`"
    if "locked" in text or "lock timeout" in text:
        return "another process is writing to it; try again when that has finished"
    if "malformed" in text or "no such" in text:
        return f"the file is damaged or not a catalogue ({text}); index the songs again"
    if "readonly" in text or "unable to open" in text:
        return f"no permission to write it or its folder ({text})"
    return text
