import csv
import re
import unicodedata
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from data_prep import demo_songs
from data_prep.data_folder import data_root
from data_prep.demo_songs import POEMS, Poem, numbered_lines, poem_lines, read_poems, search_link
from data_prep.errors import InputError
from data_prep.readers import kpoem
from data_prep.readers.song_table import SongTable, read_song_table

COUNTS = {"emotify": 320, "cc_songs": 13, "jamendo": 23, "poems": len(read_poems())}
FOLDERS = ("audio/emotify", "songs/cc_songs", "songs/jamendo", "text/kpoem")


def needs_data(*folders: str) -> None:
    for folder in folders:
        if not (data_root() / folder).exists():
            pytest.skip(f"{folder} is not in the data folder (MAEUM_DATA)")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SongTable]:
    needs_data(*FOLDERS)
    paths = demo_songs.write_tables(tmp_path_factory.mktemp("demo") / "new" / "folder")
    return {path.stem: read_song_table(path) for path in paths}


def letters(text: str) -> str:
    """A text without spaces, marks and Chinese glosses, so that KPoEM's units can be compared."""
    return re.sub(r"[\W\u3400-\u9fff\uf900-\ufaff]", "", text)


def test_facts_hold_no_words_of_the_poems() -> None:
    with POEMS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("id", "title", "poet", "performer_or_composer", "year", "first", "last")
    ]
    for row in rows:
        assert None not in row
        assert all(value == value.strip() and len(value) <= 50 for value in row.values())


def test_at_least_thirty_poems_of_two_poets() -> None:
    poems = read_poems()
    assert len(poems) >= 30
    assert {poem.poet for poem in poems} == {"김소월", "한용운"}
    assert len({poem.id for poem in poems}) == len({poem.title for poem in poems}) == len(poems)
    for poem in poems:
        assert re.fullmatch(r"(sowol|manhae)(-[a-z]+)+", poem.id)
        assert poem.title == unicodedata.normalize("NFC", poem.title) != ""
        assert poem.year is None or (poem.performer_or_composer and 1900 <= poem.year <= 2030)


def test_ranges_are_disjoint() -> None:
    ordered = sorted(read_poems(), key=lambda poem: poem.first)
    for poem, following in pairwise(ordered):
        assert poem.last < following.first, (poem.id, following.id)


def test_artist_is_the_poet_where_no_performer_is_certain() -> None:
    facts = {"id": "a", "title": "밤", "poet": "김소월", "year": None, "first": 1, "last": 1}
    assert Poem(**facts, performer_or_composer=None).artist == "김소월 (시)"
    assert Poem(**facts, performer_or_composer="정미조").artist == "정미조"


def test_facts_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    header = "id,title,poet,performer_or_composer,year,first,last\n"
    path = tmp_path / "poems.csv"
    path.write_text(header + "a,밤,김소월,,,10,9\n", encoding="utf-8")
    with pytest.raises(InputError, match="poem a: lines 10 to 9"):
        read_poems(path)
    path.write_text(header + "a,밤,김소월,,,ten,11\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: not a number.*ten"):
        read_poems(path)


def test_lines_of_another_poet_are_refused() -> None:
    poem = Poem("a", "밤", "김소월", None, None, 1, 2)
    with pytest.raises(InputError, match="number 2 of KPoEM is no line of 김소월 but of 이상"):
        poem_lines(poem, {1: ("김소월", "하나"), 2: ("이상", "둘")})
    with pytest.raises(InputError, match=r"number 2 .* but of nobody"):
        poem_lines(poem, {1: ("김소월", "하나")})


def test_glosses_are_left_out_and_readings_kept() -> None:
    lines = {
        1: ("김소월", "영변(寧邊)에 약산(藥山)"),
        2: ("김소월", "어스러한 燈(등)불에 (밤이) 오면은"),
    }
    poem = Poem("a", "밤", "김소월", None, None, 1, 2)
    assert poem_lines(poem, lines) == ["영변에 약산", "어스러한 등불에 (밤이) 오면은"]


