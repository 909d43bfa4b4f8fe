"""What hygiene leaves out, and what it must not."""

import pytest

from fusion.hygiene import SongName, hygiene_of, plain_title


def left(*songs: tuple[str | None, str | None] | tuple[str | None, str | None, str | None]):
    """Reasons that left something out, and the places that stay."""
    found = hygiene_of([SongName(*(*song, None)[:3]) for song in songs])
    counts = {reason: count for reason, count in found.counts.items() if count}
    return counts, found.kept.nonzero()[0].tolist()


def test_one_of_several_versions_stays_the_plainest():
    counts, kept = left(
        ("봄날 (Live)", "방탄소년단"),
        ("봄날", "방탄소년단"),
        ("봄날 - 2020 Remaster", "방탄소년단 "),
        ("봄날", "다른 가수"),
        ("Spring Day", "방탄소년단"),
    )
    assert counts == {"duplicate": 2}
    assert kept == [1, 3, 4]


def test_of_equal_titles_the_first_stays():
    assert left(("Hello", "A"), ("HELLO!", "a"), ("hello", "A")) == ({"duplicate": 2}, [0])


@pytest.mark.parametrize("artist", ["Various Artists", "V.A.", "여러 아티스트", "VARIOUS ARTISTS"])
def test_various_artists_are_left_out(artist):
    assert left(("Song", artist), ("Song", "Somebody")) == ({"various artists": 1}, [1])


@pytest.mark.parametrize(
    "title",
    [
        "사랑 (MR)",
        "사랑 - Inst.",
        "Love (Instrumental)",
        "Love Karaoke",
        "Love (Karaoke Version)",
        "봄날 (노래방 버전)",
        "봄날 노래방 MR",
        "사랑 반주",
        "사랑 (Inst. Ver.)",
        "태교 음악",
        "빗소리 ASMR",
    ],
)
def test_novelties_are_left_out(title):
    assert left((title, "A"), ("다른 노래", "A")) == ({"novelty series": 1}, [1])


@pytest.mark.parametrize(
    "title",
    [
        "Mr. Brightside",
        "Life - Mr. Monkey",
        "Hello (Mr. Postman)",
        "Instant Crush",
        "Mister",
        "(사랑해)",
        "일반주",
        "1, 2 Step",
        "노래방에서",
        "노래방",
        "Karaoke",
        "Karaoke Queen",
        "White Noise (feat. Somebody)",
        "Ringtone (Remix)",
        "벨소리",
        "반주",
    ],
)
def test_songs_that_only_look_like_novelties_stay(title):
    assert left((title, "A")) == ({}, [0])


def test_numbered_tracks_are_a_series_from_five_on():
    four = [(f"명상 {i}", "A") for i in range(4)]
    assert left(*four)[1] == [0, 1, 2, 3]
    counts, kept = left(*four, ("명상 9", "A"), ("명상 1", "B"))
    assert counts == {"novelty series": 5}
    assert kept == [5]


@pytest.mark.parametrize("maker", ["금영노래방", "Zoom Karaoke", "White Noise Therapy"])
def test_who_makes_novelties_is_left_out_with_all_titles(maker):
    assert left(("봄날", maker), ("봄날", "A")) == ({"novelty series": 1}, [1])
    assert left(("봄날", "A", f"{maker} 3"), ("봄날", "B"))[1] == [1]


@pytest.mark.parametrize(
    "title",
    [
        "Symphony No. {}",
        "Sonata in C major, K. {}",
        "교향곡 제{}번",
        "Étude Op. {}",
        "꿈 {}부",
        "Another Wall (Part {})",
    ],
)
def test_works_and_their_parts_are_no_series_and_no_duplicates(title):
    songs = [(title.format(i), "A") for i in range(1, 10)]
    assert left(*songs) == ({}, list(range(9)))


def test_songs_without_a_name_are_taken_for_nobody_else():
    assert left((None, "A"), (None, "A"), ("x", None), ("x", None), ("", "")) == (
        {},
        [0, 1, 2, 3, 4],
    )


def test_what_was_done_is_said():
    said = str(hygiene_of([SongName("a", "V.A.", None), SongName("b", "c", None)]))
    assert said == "hygiene: left out 1 various artists; 1 songs stay"
    assert str(hygiene_of([])) == "hygiene: nothing to leave out"


def test_plain_titles():
    assert plain_title("Song (feat. X) [Remix]") == "Song"
    assert plain_title("Song - Live at Home") == "Song"
    assert plain_title("Me - You") == "Me - You"
    assert plain_title("(Intro)") == "(Intro)"
