import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from data_prep.catalogue import (
    Catalogue,
    Song,
    SongFilter,
    StageVector,
    default_catalogue_path,
)
from data_prep.errors import CatalogueError, InputError

GENERATOR = np.random.default_rng(0)


def vector(made_by: str = "hash") -> StageVector:
    return StageVector(GENERATOR.dirichlet(np.ones(6)).astype(np.float32), made_by)


BOARD = [
    Song("a", title="봄", artist="김소월; 마야", year=2003, genre="Pop;Rock", language="ko",
         source="demo", lyrics=vector("L"), audio=vector("A"), fused=vector("F")),
    Song("b", title="Rain", artist="Someone", year=2016, genre="rock", language="en",
         source="demo", lyrics=vector("L"), lyrics_note="short", audio_note="no file"),
    Song("c", title="Quiet", year=2020, genre="classical", source="mine", audio=vector("A")),
    Song("d", title="Nothing known"),
    Song("e", title="100%", artist="AC/DC", genre="hard_rock; pop", year=1979),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "songs.db"


@pytest.fixture
def board(path: Path) -> Catalogue:
    catalogue = Catalogue.open(path, create=True)
    catalogue.upsert(BOARD)
    return catalogue


def assert_same(song: Song, other: Song) -> None:
    for name in Song.__dataclass_fields__:
        ours, theirs = getattr(song, name), getattr(other, name)
        if isinstance(ours, StageVector):
            assert ours.made_by == theirs.made_by
            np.testing.assert_array_equal(ours.distribution, theirs.distribution)
            assert theirs.distribution.dtype == np.float32
        else:
            assert ours == theirs, name


def test_songs_come_back_as_they_went_in(board: Catalogue, path: Path) -> None:
    board.close()
    with Catalogue.open(str(path), read_only=True) as catalogue:
        songs = catalogue.songs()
        assert [song.id for song in songs] == ["a", "b", "c", "d", "e"]
        for song, other in zip(BOARD, songs, strict=True):
            assert_same(song, other)
        assert catalogue.count() == 5


def test_sqlite_url_and_path_are_the_same(board: Catalogue, path: Path) -> None:
    with Catalogue.open(f"sqlite:///{path}") as catalogue:
        assert catalogue.count() == 5


def test_get_keeps_the_order_asked_for(board: Catalogue) -> None:
    assert [song.id for song in board.get(["c", "missing", "a"])] == ["c", "a"]
    assert board.get([]) == []


def test_upsert_replaces_a_song_as_a_whole(board: Catalogue) -> None:
    assert board.upsert([Song("a", title="old"), Song("a", title="new")]) == 1
    (song,) = board.get(["a"])
    assert (song.title, song.year, song.lyrics) == ("new", None, None)
    assert board.count() == 5


def test_upsert_of_many(path: Path) -> None:
    songs = [Song(f"song-{i:05d}", year=i, lyrics=vector()) for i in range(1203)]
    with Catalogue.open(path, create=True) as catalogue:
        assert catalogue.upsert(songs) == 1203
        assert [song.year for song in catalogue.songs()] == list(range(1203))
        assert len(catalogue.get([song.id for song in songs])) == 1203


def test_upsert_is_all_or_nothing(board: Catalogue) -> None:
    bad = StageVector(np.full(6, 0.5, np.float32), "hash")
    with pytest.raises(InputError, match="audio of song 'g'"):
        board.upsert([Song("f"), Song("g", audio=bad)])
    unwritable = Song("g", title=object())  # type: ignore[arg-type]
    with pytest.raises(CatalogueError):
        board.upsert([*(Song(f"f{i}") for i in range(600)), unwritable])
    assert board.count() == 5


@pytest.mark.parametrize(
    ("song", "message"),
    [
        (Song(""), "needs an id"),
        (Song("x", lyrics=StageVector(np.ones(5, np.float32) / 5, "h")), "6 emotions"),
        (Song("x", lyrics=StageVector(np.full(6, np.nan, np.float32), "h")), "sum to 1"),
        (Song("x", lyrics=StageVector(np.ones(6, np.float32) / 6, "")), "made_by"),
    ],
)
def test_songs_that_cannot_be_kept(board: Catalogue, song: Song, message: str) -> None:
    with pytest.raises(InputError, match=message):
        board.upsert([song])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (SongFilter(), "abcde"),
        (SongFilter(year_from=2003), "abc"),
        (SongFilter(year_from=2003, year_to=2016), "ab"),
        (SongFilter(year_to=2000), "e"),
        (SongFilter(genre="ROCK"), "ab"),
        (SongFilter(genre="pop"), "ae"),
        (SongFilter(genre="hard_rock"), "e"),
        (SongFilter(genre="hard%rock"), ""),
        (SongFilter(artist="마야"), "a"),
        (SongFilter(artist="ac/dc"), "e"),
        (SongFilter(artist="some"), ""),
        (SongFilter(language="ko"), "a"),
        (SongFilter(source="demo", genre="rock"), "ab"),
        (SongFilter(has_lyrics=True), "ab"),
        (SongFilter(has_audio=True), "ac"),
        (SongFilter(has_lyrics=False, has_audio=False), "de"),
    ],
)
def test_filters(board: Catalogue, where: SongFilter, expected: str) -> None:
    assert "".join(song.id for song in board.songs(where)) == expected
    assert board.count(where) == len(expected)
    assert "".join(song.id for song in BOARD if where.accepts(song)) == expected


