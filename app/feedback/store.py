"""Judgements of listeners, kept in the catalogue's own database.

One row for each song that was judged in a list: the list as it was shown, what was searched
for, the fusion in force, the verdict and the time. No words, no name, no address: a listener is
a random name. The tables are made when the first judgement comes; the catalogue's revision does
not change with them, so that nothing is read again.

The demo catalogue has its judgements in ``feedback.db`` beside the user's own catalogue, and so
has each other that cannot be written, in a file of its own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import sqlalchemy as sa
from numpy.typing import NDArray

from app.demo import DEMO_CATALOGUE
from app.feedback.shown_list import ShownList
from data_prep.catalogue import default_catalogue_path
from data_prep.catalogue_place import Place, place_of
from data_prep.catalogue_tables import insert_of
from data_prep.errors import CatalogueError, InputError
from data_prep.stored_vectors import decode, encode
from data_prep.taxonomy import as_mapping

VERDICTS: Final = (1, -1, 0)
ROWS_AT_ONCE: Final = 1_000

_SECRET_KEY: Final = "secret"
_SECRET_BYTES: Final = 32

_MAY_KEEP: Final = sa.text(
    "SELECT current_setting('transaction_read_only') = 'off'"
    " AND CASE WHEN to_regclass('maeum_feedback') IS NULL"
    " THEN has_schema_privilege(current_schema(), 'CREATE')"
    " ELSE has_table_privilege('maeum_feedback', 'SELECT')"
    " AND has_table_privilege('maeum_feedback', 'INSERT')"
    " AND has_table_privilege('maeum_feedback', 'UPDATE')"
    " AND has_table_privilege('maeum_feedback', 'DELETE')"
    " AND has_table_privilege('maeum_feedback_facts', 'SELECT')"
    " AND has_table_privilege('maeum_feedback_facts', 'INSERT') END"
)

Sign = Literal[1, -1]

_metadata = sa.MetaData()

_facts = sa.Table(
    "maeum_feedback_facts",
    _metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

_judgements = sa.Table(
    "maeum_feedback",
    _metadata,
    sa.Column("list", sa.Text, primary_key=True),
    sa.Column("song", sa.Text, primary_key=True),
    sa.Column("listener", sa.Text, nullable=False, index=True),
    sa.Column("judged_at", sa.Text, nullable=False),
    sa.Column("verdict", sa.Integer, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("query", sa.LargeBinary, nullable=False),
    sa.Column("songs", sa.Text, nullable=False),
    sa.Column("fusion", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
)
_columns = _judgements.c


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a listener said of a song.

    Attributes
    ----------
    song
        Its id.
    sign
        1 is 👍, -1 is 👎.
    query
        What had been searched for, float32 (6,).
    """

    song: str
    sign: Sign
    query: NDArray[Any]


