"""Rescoring of a catalogue of the published size, while a page reads it."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.measurement import SEED, Measurement
from data_prep.catalogue import Catalogue
from data_prep.stored_vectors import VECTOR_BYTES, encode
from fusion.rescoring import rescore
from fusion.rules import Product
from fusion.settings import FusionSettings

N_SONGS: Final = 707_989
LEAST_A_SECOND: Final = 200_000

# What a page does between two questions, and for one: see whether anything is new, read songs.
_READER: Final = """
import sys, time
from data_prep.catalogue import Catalogue
with Catalogue.open(sys.argv[1], read_only=True) as catalogue:
    makers = set()
    print("reading", flush=True)
    while True:
        catalogue.revision()
        makers = {song.fused.made_by for song in catalogue.by_number([1, 1000, 300000, 707989])
                  if song.fused is not None}
        assert len(makers) <= 1, f"a mixture of {makers}"
        time.sleep(0.05)
"""


def rescoring_speed(*, repeats: int) -> list[Measurement]:
    """Rescoring in one transaction, and reading of all vectors, each with a reader beside it."""
    settings = (FusionSettings.load(), FusionSettings(rule=Product.of_weight(0.7)))
    rescored, read = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "songs.db"
        write_catalogue(path)
        with Catalogue.open(path) as catalogue, _reader(path):
            for repeat in range(repeats + 1):
                start = time.perf_counter()
                n_rescored = rescore(catalogue, settings[repeat % 2])
                middle = time.perf_counter()
                vectors = catalogue.vectors(settings[repeat % 2].hash)
                rescored.append(1000.0 * (middle - start))
                read.append(1000.0 * (time.perf_counter() - middle))
                assert n_rescored == np.count_nonzero(vectors.current), "all are new"
    limit_ms = 1000.0 * n_rescored / LEAST_A_SECOND
    # The first writes into an empty table, and warms up.
    return [
        Measurement(
            f"rescoring {n_rescored:,} songs while others read",
            statistics.median(rescored[1:]),
            limit_ms=limit_ms,
            texts=n_rescored,
        ),
        Measurement(f"all vectors of {N_SONGS:,} songs", statistics.median(read[1:])),
    ]


_COLUMNS: Final = (
    "id, title, artist, album, year, genre, language, link, source, "
    "lyrics, lyrics_made_by, audio, audio_made_by"
)


def write_catalogue(place: Path | str, n_songs: int = N_SONGS) -> None:
    """A catalogue of made-up songs, not yet fused: a fifth without words, a tenth without sound.

    Answers are peaked as those of the models are, and songs come in no order of ids.

    Parameters
    ----------
    place
        Of a new SQLite file, or the URL of an empty PostgreSQL database.
    """
    Catalogue.open(place, create=True).close()
    if isinstance(place, str) and place.startswith("postgresql"):
        import psycopg

        with (
            psycopg.connect(place.replace("+psycopg", "", 1)) as server,
            server.cursor().copy(f"COPY maeum_songs ({_COLUMNS}) FROM STDIN") as copy,
        ):
            for row in _rows(n_songs):
                copy.write_row(row)
        return
    marks = ", ".join("?" * len(_COLUMNS.split(",")))
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.executemany(
            f"INSERT INTO maeum_songs ({_COLUMNS}) VALUES ({marks})", _rows(n_songs)
        )


def _rows(n_songs: int) -> Iterator[tuple[object, ...]]:
    rng = np.random.default_rng(SEED)
    lyrics = _blobs(rng.dirichlet(np.array([0.3, 0.2, 0.2, 0.5, 0.1, 0.3]), size=n_songs))
    audio = _blobs(rng.dirichlet(np.array([0.8, 0.6, 0.9, 0.8, 0.3, 0.2]), size=n_songs))
    has_lyrics = rng.random(n_songs) > 0.2
    has_audio = ~has_lyrics | (rng.random(n_songs) > 0.1)
    names = rng.permutation(n_songs)
    for i in range(n_songs):
        yield (
            f"melon-{names[i]:06}",
            f"제목이 긴 노래 {i}",
            f"가수 {i % 9_973}",
            f"앨범 {i // 12}",
            1960 + i % 60,
            "발라드; pop",
            "ko",
            f"https://www.youtube.com/results?search_query=melon-{i}",
            "melon",
            lyrics[i] if has_lyrics[i] else None,
            "596e4ddb735535c0" if has_lyrics[i] else None,
            audio[i] if has_audio[i] else None,
            "93fefbb011cf14ee" if has_audio[i] else None,
        )


def _blobs(vectors: NDArray[np.float64]) -> list[bytes]:
    whole = encode(vectors.astype(np.float32))
    return [whole[i : i + VECTOR_BYTES] for i in range(0, len(whole), VECTOR_BYTES)]


@contextmanager
def _reader(path: Path) -> Iterator[None]:
    """A process that reads the catalogue until the end, and never fails."""
    command = [sys.executable, "-c", _READER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None, "it was asked for"
            assert process.stdout.readline() == "reading\n", "the reader cannot begin"
            yield
            assert process.poll() is None, "the reader failed; see its message above"
        finally:
            process.kill()
