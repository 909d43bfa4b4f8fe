"""What a catalogue promises in whichever database it lies: order, numbers, whole writes."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, SongFile, SongFilter, StageVector
from data_prep.errors import CatalogueError, InputError
from tests.data_prep.old_catalogue import write_old_catalogue


def vector(seed: int, made_by: str = "hash") -> StageVector:
    values = np.random.default_rng(seed).dirichlet(np.full(6, 0.4))
    return StageVector(values.astype(np.float32), made_by)


# In the order of code points, which no language sorts by.
IDS = ["10", "9", "A", "Z", "_", "a", "é", "가", "힣", "🙂"]
SONGS = [
    Song(
        song_id,
        title=f"제목 {i}",
        artist=["AC/DC; Maya", "É b", " maya ", None][i % 4],
        genre=["Pop; 발라드", "ROCK ;  Jazz", "hard_rock", None][i % 4],
        year=None if i == 3 else 1990 + i,
        language=["KO", "en"][i % 2],
        source="Demo",
        lyrics=vector(i, "words") if i % 3 else None,
        audio=vector(100 + i, "sound") if i % 4 else None,
        fused=vector(200 + i, "rule" if i % 2 else "older") if i % 5 else None,
        lyrics_note="짧음" if i % 3 else None,
    )
    for i, song_id in enumerate(IDS)
]
FILTERS = [
    SongFilter(),
    SongFilter(year_from=1994, year_to=1997),
    SongFilter(genre="발라드"),
    SongFilter(genre="rock"),
    SongFilter(genre="jazz"),
    SongFilter(genre="pop ;발라드"),
    SongFilter(genre="hard%rock"),
    SongFilter(artist="MAYA"),
    SongFilter(artist="É B"),
    SongFilter(artist="é b"),
    SongFilter(language="ko", source="demo"),
    SongFilter(has_lyrics=True, has_audio=False),
    SongFilter(has_lyrics=False),
]


def content(song: Song) -> list[object]:
    """All of a song, to be compared."""
    values = (getattr(song, name) for name in Song.__dataclass_fields__)
    return [
        (v.distribution.tobytes(), v.made_by) if isinstance(v, StageVector) else v for v in values
    ]


@pytest.fixture
def catalogue(place: str):
    with Catalogue.open(place, create=True) as opened:
        opened.upsert(reversed(SONGS))
        yield opened


def test_songs_come_back_in_the_order_of_code_points(catalogue: Catalogue) -> None:
    assert list(map(content, catalogue.songs())) == list(map(content, SONGS))
    assert list(map(content, catalogue.get(["🙂", "none", "9"]))) == [
        content(SONGS[-1]),
        content(SONGS[1]),
    ]


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_filters_are_those_of_accepts(catalogue: Catalogue, where: SongFilter) -> None:
    expected = [song.id for song in SONGS if where.accepts(song)]
    assert [song.id for song in catalogue.songs(where)] == expected
    assert [song.id for song in catalogue.by_number(catalogue.numbers(where))] == expected
    assert catalogue.count(where) == len(expected)


def test_vectors_are_those_of_the_songs(catalogue: Catalogue) -> None:
    vectors = catalogue.vectors("rule")
    assert vectors.revision == catalogue.revision()
    assert [song.id for song in catalogue.by_number(vectors.numbers)] == IDS
    for stage in ("lyrics", "audio", "fused"):
        array = getattr(vectors, stage)
        assert array.dtype == np.float32
        for row, song in zip(array, SONGS, strict=True):
            kept = getattr(song, stage)
            expected = np.full(6, np.nan) if kept is None else kept.distribution
            np.testing.assert_array_equal(row, expected)
    made = [song.fused is not None and song.fused.made_by == "rule" for song in SONGS]
    assert vectors.current.tolist() == made
    assert not catalogue.vectors().current.any()


def test_answers_of_some_songs(catalogue: Catalogue) -> None:
    every = catalogue.vectors()
    rows = [len(IDS) - 1, 0, 2]
    lyrics, audio = catalogue.branches_of(every.numbers[rows])
    np.testing.assert_array_equal(lyrics, every.lyrics[rows])
    np.testing.assert_array_equal(audio, every.audio[rows])
    unknown = catalogue.branches_of(np.array([10**9, int(every.numbers[0])]))
    assert np.isnan(unknown[0][0]).all()
    np.testing.assert_array_equal(unknown[0][1], every.lyrics[0])
    assert catalogue.branches_of(np.empty(0, np.int64))[0].shape == (0, 6)


def test_only_the_stages_asked_for_are_read(catalogue: Catalogue) -> None:
    vectors = catalogue.vectors("rule", stages=["audio"])
    np.testing.assert_array_equal(vectors.audio, catalogue.vectors().audio)
    assert np.isnan(vectors.lyrics).all()
    assert np.isnan(vectors.fused).all()
    assert not vectors.current.any()


def test_an_empty_catalogue_has_no_vectors(place: str) -> None:
    with Catalogue.open(place, create=True) as catalogue:
        vectors = catalogue.vectors("rule")
        assert len(vectors) == len(catalogue.numbers()) == 0
        assert vectors.lyrics.shape == vectors.fused.shape == (0, 6)


def test_a_song_keeps_its_number(catalogue: Catalogue) -> None:
    before = catalogue.numbers()
    assert len(set(before.tolist())) == len(IDS)
    assert sorted(before.tolist()) != before.tolist(), "they were put in backwards"
    catalogue.upsert([Song("a", title="anew"), Song("b")])
    after = catalogue.numbers()
    assert np.delete(after, 6).tolist() == before.tolist()
    (anew,) = catalogue.by_number([before[5]])
    assert content(anew) == content(Song("a", title="anew"))
    catalogue.remove(["9", "b"])
    assert catalogue.numbers().tolist() == np.delete(before, 1).tolist()


def test_songs_by_number_come_in_the_order_asked_for(catalogue: Catalogue) -> None:
    numbers = catalogue.numbers()
    asked = [int(numbers[7]), 10**9, int(numbers[0]), int(numbers[7])]
    assert [song.id for song in catalogue.by_number(asked)] == ["가", "10", "가"]


def test_fused_vectors_are_replaced_and_the_others_left(catalogue: Catalogue) -> None:
    before = catalogue.vectors()
    rows = np.array([8, 0, 3])
    new = np.array([vector(i).distribution for i in range(4)])
    numbers = np.append(before.numbers[rows], 10**9)
    assert catalogue.replace_fused(numbers, new, "new") == 3
    after = catalogue.vectors("new")
    np.testing.assert_array_equal(after.fused[rows], new[:3])
    others = np.setdiff1d(np.arange(len(IDS)), rows)
    np.testing.assert_array_equal(after.fused[others], before.fused[others])
    assert np.flatnonzero(after.current).tolist() == [0, 3, 8]
    np.testing.assert_array_equal(after.lyrics, before.lyrics)


@pytest.mark.parametrize(
    ("numbers", "vectors", "made_by", "message"),
    [
        ([1, 2], np.full((1, 6), 1 / 6), "new", r"shape \(2, 6\)"),
        ([1, 1], np.full((2, 6), 1 / 6), "new", "number 1 comes twice"),
        ([1, 2], np.eye(6)[:2] * [[1.0], [2.0]], "new", "song number 2"),
        ([1, 2], np.eye(6)[:2] * [[np.nan], [1.0]], "new", "song number 1"),
        ([1], np.full((1, 6), 1 / 6), "", "made_by"),
    ],
)
def test_fused_vectors_that_cannot_be_kept(
    catalogue: Catalogue, numbers: list[int], vectors: np.ndarray, made_by: str, message: str
) -> None:
    before = catalogue.vectors().fused
    with pytest.raises(InputError, match=message):
        catalogue.replace_fused(np.array(numbers), vectors.astype(np.float32), made_by)
    np.testing.assert_array_equal(catalogue.vectors().fused, before)


def test_every_write_changes_the_revision_and_no_reading(catalogue: Catalogue) -> None:
    seen = [catalogue.revision()]
    numbers = catalogue.numbers()
    for write in (
        lambda: catalogue.upsert([SONGS[0]]),
        lambda: catalogue.remove(["9"]),
        lambda: catalogue.set_meta("made", "today"),
        lambda: catalogue.replace_fused(numbers[:1], np.eye(6, dtype=np.float32)[:1], "new"),
    ):
        write()
        seen.append(catalogue.revision())
    assert len(set(seen)) == 5
    catalogue.songs(), catalogue.vectors(), catalogue.meta(), catalogue.count()
    with catalogue.transaction():
        catalogue.songs()
    assert catalogue.upsert([]) == catalogue.remove([]) == 0
    assert catalogue.revision() == seen[-1]


def test_a_transaction_is_seen_when_it_is_whole(catalogue: Catalogue, place: str) -> None:
    with Catalogue.open(place, read_only=True) as reader:
        before = reader.revision()
        with catalogue.transaction():
            catalogue.upsert([Song("new")])
            catalogue.set_meta("made", "today")
            assert catalogue.count() == len(IDS) + 1
            within = catalogue.revision()
            assert reader.count() == len(IDS)
            assert reader.fact("made") is None
            assert reader.revision() == before
        assert reader.count() == len(IDS) + 1
        assert reader.revision() == within != before


def test_a_transaction_that_fails_leaves_nothing(catalogue: Catalogue) -> None:
    before = catalogue.revision()

    def empty_and_fail() -> None:
        with catalogue.transaction():
            assert catalogue.remove(IDS) == len(IDS)
            catalogue.upsert([Song("")])

    with pytest.raises(InputError, match="needs an id"):
        empty_and_fail()
    assert catalogue.count() == len(IDS)
    assert catalogue.revision() == before
    catalogue.upsert([Song("new")])
    assert catalogue.count() == len(IDS) + 1


def test_one_writes_at_a_time(catalogue: Catalogue, place: str, monkeypatch) -> None:
    monkeypatch.setattr("data_prep.catalogue_place.BUSY_S", 0.05)
    with Catalogue.open(place) as other:
        with catalogue.transaction():
            catalogue.upsert([Song("new")])
            with pytest.raises(CatalogueError, match="another process is writing"):
                other.upsert([Song("newer")])
        other.upsert([Song("newer")])
        assert other.count() == len(IDS) + 2


def test_the_first_schema_is_brought_up_to_date(place: str, execute) -> None:
    carried = {"fusion_settings": "{}"}
    inputs = {"inputs:가": '{"lyrics": "a:b", "audio": "c:d", "stat": [5, 6]}', "inputs:Z": "1"}
    write_old_catalogue(execute, SONGS[::-1], carried | inputs)
    with Catalogue.open(place, read_only=True) as catalogue:
        assert list(map(content, catalogue.songs())) == list(map(content, SONGS))
        assert catalogue.numbers().tolist() == sorted(catalogue.numbers().tolist())
        facts = {"schema_version": "3", "taxonomy_version": "1", "revision": catalogue.revision()}
        assert catalogue.meta() == {**carried, **facts}
        assert catalogue.files(["가", "Z", "?"]) == {
            "가": SongFile("가", size=5, mtime_ns=6, content="c", lyrics="a:b", audio="c:d"),
            "Z": SongFile("Z"),
        }
    with Catalogue.open(place) as catalogue:
        assert catalogue.revision() == facts["revision"], "it is done once"
        catalogue.upsert([Song("new")])
        assert catalogue.count() == len(IDS) + 1


def test_the_second_schema_is_brought_up_to_date(place: str, execute) -> None:
    with Catalogue.open(place, create=True) as catalogue:
        catalogue.upsert(SONGS)
    execute("ALTER TABLE maeum_songs DROP COLUMN missing_since", [[]])
    execute("DROP TABLE maeum_files", [[]])
    execute("UPDATE maeum_meta SET value = '2' WHERE key = 'schema_version'", [[]])
    execute("INSERT INTO maeum_meta VALUES (?, ?)", [["inputs:Z", '{"lyrics": "a:b"}']])
    with Catalogue.open(place, read_only=True) as catalogue:
        assert list(map(content, catalogue.songs())) == list(map(content, SONGS))
        assert catalogue.files(["Z"]) == {"Z": SongFile("Z", lyrics="a:b")}
        assert catalogue.meta()["schema_version"] == "3"
    with Catalogue.open(place) as catalogue:
        assert catalogue.mark_missing(["Z"], "2026-11-27") == 1


def test_files_are_kept_replaced_and_go_with_their_songs(catalogue: Catalogue) -> None:
    before = catalogue.revision()
    first, second = SongFile("가", "music", "a/가.mp3", 1, 2, "x"), SongFile("Z", "music", "Z.mp3")
    catalogue.keep_files([SongFile("가"), second, first])
    assert catalogue.revision() == before
    assert catalogue.files(IDS) == {"가": first, "Z": second}
    paths = {song.id: song.path for song in catalogue.songs()}
    assert catalogue.placed_files("music") == [(second, paths["Z"]), (first, paths["가"])]
    assert catalogue.placed_files("other") == []
    catalogue.remove(["가"])
    assert catalogue.files(IDS) == {"Z": second}


def test_missing_songs_are_marked_once(catalogue: Catalogue) -> None:
    assert catalogue.missing().tolist() == []
    assert catalogue.mark_missing(["Z", "nobody"], "2026-01-01") == 1
    assert catalogue.mark_missing(["Z", "가"], "2026-02-02") == 1
    since = {song.id: song.missing_since for song in catalogue.songs() if song.missing_since}
    assert since == {"Z": "2026-01-01", "가": "2026-02-02"}
    assert sorted(catalogue.missing()) == sorted(map(catalogue.number_of, ("Z", "가")))


def test_a_damaged_vector_of_the_first_schema_is_named(place: str, execute) -> None:
    write_old_catalogue(execute, SONGS, {})
    execute("UPDATE maeum_songs SET audio_calm = NULL WHERE id = ?", [["Z"]])
    for _ in range(2):
        with pytest.raises(CatalogueError, match="audio vector of song 'Z' is damaged"):
            Catalogue.open(place)
    execute("UPDATE maeum_songs SET audio_made_by = NULL WHERE id = ?", [["Z"]])
    with Catalogue.open(place) as catalogue:
        assert catalogue.get(["Z"])[0].audio is None


def test_filters_that_no_database_knows_are_input_errors(catalogue: Catalogue, place: str) -> None:
    with pytest.raises((InputError, CatalogueError)):
        catalogue.songs(SongFilter(year_from=10**20))
    with pytest.raises((InputError, CatalogueError)):
        catalogue.songs(SongFilter(genre="\udcff"))
    assert catalogue.count() == len(IDS)
