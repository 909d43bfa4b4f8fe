"""The command line with stand-in models: outputs, exit codes, one clear line per failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import app.cli
from data_prep.catalogue import Catalogue
from data_prep.errors import MissingExtraError
from data_prep.taxonomy import EMOTIONS
from fusion.rules import Product
from fusion.settings import FusionSettings

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "serve", "recommend", "analyse", "index", "export", "rescore", "evaluate",
    "prepare", "pretrain", "train", "export-model", "tag",
)  # fmt: skip


def maeum(*arguments: object):
    return CliRunner().invoke(app.cli.app, [str(a) for a in arguments])


def refused(result, *words: str) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("maeum: ")
    for word in words:
        assert word in line
    return line


@pytest.fixture
def music(tmp_path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    for name, word in (("A - One", "joy"), ("B - Two", "calm"), ("C - Three", "sad")):
        (folder / f"{name}.mp3").write_bytes(b"SOUND " + word.encode())
    return folder


@pytest.fixture
def catalogue(tmp_path, music, with_stand_ins, own_home) -> Path:
    path = tmp_path / "songs.db"
    result = maeum("index", music, "--catalogue", path, "--workers", 0)
    assert result.exit_code == 0, result.output
    return path


def test_the_commands_are_those_of_the_contract():
    result = maeum("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.stdout, command
        help_text = maeum(command, "--help")
        assert help_text.exit_code == 0
    for command, tasks in {
        "evaluate": ("lyrics", "audio"),
        "prepare": ("lyrics", "audio"),
        "pretrain": ("lyrics",),
        "train": ("lyrics", "audio"),
        "export-model": ("lyrics", "audio"),
    }.items():
        for task in tasks:
            assert maeum(command, task, "--help").exit_code == 0


def test_version():
    result = maeum("--version")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "maeum")


def test_recommend_as_json(catalogue):
    result = maeum("recommend", "오늘 너무 우울해", "-k", 2, "--json", "--catalogue", catalogue)
    assert result.exit_code == 0
    assert result.stderr == ""
    content = json.loads(result.stdout)
    assert content["query"]["top"] == "sadness"
    assert list(content["query"]["fused"]) == list(EMOTIONS)
    first, second = content["results"]
    assert (first["rank"], first["title"], first["artist"]) == (1, "Three", "C")
    assert first["score"] > second["score"]
    assert "닮았고" in first["why"]


def test_recommend_as_text(catalogue):
    result = maeum("recommend", "sad today", "--catalogue", catalogue)
    assert result.exit_code == 0
    assert "  1. C - Three" in result.stdout
    assert "sadness (" in result.stdout


def test_recommend_like_a_recording(catalogue, music):
    result = maeum(
        "recommend", "--audio", music / "B - Two.mp3", "--json", "--catalogue", catalogue
    )
    content = json.loads(result.stdout)
    assert content["query"]["lyrics"] is None
    assert content["results"][0]["title"] == "Two"


def test_recommend_towards_an_emotion_into_a_playlist(catalogue, tmp_path):
    out = tmp_path / "path.m3u8"
    result = maeum(
        *("recommend", "우울", "--toward", "joy", "-k", 3, "--m3u", out),
        *("--json", "--catalogue", catalogue),
    )
    titles = [song["title"] for song in json.loads(result.stdout)["results"]]
    assert (titles[0], titles[-1]) == ("Three", "One")
    files = [line for line in out.read_text(encoding="utf-8").splitlines() if "/" in line]
    assert files[0].endswith("C - Three.mp3")
    assert len(files) == 3


def test_filters(catalogue):
    options = ("--json", "--catalogue", catalogue)
    result = maeum("recommend", "joy", "--artist", "b", *options)
    assert [song["title"] for song in json.loads(result.stdout)["results"]] == ["Two"]
    result = maeum("recommend", "joy", "--year-from", 2015, *options)
    assert json.loads(result.stdout)["results"] == []
    assert result.exit_code == 0
    assert "no song passes" in maeum("recommend", "joy", "--genre", "x", *options[1:]).stderr


def test_refusals_of_recommend(catalogue, tmp_path):
    where = ("--catalogue", catalogue)
    refused(maeum("recommend", *where), "nothing to go by")
    refused(maeum("recommend", "", *where), "the text is empty")
    refused(maeum("recommend", " \n ", *where), "the text is empty")
    refused(maeum("recommend", "가" * 200_000, *where), "200,000 characters")
    refused(maeum("recommend", "🙂🙂", *where), "no words")
    refused(maeum("recommend", "joy", "--toward", "melancholy", *where), "melancholy", "sadness")
    refused(maeum("recommend", "--audio", tmp_path / "absent.mp3", *where), "absent.mp3")
    refused(maeum("recommend", "joy", "--m3u", tmp_path / "no" / "x.m3u", *where), "no folder")
    refused(maeum("recommend", "joy", "--year-from", 2020, "--year-to", 2010, *where), "2020")
    assert maeum("recommend", "joy", "-k", 0, *where).exit_code == 2
    assert maeum("recommend", "joy", "--no-such-option").exit_code == 2


def test_refusals_of_catalogues(tmp_path, with_stand_ins, own_home):
    refused(maeum("recommend", "joy", "--catalogue", tmp_path / "absent.db"), "absent.db")
    foreign = tmp_path / "foreign.db"
    foreign.write_bytes(b"no database" * 100)
    for command in (("recommend", "joy"), ("export", "--format", "csv"), ("rescore",)):
        refused(maeum(*command, "--catalogue", foreign), "foreign.db", "not a catalogue")
    with Catalogue.open(str(tmp_path / "empty.db"), create=True):
        pass
    refused(
        maeum("recommend", "joy", "--catalogue", tmp_path / "empty.db"), "holds no songs", "index"
    )
    refused(maeum("rescore"), "does not exist")


def test_analyse_one(with_stand_ins, tmp_path):
    (tmp_path / "song.wav").write_bytes(b"SOUND joy")
    (tmp_path / "words.txt").write_text("슬픔\n슬픔", encoding="utf-8")
    result = maeum(
        "analyse", "--lyrics", tmp_path / "words.txt", "--audio", tmp_path / "song.wav", "--json"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    content = json.loads(result.stdout)
    for branch in ("lyrics", "audio", "fused"):
        assert sum(content[branch].values()) == pytest.approx(1.0, abs=1e-5)
    result = maeum("analyse", "--text", "joy")
    assert "joy (" in result.stdout
    assert "sound" not in result.stdout


def test_refusals_of_analyse(with_stand_ins, tmp_path):
    refused(maeum("analyse"), "--text")
    refused(maeum("analyse", "--text", ""), "the text is empty")
    refused(maeum("analyse", "--text", "a", "--lyrics", "b"), "--text and --lyrics")
    refused(maeum("analyse", "--lyrics", tmp_path / "absent.txt"), "absent.txt")
    refused(maeum("analyse", "--table", "a.csv"), "--out")
    refused(maeum("analyse", "--table", "a.csv", "--out", "b.csv", "--text", "x"), "--table")
    refused(maeum("analyse", "--text", "x", "--out", "b.csv"), "--table")
    refused(
        maeum("analyse", "--table", tmp_path / "a.csv", "--out", tmp_path / "b.csv"),
        "does not exist",
    )
    (tmp_path / "bad.mp3").write_bytes(bytes(range(256)))
    refused(maeum("analyse", "--audio", tmp_path / "bad.mp3"), "bad.mp3", "cannot be decoded")


def test_analyse_a_table(with_stand_ins, tmp_path):
    lines = ["id,text", "a,joy", "b,12", "c,sad", "d,"]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out, errors = tmp_path / "out.csv", tmp_path / "errors.jsonl"
    result = maeum(
        *("analyse", "--table", tmp_path / "in.csv", "--out", out, "--errors", errors, "--json")
    )
    assert result.exit_code == 1
    assert "2 of 4 rows analysed, 2 failed" in result.stderr
    summary = json.loads(result.stdout)
    assert (summary["rows"], summary["analysed"], summary["failed"]) == (4, 2, 2)
    failures = [json.loads(line) for line in errors.read_text(encoding="utf-8").splitlines()]
    assert [failure["id"] for failure in failures] == ["b", "d"]
    assert failures == summary["errors"]
    assert len(out.read_text(encoding="utf-8").splitlines()) == 5


def test_a_table_without_failures(with_stand_ins, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\na,joy\n", encoding="utf-8")
    errors = tmp_path / "errors.jsonl"
    result = maeum(
        *("analyse", "--table", tmp_path / "in.csv", "--out", tmp_path / "out.csv"),
        *("--errors", errors),
    )
    assert (result.exit_code, result.stdout) == (0, "")
    assert errors.read_text(encoding="utf-8") == ""
    (tmp_path / "in.csv").write_text("name,text\na,joy\n", encoding="utf-8")
    refused(
        maeum("analyse", "--table", tmp_path / "in.csv", "--out", tmp_path / "out.csv"),
        "in.csv",
        "'id'",
    )


def test_index_reports_failures(with_stand_ins, own_home, music, tmp_path):
    (music / "bad.mp3").write_bytes(b"\0\1")
    errors = tmp_path / "errors.jsonl"
    result = maeum(
        "index",
        music,
        "--catalogue",
        tmp_path / "s.db",
        "--workers",
        0,
        "--errors",
        errors,
        "--json",
    )
    assert result.exit_code == 1
    assert "3 new, 0 changed, 0 moved, 0 unchanged, 0 gone, 1 failed" in result.stderr
    assert "bad.mp3" in result.stderr
    summary = json.loads(result.stdout)
    assert (summary["new"], summary["failed"], summary["songs"]) == (3, 1, 3)
    assert "bad.mp3" in json.loads(errors.read_text(encoding="utf-8"))["where"]


def test_index_makes_a_catalogue_of_ones_own(with_stand_ins, own_home, music):
    assert maeum("index", music, "--workers", 0).exit_code == 0
    own = own_home / "data" / "maeum" / "catalogue.db"
    assert own.is_file()
    result = maeum("recommend", "calm", "--json")
    assert json.loads(result.stdout)["results"][0]["title"] == "Two"


def test_refusals_of_index(with_stand_ins, own_home, tmp_path, music):
    where = ("--catalogue", tmp_path / "s.db")
    refused(maeum("index", tmp_path / "absent", *where), "absent")
    refused(maeum("index", music, tmp_path / "absent", *where), "absent")
    assert not (tmp_path / "s.db").exists()
    refused(maeum("index", music, "--errors", tmp_path / "no" / "e", *where), "no folder")
    assert maeum("index").exit_code == 2


def test_export(catalogue, tmp_path):
    result = maeum("export", "--format", "csv", "--catalogue", catalogue)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 4
    out = tmp_path / "songs.parquet"
    assert (
        maeum("export", "--format", "parquet", "--out", out, "--catalogue", catalogue).exit_code
        == 0
    )
    assert out.stat().st_size > 0
    result = maeum("export", "--format", "m3u8", "--catalogue", catalogue)
    assert result.stdout.count("#EXTINF") == 3
    refused(maeum("export", "--format", "parquet", "--catalogue", catalogue), "--out")
    assert maeum("export", "--format", "xml", "--catalogue", catalogue).exit_code == 2


def test_rescore_and_carry_the_settings_along(catalogue, tmp_path):
    settings = FusionSettings(rule=Product.of_weight(0.9))
    settings.save(tmp_path / "fusion.json")
    result = maeum(
        "rescore", "--fusion", tmp_path / "fusion.json", "--catalogue", catalogue, "--json"
    )
    assert json.loads(result.stdout) == {
        "catalogue": str(catalogue), "rescored": 3, "fusion": settings.hash,
    }  # fmt: skip
    (tmp_path / "fusion.json").write_text("{}", encoding="utf-8")
    refused(
        maeum("rescore", "--fusion", tmp_path / "fusion.json", "--catalogue", catalogue),
        "fusion.json",
    )


def test_ctrl_c_is_one_line(with_stand_ins, own_home, tmp_path):
    result = maeum("analyse", "--text", "break")
    assert result.exit_code == 130
    assert result.stderr == "maeum: interrupted\n"


def test_a_missing_training_library_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lyrics_model.corpus", None)
    from app.commands.training import needs_extra

    def import_nothing() -> None:
        with needs_extra("train lyrics"):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    with pytest.raises(MissingExtraError, match=r"maeum\[train\]"):
        import_nothing()

    def import_own() -> None:
        with needs_extra("train lyrics"):
            raise ModuleNotFoundError("No module", name="lyrics_model.absent")

    with pytest.raises(ModuleNotFoundError):
        import_own()


def in_shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"M": f"{sys.executable} -m app.cli", "OMP_NUM_THREADS": "1"} | variables,
    )


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, own_home):
    import numpy as np

    from data_prep.catalogue import Song, StageVector

    vector = StageVector(np.eye(6, dtype=np.float32)[0], "words")
    with Catalogue.open(str(tmp_path / "many.db"), create=True) as catalogue:
        catalogue.upsert(Song(id=f"{i:05}", title="x" * 90, lyrics=vector) for i in range(3000))
    done = in_shell(
        "set -o pipefail; $M export --format jsonl --catalogue $C | head -n 1",
        C=str(tmp_path / "many.db"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["id"] == "00000"


def test_expected_failures_of_a_real_process_show_no_traceback(tmp_path, own_home):
    done = in_shell("$M recommend 우울 --catalogue $C", C=str(tmp_path / "absent.db"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
