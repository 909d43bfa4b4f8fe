"""Kakao Arena folders in a catalogue: facts, words, and mels for models that read them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from app.library.indexing import index_songs
from app.library.kakao_arena import KakaoMels
from app.library.song_sources import song_sources
from app.reading_pool import ReadingPool
from audio_model.predictor import AudioPredictor
from data_prep.catalogue import Catalogue
from data_prep.errors import InputError, MissingExtraError
from fusion.analysis import SongAnalyser
from fusion.settings import FusionSettings
from tests.audio_model.mel_model import write_mel_model
from tests.data_prep.toy_mels import arena_mel, arena_tar

pytest.importorskip("onnx")


@pytest.fixture
def arena(tmp_path) -> Path:
    folder = tmp_path / "melon"
    folder.mkdir()
    records = [
        {
            "id": song,
            "song_name": f"제목 {song}",
            "artist_name_basket": ["하나", "둘"],
            "album_name": "앨범",
            "issue_date": "20140512",
            "song_gn_gnr_basket": ["GN0100"],
            "song_gn_dtl_gnr_basket": [],
        }
        for song in range(5)
    ]
    (folder / "song_meta.json").write_text(json.dumps(records), encoding="utf-8")
    (folder / "genre_gn_all.json").write_text('{"GN0100": "발라드"}', encoding="utf-8")
    (folder / "lyrics.csv").write_text(
        "song_id,lyrics\n3,슬픔의 노래\n1,기쁨의 노래\n77,남의 노래\n", encoding="utf-8"
    )
    return folder


@pytest.fixture
def mel_model(tmp_path) -> Path:
    return write_mel_model(tmp_path / "mel-model")


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue.open(str(tmp_path / "songs.db"), create=True) as opened:
        yield opened


def test_facts_and_words(arena, catalogue, analyser):
    said: list[str] = []
    sources = song_sources(arena, say=said.append)
    assert [source.id for source in sources] == ["1", "3"]
    assert said == [
        f"{arena / 'lyrics.csv'}: rows left out: 1 unknown song",
        f"5 songs in {arena / 'song_meta.json'}: 2 have words, 0 a mel that can be read, and 3 "
        "neither",
    ]
    report = index_songs(catalogue, sources, analyser)
    assert (report.new, report.failures) == (2, [])
    (song,) = catalogue.get(["3"])
    assert (song.title, song.artist, song.album) == ("제목 3", "하나; 둘", "앨범")
    assert (song.year, song.genre, song.source, song.language) == (2014, "발라드", "melon", "ko")
    assert (song.path, song.audio) == (None, None)
    assert int(song.lyrics.distribution.argmax()) == 3
    assert index_songs(catalogue, song_sources(arena), analyser).unchanged == 2


def test_mels_are_told_once_where_the_model_needs_recordings(arena, catalogue, analyser):
    arena_tar(arena / "arena_mel_0.tar", range(5))
    said: list[str] = []
    sources = song_sources(arena, say=said.append)
    assert sum("needs recordings" in line for line in said) == 1
    assert [source.id for source in sources] == ["1", "3"]
    assert all(source.load().log_mel is None for source in sources)
    (arena / "lyrics.csv").unlink()
    with pytest.raises(InputError, match="has words or a mel"):
        song_sources(arena)


def store_of(arena: Path, out: Path) -> Path:
    pytest.importorskip("h5py")
    pytest.importorskip("torch")
    from audio_model.mel_preparation import prepare_kakao
    from audio_model.mel_sources import recognise

    prepare_kakao(recognise([arena]), out)
    return out


@pytest.mark.parametrize("kept_in", ["tars", "store", "elsewhere"])
def test_a_model_of_mels_reads_them(arena, catalogue, analyser, mel_model, tmp_path, kept_in):
    tar = arena_tar(arena / "arena_mel_0.tar", range(4))
    place = None
    if kept_in != "tars":
        folder = arena if kept_in == "store" else tmp_path
        store = store_of(tar, folder / "mels.h5")
        place = store if kept_in == "elsewhere" else None
        tar.unlink()
    mels = KakaoMels(place, mel_model)
    predictor = AudioPredictor.load(mel_model)
    own = SongAnalyser(analyser.lyric_predictor, predictor, FusionSettings.load())
    sources = song_sources(arena, mels=mels)
    assert [source.id for source in sources] == ["0", "1", "2", "3"]
    assert index_songs(catalogue, sources, own).new == 4
    found = {song.id: song for song in catalogue.songs()}
    for number in range(4):
        expected = predictor.read_log_mel(arena_mel(number)).distribution
        heard = found[str(number)].audio
        assert heard.made_by == predictor.model_hash
        np.testing.assert_allclose(heard.distribution, expected, atol=1e-3)
    assert [found[str(i)].lyrics is not None for i in range(4)] == [False, True, False, True]
    again = index_songs(catalogue, song_sources(arena, mels=mels), own)
    assert (again.unchanged, again.changed) == (4, 0)


def test_mels_are_read_in_a_pool(arena, catalogue, analyser, mel_model):
    arena_tar(arena / "arena_mel_0.tar", range(2))
    predictor = AudioPredictor.load(mel_model)
    own = SongAnalyser(analyser.lyric_predictor, predictor, FusionSettings.load())
    (arena / "lyrics.csv").unlink()
    sources = song_sources(arena, mels=KakaoMels(None, mel_model))
    with ReadingPool(1, audio_folder=mel_model) as pool:
        assert index_songs(catalogue, sources, own, pool=pool).failures == []
    for song in catalogue.songs():
        expected = predictor.read_log_mel(arena_mel(int(song.id))).distribution
        np.testing.assert_array_equal(song.audio.distribution, expected)


def test_a_store_without_h5py_says_what_to_install(arena, mel_model, monkeypatch):
    (arena / "mels.h5").touch()
    song_sources(arena)  # a model that reads no mels needs no h5py
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="a store of mels needs packages"):
        song_sources(arena, mels=KakaoMels(None, mel_model))


def test_places_without_mels_are_refused(arena, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no mels"):
        song_sources(arena, mels=KakaoMels(tmp_path / "empty"))
    with pytest.raises(InputError, match="does not exist"):
        song_sources(arena, mels=KakaoMels(tmp_path / "absent"))
    (arena / "a.h5").touch()
    (arena / "b.hdf5").touch()
    with pytest.raises(InputError, match="several stores"):
        song_sources(arena)