class FeedbackStore:
    """Judgements of one catalogue; thread-safe. Made by :meth:`open`; a context manager.

    Attributes
    ----------
    name
        Where it lies, without a password; for messages.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._secret: bytes | None = None
        self._made = False
        self.name = place.name

    @classmethod
    def open(cls, catalogue: str) -> Self:
        """The judgements of a catalogue; nothing is written before there is one.

        Parameters
        ----------
        catalogue
            Its path or URL.

        Raises
        ------
        CatalogueError
            If the database cannot be opened, or there is no place at all for judgements.
        """
        if "://" not in catalogue and _is_demo(catalogue):
            return cls(_own_place("feedback.db"))
        place = place_of(catalogue, create=False, read_only=False)
        if not (place.is_writable and _may_keep(place)):
            place.engine.dispose()
            place = _own_place(f"feedback-{_short(place)}.db")
        return cls(place)

    def disconnect(self) -> None:
        """Close the connections that are kept for the next question."""
        self._place.engine.dispose()

    def close(self) -> None:
        """Release the file or connection. Closing twice does no harm."""
        self._place.engine.dispose()
        self._place.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def token(self, shown: ShownList) -> str:
        """What stands for a list until one of its songs is judged; nothing is kept of it.

        Raises
        ------
        CatalogueError
            If the store's secret can neither be read nor made.
        """
        return shown.token(self._signing())

    def judge(self, token: str, song: str, verdict: int) -> None:
        """Keep what a listener says of a song of a list; said again, it is replaced.

        Parameters
        ----------
        token
            Of the list.
        song
            Id of the song.
        verdict
            1 for 👍, -1 for 👎, 0 takes it back.

        Raises
        ------
        InputError
            If the list is not of this store, the song was not in it, or the verdict is
            another number.
        CatalogueError
            If it cannot be written.
        """
        if verdict not in VERDICTS:
            raise InputError(f"verdict {verdict}: expected 1 (good), -1 (bad) or 0 (take it back)")
        shown = ShownList.from_token(token, self._signing())
        if song not in shown.songs:
            raise InputError(f"the song {song!r} was not in the list: judge one that was shown")
        key = {"list": token[:16], "song": song}  # the signature: no two lists have the same
        with self._connection(write=True) as connection:
            same = sa.and_(_columns.list == key["list"], _columns.song == song)
            if verdict == 0:
                connection.execute(sa.delete(_judgements).where(same))
                return
            row = key | {
                "listener": shown.listener,
                "judged_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "verdict": verdict,
                "rank": shown.songs.index(song) + 1,
                "kind": shown.kind,
                "query": encode(shown.query),
                "songs": json.dumps(shown.songs, ensure_ascii=False),
                "fusion": shown.fusion,
                "version": version("maeum"),
            }
            statement = insert_of(connection)(_judgements)
            new = {name: statement.excluded[name] for name in ("judged_at", "verdict", "version")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["list", "song"], set_=new), row
            )

    def verdicts(self, listener: str) -> list[Verdict]:
        """What a listener said, the oldest first."""
        query = (
            sa.select(_columns.song, _columns.verdict, _columns.query)
            .where(_columns.listener == listener)
            .order_by(_columns.judged_at, _columns.list, _columns.song)
        )
        with self._connection(write=False) as connection:
            rows = connection.execute(query).all() if self._is_made(connection) else []
        if not rows:
            return []
        vectors, damaged = decode([row[2] for row in rows])
        return [
            Verdict(str(row[0]), 1 if row[1] > 0 else -1, vectors[i])
            for i, row in enumerate(rows)
            if not damaged[i]
        ]

    def count(self, listener: str | None = None) -> int:
        """Number of judgements, of one listener or of all."""
        query = sa.select(sa.func.count()).select_from(_judgements)
        with self._connection(write=False) as connection:
            if not self._is_made(connection):
                return 0
            return int(connection.execute(query.where(*_of(listener))).scalar_one())

    def rows(self, listener: str | None = None) -> Iterator[dict[str, Any]]:
        """Judgements as flat rows, the oldest first: all that is stored."""
        query = (
            sa.select(_judgements)
            .where(*_of(listener))
            .order_by(_columns.judged_at, _columns.list, _columns.song)
        )
        with self._connection(write=False) as connection:
            if not self._is_made(connection):
                return
            result = connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE})
            for row in result.mappings():
                vectors, _ = decode([row["query"]])
                yield {
                    **{k: row[k] for k in ("judged_at", "listener", "kind", "verdict", "rank")},
                    "song": row["song"],
                    "songs": json.loads(row["songs"]),
                    "query": as_mapping(vectors[0]),
                    **{k: row[k] for k in ("fusion", "version", "list")},
                }

    def forget(self, listener: str | None = None) -> int:
        """Delete the judgements of a listener, or all; gives how many there were."""
        with self._connection(write=True) as connection:
            return int(connection.execute(sa.delete(_judgements).where(*_of(listener))).rowcount)

    def _signing(self) -> bytes:
        with self._lock:
            if self._secret is None:
                self._secret = self._kept_secret()
            return self._secret

    def _kept_secret(self) -> bytes:
        query = sa.select(_facts.c.value).where(_facts.c.key == _SECRET_KEY)
        with self._connection(write=False) as connection:
            if self._is_made(connection):
                kept = connection.execute(query).scalar_one_or_none()
                if kept:
                    return bytes.fromhex(kept)
        with self._connection(write=True) as connection:
            kept = connection.execute(query).scalar_one_or_none()
            if not kept:  # nobody was quicker
                kept = secrets.token_hex(_SECRET_BYTES)
                connection.execute(sa.insert(_facts), {"key": _SECRET_KEY, "value": kept})
            return bytes.fromhex(kept)

    def _is_made(self, connection: sa.Connection) -> bool:
        self._made = self._made or sa.inspect(connection).has_table(_judgements.name)
        return self._made

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[sa.Connection]:
        """A connection in a transaction; what it writes to is there."""
        with self._place.connection(write=write) as connection:
            if write and not self._is_made(connection):
                _metadata.create_all(connection)
            yield connection


def _of(listener: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if listener is None else [_columns.listener == listener]


def _is_demo(catalogue: str) -> bool:
    try:
        return Path(catalogue).expanduser().samefile(DEMO_CATALOGUE)
    except OSError:
        return False


def _may_keep(place: Place) -> bool:
    """Whether this user may keep judgements where the catalogue is; servers are asked."""
    if place.engine.dialect.name != "postgresql":
        return True
    with place.connection(write=False) as connection:
        return bool(connection.execute(_MAY_KEEP).scalar_one())


def _short(place: Place) -> str:
    name = place.name if place.path is None else str(place.path.resolve())
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _own_place(name: str) -> Place:
    path = default_catalogue_path().with_name(name)
    place = place_of(str(path), create=True, read_only=False)
    if not place.is_writable:
        raise CatalogueError(f"{path} cannot be written")
    return place