def test_filter_of_no_year() -> None:
    with pytest.raises(InputError, match="2020"):
        SongFilter(year_from=2020, year_to=2010)
    with pytest.raises(InputError, match="genre: expected a name"):
        SongFilter(genre=" ;")


def test_meta(board: Catalogue) -> None:
    board.set_meta("made", "today")
    board.set_meta("made", "yesterday")
    own = {"schema_version": "3", "taxonomy_version": "1", "revision": board.revision()}
    assert board.meta() == {"made": "yesterday", **own}
    assert board.fact("made") == "yesterday"
    assert board.fact("missing") is None
    for key in own:
        with pytest.raises(InputError, match=key):
            board.set_meta(key, "3")


def test_remove(board: Catalogue) -> None:
    assert board.remove(["a", "missing"]) == 1
    assert board.count() == 4


def test_opening_to_create_keeps_what_is_there(board: Catalogue, path: Path) -> None:
    with Catalogue.open(path, create=True) as catalogue:
        assert catalogue.count() == 5


def test_read_only_cannot_write(board: Catalogue, path: Path) -> None:
    with (
        Catalogue.open(path, read_only=True) as catalogue,
        pytest.raises(CatalogueError, match="read-only"),
    ):
        catalogue.upsert([Song("x")])


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"none\.db does not exist: make a catalogue with"):
        Catalogue.open(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(CatalogueError, match="does not exist"):
        Catalogue.open(tmp_path / "none.db", create=True, read_only=True)


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="is a folder"):
        Catalogue.open(tmp_path, create=True)


@pytest.mark.parametrize("create", [False, True])
def test_text_file(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "songs.txt"
    path.write_text("title,artist\n" * 300)
    with pytest.raises(CatalogueError, match=r"songs\.txt: not a catalogue"):
        Catalogue.open(path, create=create)
    assert path.read_text().startswith("title")


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(CatalogueError, match="holds no catalogue"):
        Catalogue.open(path)
    Catalogue.open(path, create=True).close()
    with Catalogue.open(path) as catalogue:
        assert catalogue.songs() == []


@pytest.mark.parametrize("create", [False, True])
def test_foreign_database(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "browser.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE history (url TEXT)")
    with pytest.raises(CatalogueError, match="is a database of something else"):
        Catalogue.open(path, create=create)
    tables = sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("history",)]


def test_other_version(board: Catalogue, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE maeum_meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(CatalogueError, match="schema version 99, this version of maeum reads 3"):
        Catalogue.open(path)


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "songs.db"
    with Catalogue.open(path, create=True) as catalogue:
        catalogue.upsert([Song(f"{i}", title="x" * 200, lyrics=vector()) for i in range(500)])
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xab" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"songs\.db"), Catalogue.open(path) as catalogue:
        catalogue.songs()


@pytest.mark.parametrize(
    "blob",
    [b"", b"\0" * 24, b"\xff" * 24, b"\x3f" * 23, b"\x80\x3f" * 12, "x" * 24, 1],
    ids=["empty", "zeros", "nan", "short", "sum", "text", "number"],
)
@pytest.mark.parametrize(
    "read",
    [Catalogue.songs, Catalogue.vectors, lambda board: board.branches_of(board.numbers())],
    ids=["songs", "vectors", "branches"],
)
def test_damaged_vectors_are_named(board: Catalogue, path: Path, blob: object, read) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE maeum_songs SET audio = ? WHERE id = 'c'", [blob])
    with pytest.raises(CatalogueError, match="audio vector of song 'c' is damaged"):
        read(board)


def test_a_writer_that_holds_the_file(board: Catalogue, path: Path, monkeypatch) -> None:
    monkeypatch.setattr("data_prep.catalogue_place.BUSY_S", 0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Catalogue.open(path) as catalogue:
        assert catalogue.count() == 5
        with pytest.raises(CatalogueError, match="another process is writing"):
            catalogue.upsert([Song("x")])
    holder.execute("ROLLBACK")


def test_readers_see_whole_writes_only(board: Catalogue, path: Path) -> None:
    """Every write sets one year for all songs; no read may see two."""
    board.upsert([Song(f"s{i}", year=0, source="race") for i in range(50)])
    seen: list[set[int | None]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            with Catalogue.open(path, read_only=True) as reader:
                while not done.is_set():
                    seen.append({song.year for song in reader.songs(SongFilter(source="race"))})
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for year in range(1, 15):
        board.upsert([Song(f"s{i}", year=year, source="race") for i in range(50)])
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert seen
    assert all(len(years) == 1 for years in seen)


@pytest.mark.parametrize("url", ["melon://host/songs", "http://host/songs.db"])
def test_unknown_kind_of_database(url: str) -> None:
    with pytest.raises(CatalogueError, match="expected a path"):
        Catalogue.open(url)


def test_messages_hide_passwords() -> None:
    with pytest.raises(CatalogueError) as caught:
        Catalogue.open("postgresql+psycopg://me:secret@127.0.0.1:1/songs?connect_timeout=1")
    assert "secret" not in str(caught.value)


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("MAEUM_CATALOGUE", raising=False)
    if sys.platform != "win32":
        assert default_catalogue_path() == tmp_path / "maeum" / "catalogue.db"
    with Catalogue.open(create=True) as catalogue:
        assert catalogue.name == str(default_catalogue_path())
    monkeypatch.setenv("MAEUM_CATALOGUE", str(tmp_path / "other.db"))
    with pytest.raises(CatalogueError, match=r"other\.db does not exist"):
        Catalogue.open()


def test_the_object_mapper_is_not_imported() -> None:
    code = "import sys, data_prep.catalogue; assert 'sqlalchemy.orm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