def test_search_link_is_percent_encoded() -> None:
    link = search_link("못 잊어 ", "A & B")
    assert link.isascii()
    assert " " not in link
    assert parse_qs(urlsplit(link).query) == {"search_query": ["못 잊어 A & B"]}


def test_each_poem_is_whole_and_alone() -> None:
    """KPoEM's units of whole poems say where each begins and ends."""
    needs_data("text/kpoem")
    lines = numbered_lines()
    elsewhere = {letters(text) for _, text in lines.values()}
    wholes = [(row.poet, letters(row.text)) for row in kpoem.read(unit="text")]
    for poem in read_poems():
        own = [letters(lines[n][1]) for n in range(poem.first, poem.last + 1)]
        whole = [
            text
            for poet, text in wholes
            if poet == poem.poet and text.startswith(own[0]) and all(line in text for line in own)
        ]
        assert len(whole) == 1, poem.id
        rest = whole[0]
        for line in sorted(own, key=len, reverse=True):
            rest = rest.replace(line, "")
        # A line that recurs, even in another poem, is given once in the whole set.
        assert rest == "" or rest in elsewhere, poem.id


@pytest.mark.parametrize(("source", "count"), COUNTS.items())
def test_tables_are_complete(tables: dict[str, SongTable], source: str, count: int) -> None:
    table = tables[source]
    assert len(table.records) == count
    for record in table.records:
        assert record.problem is None
        assert record.id.startswith(f"{source}-")
        assert record.values["source"] == source
        assert record.title
        assert record.artist
        assert record.licence
        link = urlsplit(record.link)
        assert link.scheme in ("http", "https")
        assert link.netloc
        assert link.path.strip("/")
        assert record.link.isascii()
        assert " " not in record.link
        assert record.year is None or 1900 <= record.year <= 2030


def test_tables_name_files_that_are_there(tables: dict[str, SongTable]) -> None:
    records = {source: table.records for source, table in tables.items()}
    for record in (*records["emotify"], *records["cc_songs"], *records["jamendo"]):
        assert record.text is None
        for path in (record.audio_path, record.lyrics_path):
            assert path is None or path.is_file()
    assert all(r.audio_path and not r.lyrics_path and r.year for r in records["emotify"])
    assert all(r.audio_path and r.lyrics_path for r in records["cc_songs"])
    assert sum(bool(r.audio_path) for r in records["jamendo"]) == 3
    assert all(r.lyrics_path for r in records["jamendo"])
    assert {r.genre for r in records["emotify"]} == {"classical", "electronic", "pop", "rock"}


def test_pages_the_data_names_go_before_searches(tables: dict[str, SongTable]) -> None:
    hosts = {r.id: urlsplit(r.link).netloc for t in tables.values() for r in t.records}
    assert all(hosts[r.id] == "www.jamendo.com" for r in tables["jamendo"].records)
    assert hosts["cc_songs-fairy-bot-orchestra-heaven-can-t-wait"].endswith("bandcamp.com")
    assert hosts["emotify-pop-012"] == "magnatune.com"
    assert hosts["emotify-classical-001"] == "www.youtube.com"


def test_poems_have_their_words(tables: dict[str, SongTable]) -> None:
    poems = read_poems()
    for poem, record in zip(poems, tables["poems"].records, strict=True):
        assert record.id == f"poems-{poem.id}"
        assert record.language == "ko"
        assert record.text.count("\n") == poem.last - poem.first
        assert not re.search("[\u3400-\u9fff]", record.text)


def test_command_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path / "nowhere"))
    assert demo_songs.main([str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "MAEUM_DATA" in message
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    needs_data(*FOLDERS)
    assert demo_songs.main([str(tmp_path / "out")]) == 0
    assert "emotify.csv: 320 songs" in capsys.readouterr().out
