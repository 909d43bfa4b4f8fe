"""Catalogues as the first schema had them, written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data_prep.song import STAGES, Song
from data_prep.taxonomy import EMOTIONS

FACTS = (
    "id", "title", "artist", "album", "year", "genre", "language", "licence", "link", "path",
    "source", "lyrics_note", "audio_note",
)  # fmt: skip
VALUES = [f"{stage}_{emotion}" for stage in STAGES for emotion in EMOTIONS]
HASHES = [f"{stage}_made_by" for stage in STAGES]
COLUMNS = [*FACTS, *HASHES, *VALUES]

CREATE = [
    "CREATE TABLE maeum_meta (key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key))",
    "CREATE TABLE maeum_songs ("
    + ", ".join(
        f"{name} {'REAL' if name in VALUES else 'INTEGER' if name == 'year' else 'TEXT'}"
        + (" NOT NULL" if name == "id" else "")
        for name in COLUMNS
    )
    + ", PRIMARY KEY (id))",
]


def row(song: Song) -> list[object]:
    """A song as a row of the old table."""
    vectors = [getattr(song, stage) for stage in STAGES]
    values = [v.distribution.tolist() if v is not None else [None] * 6 for v in vectors]
    return [
        *(getattr(song, name) for name in FACTS),
        *(v.made_by if v is not None else None for v in vectors),
        *(value for six in values for value in six),
    ]


def write_old_catalogue(
    execute: Callable[[str, list], None], songs: Sequence[Song], meta: dict[str, str]
) -> None:
    """Make the old tables and fill them, by a function that runs one statement on rows."""
    for statement in CREATE:
        execute(statement, [[]])
    facts = {"schema_version": "1", "taxonomy_version": "1", **meta}
    execute("INSERT INTO maeum_meta VALUES (?, ?)", [list(fact) for fact in facts.items()])
    marks = ", ".join("?" * len(COLUMNS))
    execute(f"INSERT INTO maeum_songs VALUES ({marks})", [row(song) for song in songs])
