"""What there is to index in folders, single files and tables."""

from __future__ import annotations

import unicodedata

import pytest

from app.library.song_sources import search_link, song_sources
from data_prep.errors import InputError


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "Music"
    for name in ("b/2.mp3", "a/1.FLAC", "a/cover.jpg", ".hidden/3.mp3", "a/._1.FLAC", "0.ogg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"SOUND joy")
    return folder


def test_a_folder_in_a_fixed_order_without_hidden_files(music):
    sources = song_sources(music)
    names = [source.where.removeprefix(str(music)) for source in sources]
    assert names == ["/0.ogg", "/a/1.FLAC", "/b/2.mp3"]
    assert len({source.id for source in sources}) == 3


def test_ids_survive_a_move_of_the_folder(music, tmp_path):
    before = [source.id for source in song_sources(music, "mine")]
    music.rename(tmp_path / "Elsewhere")
    after = [source.id for source in song_sources(tmp_path / "Elsewhere", "mine")]
    assert before == after
    assert before != [source.id for source in song_sources(tmp_path / "Elsewhere")]


def test_ids_do_not_depend_on_how_hangul_is_composed(tmp_path):
    ids = set()
    for form in ("NFC", "NFD"):
        folder = tmp_path / form
        folder.mkdir()
        (folder / unicodedata.normalize(form, "노래.mp3")).write_bytes(b"")
        ids.add(song_sources(folder, "mine")[0].id)
    assert len(ids) == 1


def test_one_file_has_the_id_it_has_in_its_folder(music):
    (one,) = song_sources(music / "0.ogg")
    assert one.id == song_sources(music)[0].id


def test_lyrics_beside_the_file(music):
    (music / "a" / "1.lrc").write_text("[00:01.00]첫 줄", encoding="utf-8")
    (music / "a" / "1.txt").write_text("다른 것", encoding="utf-8")
    (music / "b" / "2.lrc").write_text("  ", encoding="utf-8")
    (music / "b" / "2.txt").write_text("글", encoding="utf-8")
    lyrics = [source.load().lyrics for source in song_sources(music)]
    assert lyrics == [None, "[00:01.00]첫 줄", "글"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949"])
@pytest.mark.parametrize(
    "name", ["밤편지.lrc", "밤편지.LRC", unicodedata.normalize("NFD", "밤편지.Txt")]
)
def test_lyrics_beside_whatever_their_name_and_alphabet(tmp_path, name, encoding):
    (tmp_path / "밤편지.mp3").write_bytes(b"SOUND joy")
    (tmp_path / name).write_bytes("[00:01.00]이 밤 그날의".encode(encoding))
    for where in (tmp_path, tmp_path / "밤편지.mp3"):
        (source,) = song_sources(where)
        assert source.load().lyrics == "[00:01.00]이 밤 그날의"


def test_facts_from_the_name_and_a_search_for_a_link(tmp_path):
    (tmp_path / "아이유 - 밤편지.mp3").write_bytes(b"SOUND calm")
    song = song_sources(tmp_path)[0].load().song
    assert (song.artist, song.title) == ("아이유", "밤편지")
    assert song.link == search_link("밤편지", "아이유")
    assert song.link.startswith("https://www.youtube.com/results?search_query=%EC%95%84")
    assert search_link("밤편지", None) is None


def test_a_table_gives_facts_words_and_recordings(tmp_path):
    (tmp_path / "words.txt").write_text("가사", encoding="utf-8")
    (tmp_path / "index.csv").write_text(
        "id,title,artist,year,audio_path,lyrics_path,licence,url\n"
        "x,제목,가수,2019-03-01,song.ogg,words.txt,by/4.0,https://example.org/x\n",
        encoding="utf-8",
    )
    (source,) = song_sources(tmp_path / "index.csv")
    material = source.load()
    assert material.lyrics == "가사"
    assert material.audio == tmp_path / "song.ogg"
    song = material.song
    assert (song.id, song.year, song.link) == ("x", 2019, "https://example.org/x")
    assert song.source == tmp_path.name
    assert song_sources(tmp_path / "index.csv", "mine")[0].load().song.source == "mine"


def test_a_bad_row_is_refused_when_it_is_loaded(tmp_path):
    (tmp_path / "songs.csv").write_text("id,text\na,\n", encoding="utf-8")
    (source,) = song_sources(tmp_path / "songs.csv")
    with pytest.raises(InputError, match="nothing in text"):
        source.load()


def test_what_holds_no_songs_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no music"):
        song_sources(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        song_sources(tmp_path / "absent")
    (tmp_path / "notes.pdf").write_bytes(b"")
    with pytest.raises(InputError, match="neither a folder"):
        song_sources(tmp_path / "notes.pdf")
    (tmp_path / "empty.csv").write_text("id,text\n", encoding="utf-8")
    with pytest.raises(InputError, match="no rows"):
        song_sources(tmp_path / "empty.csv")
