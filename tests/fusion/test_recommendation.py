"""Recommendation on a board of songs with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, SongFilter, StageVector
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS
from fusion.recommendation import Recommender, Wishes, recommend
from fusion.rescoring import song_vectors
from fusion.settings import FusionSettings
from fusion.shelf import ListShelf

SETTINGS = FusionSettings()


def near(emotion: int, strength: float = 0.8) -> np.ndarray:
    vector = np.full(6, (1 - strength) / 5, dtype=np.float32)
    vector[emotion] = strength
    return vector


def song_of(song_id: str, lyrics=None, audio=None, **facts) -> Song:
    return Song(
        id=song_id,
        lyrics=None if lyrics is None else StageVector(np.asarray(lyrics, np.float32), "words"),
        audio=None if audio is None else StageVector(np.asarray(audio, np.float32), "sound"),
        **{"title": f"Title {song_id}", "artist": f"Artist {song_id}", **facts},
    )


@pytest.fixture
def board() -> list[Song]:
    """One song per emotion and strength, by words or by sound."""
    songs = []
    for emotion, name in enumerate(EMOTIONS):
        for number, strength in enumerate((0.9, 0.7, 0.5)):
            vector = near(emotion, strength)
            branch = {"lyrics": vector} if number % 2 else {"audio": vector}
            songs.append(song_of(f"{name}-{number}", year=2000 + 5 * number, **branch))
    return songs


def test_the_nearest_come_first_for_every_emotion(board):
    recommender = Recommender(ListShelf(board, SETTINGS))
    for emotion, name in enumerate(EMOTIONS):
        results = recommender.recommend(near(emotion, 0.95), Wishes(3))
        assert [r.song.id for r in results] == [f"{name}-0", f"{name}-1", f"{name}-2"]
        assert [r.rank for r in results] == [1, 2, 3]
        assert results[0].score > results[1].score > results[2].score


def test_different_moods_get_different_songs(board):
    recommender = Recommender(ListShelf(board, SETTINGS))
    top = [{r.song.id for r in recommender.recommend(near(e), Wishes(3))} for e in range(6)]
    assert len(set().union(*top)) == 18


def test_the_json_of_a_result(board):
    content = Recommender(ListShelf(board, SETTINGS)).recommend(near(3), Wishes(1))[0].to_json()
    assert list(content) == [
        "rank", "id", "title", "artist", "year", "link", "score", "fused", "lyrics", "audio", "why",
    ]  # fmt: skip
    assert content["lyrics"] is None
    assert sum(content["fused"].values()) == pytest.approx(1.0, abs=1e-5)
    assert content["why"] == "Shares the sadness; only its sound was heard."


def test_from_a_catalogue_with_a_filter(tmp_path, board):
    with Catalogue.open(str(tmp_path / "songs.db"), create=True) as catalogue:
        catalogue.upsert(board)
        results = recommend(catalogue, near(0), 5, SongFilter(year_from=2005), settings=SETTINGS)
        assert {r.song.year for r in results} <= {2005, 2010}
        assert results[0].song.id == "joy-1"
        nothing = recommend(catalogue, near(0), 5, SongFilter(genre="없음"), settings=SETTINGS)
        assert nothing == []


def test_the_same_song_twice_is_recommended_once():
    songs = [song_of(str(i), near(0), title="Same  Song", artist="One") for i in range(8)]
    songs += [song_of("other", near(0, 0.5)), song_of("x", near(0), title=None, artist="One")]
    results = Recommender(ListShelf(songs, SETTINGS)).recommend(near(0), Wishes(5))
    assert [r.song.id for r in results] == ["0", "x", "other"]


def test_a_path_leads_from_the_mood_to_the_emotion(board):
    mood = near(3, 0.9)
    results = Recommender(ListShelf(board, SETTINGS)).recommend(mood, Wishes(5, toward="joy"))
    assert len({r.song.id for r in results}) == 5
    assert results[0].song.id.startswith("sadness")
    assert results[-1].song.id.startswith("joy")
    joy = [float(r.fused.distribution[0]) for r in results]
    sadness = [float(r.fused.distribution[3]) for r in results]
    assert joy[0] < joy[-1]
    assert sadness[0] > sadness[-1]
    assert results[1].why.startswith("Step 2 of 5 towards joy: ")


def test_a_path_of_one_is_at_its_goal_and_takes_korean_names(board):
    (only,) = Recommender(ListShelf(board, SETTINGS)).recommend(near(3), Wishes(1, toward="기쁨"))
    assert only.song.id == "joy-0"


def test_a_path_longer_than_the_catalogue_uses_every_song_once(board):
    results = Recommender(ListShelf(board, SETTINGS)).recommend(near(1), Wishes(40, toward="calm"))
    assert sorted(r.song.id for r in results) == sorted(song.id for song in board)


def test_out_of_range_questions_are_refused(board):
    recommender = Recommender(ListShelf(board, SETTINGS))
    with pytest.raises(InputError, match="k = 0"):
        recommender.recommend(near(0), Wishes(0))
    with pytest.raises(InputError, match="melancholy"):
        recommender.recommend(near(0), Wishes(3, toward="melancholy"))


def test_an_empty_catalogue_gives_nothing():
    assert Recommender(ListShelf([], SETTINGS)).recommend(near(0), Wishes(3)) == []
    assert Recommender(ListShelf([], SETTINGS)).recommend(near(0), Wishes(3, toward="joy")) == []


def test_stored_vectors_count_only_under_the_settings_that_made_them():
    stored = StageVector(near(5), SETTINGS.hash)
    fresh = Song(id="a", lyrics=StageVector(near(0), "words"), fused=stored)
    stale = Song(id="b", lyrics=fresh.lyrics, fused=StageVector(near(5), "earlier settings"))
    nothing = Song(id="c")
    vectors = song_vectors([fresh, stale, nothing], SETTINGS)
    np.testing.assert_allclose(vectors[0], near(5))
    np.testing.assert_allclose(vectors[1], near(0), atol=1e-6)
    assert np.isnan(vectors[2]).all()
    shelf = ListShelf([fresh, stale, nothing], SETTINGS)
    results = Recommender(shelf).recommend(near(0), Wishes(5))
    assert [r.song.id for r in results] == ["b", "a"]


def test_reasons_speak_the_language_of_the_words(board):
    class Mood:
        distribution = near(3)
        language = "ko"

    recommender = Recommender(ListShelf(board, SETTINGS))
    assert "닮았고" in recommender.recommend(Mood(), Wishes(1))[0].why
    assert "Shares" in recommender.recommend(Mood(), Wishes(1), language="en")[0].why


def test_songs_like_one_leave_itself_out(board):
    recommender = Recommender(ListShelf(board, SETTINGS))
    results = recommender.like("anger-0", Wishes(2))
    assert [r.song.id for r in results] == ["anger-1", "anger-2"]
    with pytest.raises(InputError, match="'nothing-like-it'"):
        recommender.like("nothing-like-it")
    with pytest.raises(InputError, match="emotion of the song 'mute'"):
        Recommender(ListShelf([Song(id="mute")], SETTINGS)).like("mute")


def test_an_artist_has_no_more_songs_than_wished():
    songs = [song_of(f"{i}", near(0, 0.9 - 0.01 * i), artist="Same" if i < 4 else f"Other {i}")
             for i in range(8)]  # fmt: skip
    recommender = Recommender(ListShelf(songs, SETTINGS))
    results = recommender.recommend(near(0, 0.95), Wishes(4, per_artist=2))
    assert [r.song.id for r in results] == ["0", "1", "4", "5"]
    path = recommender.recommend(near(0, 0.95), Wishes(4, per_artist=1, toward="calm"))
    assert sum(r.song.artist == "Same" for r in path) == 1


def test_of_several_artists_each_counts():
    names = ["IU; SUGA", "IU", "SUGA", "Other"]
    songs = [song_of(f"{i}", near(0, 0.9 - 0.01 * i), artist=name) for i, name in enumerate(names)]
    results = Recommender(ListShelf(songs, SETTINGS)).recommend(near(0), Wishes(4, per_artist=1))
    assert {r.song.artist for r in results} in ({"IU; SUGA", "Other"}, {"IU", "SUGA", "Other"})
    nearest = max(results, key=lambda r: r.score)
    assert nearest.rank == 1


def test_artists_that_are_unknown_are_nobody():
    songs = [song_of(f"{i}", near(0), artist=None) for i in range(3)]
    assert len(Recommender(ListShelf(songs)).recommend(near(0), Wishes(3, per_artist=1))) == 3


def test_varied_lists_by_hand():
    """Two songs right at the mood, one a little off: the second place goes to the other one."""
    songs = [
        song_of("a", [0.5, 0.5, 0, 0, 0, 0]),
        song_of("b", [0.5, 0.49, 0.01, 0, 0, 0]),
        song_of("c", [0.4, 0.3, 0.3, 0, 0, 0]),
    ]
    recommender = Recommender(ListShelf(songs, SETTINGS))
    mood = np.array([0.5, 0.5, 0, 0, 0, 0])
    plain = recommender.recommend(mood, Wishes(2))
    assert [r.song.id for r in plain] == ["a", "b"]
    # b: 0.4 * 1.000 - 0.6 * 1.000 = -0.2; c: 0.4 * 0.849 - 0.6 * 0.849 = -0.17
    varied = recommender.recommend(mood, Wishes(2, diversity=0.6))
    assert [r.song.id for r in varied] == ["a", "c"]
    assert [r.rank for r in varied] == [1, 2]


def test_more_diversity_never_makes_a_list_more_alike(board):
    recommender = Recommender(ListShelf(board, SETTINGS))

    def likeness(diversity: float) -> float:
        found = recommender.recommend(near(3, 0.6), Wishes(6, diversity=diversity))
        units = np.stack([r.fused.distribution for r in found]).astype(float)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        return float((units @ units.T)[np.triu_indices(6, 1)].mean())

    assert likeness(0.8) < likeness(0.0)


def test_the_strongest_emotion_first_if_wished():
    songs = [
        song_of("near", [0.45, 0.46, 0.09, 0, 0, 0]),
        song_of("same top", [0.6, 0.0, 0.4, 0, 0, 0]),
    ]
    recommender = Recommender(ListShelf(songs, SETTINGS))
    mood = np.array([0.5, 0.45, 0.05, 0, 0, 0])
    assert [r.song.id for r in recommender.recommend(mood, Wishes(2))] == ["near", "same top"]
    published = recommender.recommend(mood, Wishes(2, same_top_first=True))
    assert [r.song.id for r in published] == ["same top", "near"]


def test_the_strongest_emotion_stays_first_in_a_varied_list():
    songs = [
        song_of("other", [0.45, 0.46, 0.09, 0, 0, 0]),
        song_of("a", [0.6, 0.0, 0.4, 0, 0, 0]),
        song_of("b", [0.6, 0.01, 0.39, 0, 0, 0]),
    ]
    recommender = Recommender(ListShelf(songs, SETTINGS))
    mood = np.array([0.5, 0.45, 0.05, 0, 0, 0])
    found = recommender.recommend(mood, Wishes(3, same_top_first=True, diversity=0.9))
    assert {r.song.id for r in found[:2]} == {"a", "b"}
    assert recommender.recommend(mood, Wishes(3, diversity=0.9))[0].song.id == "other"


def test_details_say_what_the_sound_moved():
    song = song_of("both", near(3), near(0))
    (result,) = Recommender(ListShelf([song], SETTINGS)).recommend(near(3), Wishes(1))
    content = result.to_json(details=True)
    assert content["disagreement"] == pytest.approx(result.fused.disagreement)
    assert content["moved"]["joy"] == pytest.approx(0.38, abs=1e-6)
    assert content["moved"]["sadness"] == pytest.approx(-0.38, abs=1e-6)
    assert "moved" not in result.to_json()


@pytest.mark.parametrize(
    "wishes",
    [
        {"k": 1_001},
        {"diversity": 1.5},
        {"per_artist": 0},
        {"similarity": "euclid"},
        {"toward": "joy", "diversity": 0.5},
    ],
)
def test_wishes_out_of_range_are_refused(wishes):
    with pytest.raises(InputError):
        Wishes(**wishes)
