"""Kakao Arena's list of songs and lyrics for them, read piece by piece."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.mel_values import RANGES
from data_prep.readers import json_list
from data_prep.readers.kakao_arena import ArenaSong, ArenaSongs
from data_prep.readers.kakao_lyrics import ArenaLyrics, lyrics_table
from data_prep.readers.kakao_mel_places import PlacedMels
from data_prep.readers.kakao_mels import song_folders_in
from tests.data_prep.toy_mels import arena_mel, arena_name, arena_tar, npy, write_tar

GENRES = {"GN0900": "POP", "GN0901": "세부장르전체", "GN0902": "올드팝", "GN9000": "기타장르"}
RECORD = {
    "song_gn_dtl_gnr_basket": ["GN0901", "GN0902"],
    "issue_date": "20140512",
    "album_name": "불후의 명곡 - 7080",
    "album_id": 2255639,
    "artist_id_basket": [2727],
    "song_name": 'Feelings "사랑", {비}[밤]',
    "song_gn_gnr_basket": ["GN0900"],
    "artist_name_basket": ["Various Artists", "하나"],
    "id": 0,
}


def write_songs(folder: Path, records: list, **options) -> Path:
    text = json.dumps(records, **({"ensure_ascii": False} | options))
    (folder / "song_meta.json").write_text(text, encoding="utf-8")
    (folder / "genre_gn_all.json").write_text(json.dumps(GENRES), encoding="utf-8")
    return folder


def test_what_a_record_says(tmp_path):
    songs = ArenaSongs(write_songs(tmp_path, [RECORD]))
    assert songs.song(0) == ArenaSong(
        id="0",
        title='Feelings "사랑", {비}[밤]',
        artist="Various Artists; 하나",
        album="불후의 명곡 - 7080",
        year=2014,
        genre="POP; 올드팝",
    )


@pytest.mark.parametrize(
    ("date", "year"),
    [("20140000", 2014), ("00000000", None), ("", None), (None, None), (1999, 1999)],
)
def test_years(tmp_path, date, year):
    songs = ArenaSongs(write_songs(tmp_path, [RECORD | {"issue_date": date}]))
    assert songs.song(0).year == year


def test_what_is_not_known_is_none(tmp_path):
    record = {"id": 7, "song_name": None, "song_gn_gnr_basket": ["GN9000", "GN0404"]}
    assert ArenaSongs(write_songs(tmp_path, [record])).song(0) == ArenaSong("7", *[None] * 5)


@pytest.mark.parametrize("block", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    "options", [{}, {"indent": 1}, {"ensure_ascii": True}, {"separators": (",", ":")}]
)
def test_any_layout_in_any_pieces_gives_the_same_songs(tmp_path, monkeypatch, block, mark, options):
    monkeypatch.setattr(json_list, "_BLOCK_BYTES", block)
    records = [RECORD | {"id": i * 3, "song_name": f"노래 {i} 😀\\"} for i in range(5)]
    folder = write_songs(tmp_path, records, **options)
    path = folder / "song_meta.json"
    path.write_bytes(mark + path.read_bytes())
    songs = ArenaSongs(folder)
    assert songs.ids.tolist() == [0, 3, 6, 9, 12]
    for place in (3, 0, 4, 1, 2):  # in any order
        assert songs.song(place).title == records[place]["song_name"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"id": 1}, {"id": 2', "cut off behind 1 records"),
        (b'[{"id": 1}, {"id": 2}', "cut off behind 2 records"),
        (b'[{"id": 1}, {"id" 2}]', "cut off behind 1 records"),
        (b'{"id": 1}', "no JSON list"),
        (b"", "no JSON list"),
        (b'[{"id": "x"}]', "record 1 has no id"),
        (b'[{"name": 1}]', "record 1 has no id"),
        (b"[1, 2]", "record 1 has no id"),
        (b'[{"id": 1, "song_name": "\xff"}]', "not UTF-8"),
    ],
)
def test_damaged_lists_say_where(tmp_path, content, said):
    (tmp_path / "song_meta.json").write_bytes(content)
    with pytest.raises(InputError, match=said):
        ArenaSongs(tmp_path)


def test_a_list_that_changes_is_noticed(tmp_path):
    songs = ArenaSongs(write_songs(tmp_path, [RECORD, RECORD | {"id": 1}]))
    write_songs(tmp_path, [RECORD | {"id": 1}, RECORD])
    with pytest.raises(InputError, match="changed while it was being read"):
        songs.song(1)


def test_lyrics_of_any_order_and_kind(tmp_path):
    (tmp_path / "lyrics.csv").write_text(
        'song_id,lyrics,other\n5,"다섯\n둘째 줄",x\n2,둘,x\n2,또 둘,x\n'
        ",없음,x\nseven,일곱,x\n9,,x\n30.0,서른,x\n",
        encoding="utf-8",
    )
    lyrics = ArenaLyrics(tmp_path / "lyrics.csv")
    assert lyrics.ids.tolist() == [2, 5, 30]
    found = [lyrics.words(song) for song in (5, 2, 30, 3, 9, 99)]
    assert found == ["다섯\n둘째 줄", "둘", "서른", None, None, None]
    left_out = {reason: n for reason, n in lyrics.left_out.items() if n}
    assert left_out == {"song twice": 1, "no song id": 2, "no words": 1}
    (tmp_path / "lyrics.jsonl").write_text('{"ID": 1, "Text": "하나"}\n', encoding="utf-8")
    assert ArenaLyrics(tmp_path / "lyrics.jsonl").words(1) == "하나"
    with pytest.raises(InputError, match="one table of lyrics"):
        lyrics_table(tmp_path)
    (tmp_path / "lyrics.jsonl").unlink()
    assert lyrics_table(tmp_path) == tmp_path / "lyrics.csv"


def test_a_table_without_the_columns_is_refused(tmp_path):
    (tmp_path / "lyrics.tsv").write_text("song_id\twords\n1\tx\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'lyrics'"):
        ArenaLyrics(tmp_path / "lyrics.tsv")


def test_mels_are_read_from_where_they_lie(tmp_path):
    first = arena_tar(tmp_path / "arena_mel_0.tar", range(3))
    for song in (1000, 1001):
        path = tmp_path / "unpacked" / arena_name(song)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(npy(arena_mel(song, 1900) + 100))
    placed = PlacedMels([first], [])
    assert placed.ids.tolist() == [0, 1, 2]
    assert placed.values.range is RANGES["db"]
    np.testing.assert_array_equal(placed.log_mel("2"), arena_mel(2))
    unpacked = PlacedMels([], song_folders_in(tmp_path / "unpacked"))
    assert unpacked.ids.tolist() == [1000, 1001]
    assert unpacked.values.range is RANGES["shifted"]
    np.testing.assert_allclose(unpacked.log_mel("1001"), arena_mel(1001, 1900)[:, :1876], atol=1e-4)
    with pytest.raises(KeyError):
        placed.log_mel("3")


def test_one_bad_mel_spoils_no_other(tmp_path):
    members = {arena_name(song): npy(arena_mel(song)) for song in range(5)}
    members[arena_name(2)] = b"no array"
    placed = PlacedMels([write_tar(tmp_path / "arena_mel_1.tar", members)], [])
    with pytest.raises(InputError, match="no npy file"):
        placed.log_mel("2")
    np.testing.assert_array_equal(placed.log_mel("3"), arena_mel(3))


def test_compressed_tars_have_no_places(tmp_path):
    tar = write_tar(tmp_path / "arena_mel_0.tar.gz", {arena_name(1): npy(arena_mel(1))}, "w:gz")
    with pytest.raises(InputError, match="maeum prepare mels"):
        PlacedMels([tar], [])
