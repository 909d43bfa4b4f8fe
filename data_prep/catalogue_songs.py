"""Songs as rows of a catalogue's tables: read as a whole, written, removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from data_prep.catalogue_files import remove_files
from data_prep.catalogue_tables import (
    FACTS,
    NOTES,
    damage,
    fused_table,
    insert_of,
    parts,
    song_table,
)
from data_prep.catalogue_vectors import write_fused
from data_prep.errors import InputError
from data_prep.song import STAGES, Song, Stage, StageVector
from data_prep.stored_vectors import TOLERANCE, are_distributions, decode, encode
from data_prep.taxonomy import N_EMOTIONS, check_distribution

_songs = song_table.c
_fused = fused_table.c


def select_songs() -> sa.Select[Any]:
    """A query of whole songs, for :func:`read_songs`; to be narrowed and ordered."""
    columns = (*FACTS, *NOTES, "lyrics_made_by", "audio_made_by", "lyrics", "audio")
    return sa.select(
        *(_songs[name] for name in columns), _fused.made_by, _fused.vector, _songs.number
    ).select_from(sa.outerjoin(song_table, fused_table, _songs.number == _fused.number))


def read_songs(connection: sa.Connection, query: sa.Select[Any]) -> list[tuple[int, Song]]:
    """Songs with their numbers, by a query that :func:`select_songs` began.

    Raises
    ------
    CatalogueError
        If a vector is damaged; names it.
    """
    rows = [tuple(row) for row in connection.execute(query).all()]
    if not rows:
        return []
    n_facts = len(FACTS)
    n_notes = n_facts + len(NOTES)
    columns = list(zip(*rows, strict=True))
    lyrics_by, audio_by, lyrics, audio, fused_by, fused, numbers = columns[n_notes:]
    stages = []
    for stage, made_by, blobs in zip(
        STAGES, (lyrics_by, audio_by, fused_by), (lyrics, audio, fused), strict=True
    ):
        vectors, damaged = decode(blobs)
        if damaged.any():
            raise damage(stage, columns[0][int(damaged.argmax())])
        stages.append(
            [
                None if blob is None else StageVector(vector, str(hash_))
                for blob, vector, hash_ in zip(blobs, vectors, made_by, strict=True)
            ]
        )
    return [
        (int(number), Song(*row[:n_facts], *of_song, *row[n_facts:n_notes]))
        for number, row, *of_song in zip(numbers, rows, *stages, strict=True)
    ]


def write_songs(connection: sa.Connection, songs: Sequence[Song]) -> None:
    """Add songs of different ids; one whose id is there keeps its number and nothing else.

    Raises
    ------
    InputError
        If a song has no id, or a vector is not a distribution.
    """
    for part in parts(songs):
        rows = _rows(part)
        statement = insert_of(connection)(song_table)
        new = {name: statement.excluded[name] for name in rows[0] if name != "id"}
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new), rows)
        _write_fused_of(connection, part)


def _rows(songs: Sequence[Song]) -> list[dict[str, Any]]:
    for song in songs:
        if not song.id:
            raise InputError(f"a song needs an id: {song.title!r} by {song.artist!r} has none")
    stored = {stage: _encoded(songs, stage) for stage in STAGES}  # all of them are checked
    rows = []
    for i, song in enumerate(songs):
        row: dict[str, Any] = {name: getattr(song, name) for name in (*FACTS, *NOTES)}
        row |= {"lyrics": stored["lyrics"][i], "audio": stored["audio"][i]}
        row["lyrics_made_by"] = None if song.lyrics is None else song.lyrics.made_by
        row["audio_made_by"] = None if song.audio is None else song.audio.made_by
        rows.append(row)
    return rows


def _encoded(songs: Sequence[Song], stage: Stage) -> list[bytes | None]:
    present: list[tuple[int, NDArray[np.float32]]] = []
    for place, song in enumerate(songs):
        vector: StageVector | None = getattr(song, stage)
        if vector is not None and not vector.made_by:
            raise InputError(
                f"{stage} of song {song.id!r}: made_by is empty, expected the hash of what made "
                "the vector"
            )
        if vector is not None:
            present.append((place, vector.distribution))
    try:
        vectors = np.array([vector for _, vector in present], dtype=np.float32)
        fit = vectors.shape[1:] == (N_EMOTIONS,) and bool(
            are_distributions(vectors, tolerance=TOLERANCE).all()
        )
    except (TypeError, ValueError):  # of different lengths
        fit = False
    if not fit:
        vectors = np.array(
            [check_distribution(v, f"{stage} of song {songs[place].id!r}") for place, v in present]
        )
    blobs: list[bytes | None] = [None] * len(songs)
    for (place, _), checked in zip(present, vectors, strict=True):
        blobs[place] = encode(checked)
    return blobs


def _write_fused_of(connection: sa.Connection, songs: Sequence[Song]) -> None:
    query = sa.select(_songs.id, _songs.number).where(_songs.id.in_([song.id for song in songs]))
    numbers = dict(connection.execute(query).tuples().all())
    by_maker: dict[str, list[Song]] = {}
    without = []
    for song in songs:
        if song.fused is None:
            without.append(numbers[song.id])
        else:
            by_maker.setdefault(song.fused.made_by, []).append(song)
    if without:
        connection.execute(sa.delete(fused_table).where(_fused.number.in_(without)))
    for made_by, made in by_maker.items():
        vectors = np.array([song.fused.distribution for song in made if song.fused is not None])
        of_songs = np.array([numbers[song.id] for song in made], dtype=np.int64)
        write_fused(connection, of_songs, vectors.astype(np.float32), made_by)


def mark_missing(connection: sa.Connection, ids: Sequence[str], since: str) -> int:
    """Mark songs as missing since a date, if they are not yet; gives how many were marked."""
    marked = 0
    for part in parts(ids):
        wanted = _songs.id.in_(part), _songs.missing_since.is_(None)
        statement = sa.update(song_table).where(*wanted).values(missing_since=since)
        marked += connection.execute(statement).rowcount
    return marked


def remove_songs(connection: sa.Connection, ids: Sequence[str]) -> int:
    """Take songs out; gives the number that were there."""
    removed = 0
    for part in parts(ids):
        found = sa.select(_songs.number).where(_songs.id.in_(part))
        connection.execute(sa.delete(fused_table).where(_fused.number.in_(found)))
        removed += connection.execute(sa.delete(song_table).where(_songs.id.in_(part))).rowcount
    remove_files(connection, ids)
    return removed
