"""The commands with the embedded models, as processes of their own."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.demo import DEMO_CATALOGUE
from data_prep.taxonomy import EMOTIONS

ROOT = Path(__file__).resolve().parents[2]
LYRICS = ROOT / "lyrics_model" / "embedded"
AUDIO = ROOT / "audio_model" / "embedded"

needs_lyrics = pytest.mark.skipif(
    not (LYRICS / "model.json").is_file(), reason="there is no embedded lyric model"
)
needs_audio = pytest.mark.skipif(
    not (AUDIO / "model.json").is_file(), reason="there is no embedded audio model"
)
needs_demo = pytest.mark.skipif(not DEMO_CATALOGUE.is_file(), reason="there is no demo catalogue")

HEAVY = ("torch", "transformers", "librosa", "gradio", "matplotlib", "sklearn", "scipy")


@pytest.fixture
def maeum(own_home):
    def run(*arguments: object, **variables: object) -> subprocess.CompletedProcess[str]:
        environment = {k: str(v) for k, v in variables.items()}
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"} | environment,
        )

    return run


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("maeum: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def tone(path: Path, seconds: float = 6.0) -> Path:
    soundfile = pytest.importorskip("soundfile")
    time = np.arange(int(16_000 * seconds)) / 16_000
    rng = np.random.default_rng(0)
    wave = 0.2 * np.sin(2 * np.pi * 220 * time) + 0.02 * rng.normal(size=time.size)
    soundfile.write(str(path), wave.astype(np.float32), 16_000)
    return path


def check_analysis(content: dict) -> None:
    assert set(content) == {
        "lyrics", "audio", "fused", "top", "confidence", "abstain", "language", "notes",
    }  # fmt: skip
    for branch in ("lyrics", "audio", "fused"):
        if content[branch] is not None:
            assert list(content[branch]) == list(EMOTIONS)
            assert sum(content[branch].values()) == pytest.approx(1.0, abs=1e-5)
    assert content["top"] == max(content["fused"], key=content["fused"].get)


@needs_lyrics
@needs_demo
def test_a_mood_is_answered_without_heavy_libraries(own_home):
    code = (
        "import sys; from app.cli import main; "
        "sys.argv = ['maeum', 'recommend', '오늘 너무 우울해', '--json']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([m for m in sys.argv[1:]], file=sys.stderr)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
    content = json.loads(done.stdout)
    check_analysis(content["query"])
    assert content["query"]["top"] == "sadness"
    assert [result["rank"] for result in content["results"]] == [1, 2, 3, 4, 5]
    for result in content["results"]:
        assert set(result) == {
            "rank", "id", "title", "artist", "year", "link", "score",
            "fused", "lyrics", "audio", "why",
        }  # fmt: skip
        assert result["why"]
        assert result["link"]


@needs_demo
def test_the_demo_catalogue_holds_nothing_local():
    from data_prep.catalogue import Catalogue

    with Catalogue.open(DEMO_CATALOGUE, read_only=True) as catalogue:
        songs = catalogue.songs()
        meta = "".join(catalogue.meta().values())
    assert {song.path for song in songs} == {None}
    assert "/" not in meta
    assert all(song.link and song.link.startswith("http") for song in songs)


@needs_lyrics
@needs_audio
def test_reading_leaves_nothing_in_the_home_and_nothing_to_be_sent(
    maeum, own_home, tmp_path, monkeypatch
):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    sound = tone(tmp_path / "tone.wav")
    cache = own_home / ".cache"
    done = maeum(
        "analyse", "--audio", sound, "--text", "비 오는 밤", "--json", XDG_CACHE_HOME=cache
    )
    assert done.returncode == 0, done.stderr
    assert list(own_home.rglob("*")) == []


@needs_lyrics
def test_words_that_cannot_be_read(maeum, tmp_path):
    refused(maeum("analyse", "--text", ""), "empty")
    long = tmp_path / "long.txt"  # a system takes no argument of this length
    long.write_text("가나다 " * 50_000, encoding="utf-8")
    refused(maeum("analyse", "--lyrics", long), "200,000", "100,000")
    refused(maeum("analyse", "--text", "🙂🙃🎵"), "no words")
    refused(maeum("recommend", "🙂🙃🎵", "--catalogue", tmp_path / "absent.db"))
    (tmp_path / "song.txt").write_bytes(bytes(range(256)))
    refused(maeum("analyse", "--lyrics", tmp_path / "song.txt"), "song.txt", "not text")
    refused(
        maeum("analyse", "--text", "Ich weiß nicht, was soll es bedeuten, dass ich so traurig bin")
    )
    long.write_text("가" * 90_000, encoding="utf-8")
    done = maeum("analyse", "--lyrics", long, "--json")
    assert done.returncode == 0, done.stderr
    check_analysis(json.loads(done.stdout))


@needs_audio
def test_sound_that_cannot_be_read(maeum, tmp_path):
    (tmp_path / "binary.mp3").write_bytes(bytes(np.random.default_rng(0).bytes(50_000)))
    (tmp_path / "empty.wav").write_bytes(b"")
    whole = tone(tmp_path / "whole.flac").read_bytes()
    (tmp_path / "head.flac").write_bytes(whole[:60])
    for name in ("binary.mp3", "empty.wav", "absent.ogg", "head.flac"):
        refused(maeum("analyse", "--audio", tmp_path / name), name)
    refused(maeum("analyse", "--audio", tmp_path))
    (tmp_path / "half.flac").write_bytes(whole[: len(whole) // 2])
    done = maeum("analyse", "--audio", tmp_path / "half.flac", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    check_analysis(content)
    assert content["notes"], "what is cut off is said"


@needs_lyrics
@needs_audio
def test_words_and_sound_together(maeum, tmp_path):
    song = tone(tmp_path / "song.wav")
    (tmp_path / "song.txt").write_text("비가 오는 밤이면\n네가 그리워\n" * 4, encoding="utf-8")
    done = maeum("analyse", "--lyrics", tmp_path / "song.txt", "--audio", song, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    content = json.loads(done.stdout)
    check_analysis(content)
    assert content["language"] == "ko"
    assert content["lyrics"] is not None
    assert content["audio"] is not None


@needs_lyrics
@needs_audio
def test_a_table_of_a_hundred_with_five_bad_rows(maeum, tmp_path):
    tone(tmp_path / "song.wav", 2.0)
    (tmp_path / "binary.mp3").write_bytes(bytes(range(256)) * 20)
    rows = [[f"s{i:03}", f"오늘은 참 좋은 날이야 {i}", ""] for i in range(100)]
    rows[10] = ["s010", "", "song.wav"]
    rows[11] = ["s011", "", ""]
    rows[12] = ["s012", "🙂🙂🙂", ""]
    rows[13] = ["s013", "", "absent.mp3"]
    rows[14] = ["s014", "", "binary.mp3"]
    rows[15] = ["s015", "슬픔 " * 40_000, ""]
    with (tmp_path / "songs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "audio_path"])
        writer.writerows(rows)
    done = maeum(
        *("analyse", "--table", tmp_path / "songs.csv", "--out", tmp_path / "out.jsonl"),
        *("--errors", tmp_path / "errors.jsonl"),
    )
    assert done.returncode == 1, done.stderr
    assert "95 of 100" in done.stderr
    results = [json.loads(line) for line in (tmp_path / "out.jsonl").open(encoding="utf-8")]
    errors = [json.loads(line) for line in (tmp_path / "errors.jsonl").open(encoding="utf-8")]
    assert [row["id"] for row in results] == [row[0] for row in rows]
    assert sum(row["error"] is None for row in results) == 95
    assert [error["id"] for error in errors] == ["s011", "s012", "s013", "s014", "s015"]


@needs_lyrics
def test_model_folders_that_do_not_fit(maeum, tmp_path):
    folder = tmp_path / "model"
    refused(maeum("analyse", "--text", "기뻐", "--model-lyrics", folder), "model.json")
    shutil.copytree(LYRICS, folder)
    done = maeum("analyse", "--text", "기뻐", "--model-lyrics", folder, "--json")
    assert done.returncode == 0, done.stderr
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    head = next(iter(card["labels"]))
    for spoilt in (
        card | {"emotions": [*EMOTIONS[1:], EMOTIONS[0]]},
        card | {"labels": card["labels"] | {head: card["labels"][head][::-1]}},
        card | {"feature_hash": "0" * 16},
        card | {"kind": "audio"},
    ):
        (folder / "model.json").write_text(json.dumps(spoilt), encoding="utf-8")
        refused(maeum("analyse", "--text", "기뻐", MAEUM_LYRICS_MODEL=folder), "model.json")


@needs_lyrics
@needs_audio
def test_from_a_folder_of_music_to_a_playlist(maeum, tmp_path):
    music = tmp_path / "음악"
    music.mkdir()
    tone(music / "가수 - 노래.flac")
    (music / "가수 - 노래.lrc").write_text("[00:01.00]슬퍼서 눈물이 나\n" * 5, encoding="utf-8")
    tone(music / "Singer - Song.wav")
    (music / "broken.mp3").write_bytes(b"\0" * 100)
    catalogue = ("--catalogue", tmp_path / "songs.db")
    done = maeum("index", music, *catalogue, "--errors", tmp_path / "errors.jsonl")
    assert done.returncode == 1, done.stderr
    assert "2 new" in done.stderr
    assert "broken.mp3" in (tmp_path / "errors.jsonl").read_text(encoding="utf-8")
    (music / "broken.mp3").unlink()
    done = maeum("index", music, *catalogue)
    assert (done.returncode, "2 unchanged" in done.stderr) == (0, True)
    playlist = tmp_path / "sad.m3u8"
    done = maeum("recommend", "너무 슬퍼", "-k", 2, "--m3u", playlist, *catalogue)
    assert done.returncode == 0, done.stderr
    assert "노래" in done.stdout
    assert "음악/가수 - 노래.flac" in playlist.read_text(encoding="utf-8").splitlines()
    assert maeum("rescore", *catalogue).returncode == 0
