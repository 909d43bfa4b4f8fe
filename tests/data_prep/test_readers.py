"""One contract for all readers of labelled data, and each on a small folder of its own format."""

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.data_folder import data_root
from data_prep.errors import InputError, MissingDataError
from data_prep.readers import emopia, emotify, goemotions, kote, kpoem, nsmc, ravdess_song
from data_prep.taxonomy import native_label_set

Read = Callable[[], list[Any]]

READERS: dict[str, tuple[Any, Read, str, int]] = {
    "kote": (kote, kote.read, "text/kote", 7500),
    "kpoem": (kpoem, kpoem.read, "text/kpoem", 6397),
    "goemotions": (goemotions, goemotions.read, "text/goemotions_en", 54263),
    "goemotions_ko": (
        goemotions,
        lambda: goemotions.read(language="ko"),
        "text/goemotions_ko",
        54263,
    ),
    "ravdess_song": (ravdess_song, ravdess_song.read, "audio/ravdess_song", 792),
    "emotify": (emotify, emotify.read, "audio/emotify", 320),
}


@pytest.mark.parametrize("name", READERS)
def test_rows_keep_the_contract(name: str) -> None:
    module, read, folder, n_rows = READERS[name]
    if not (data_root() / folder).is_dir():
        pytest.skip(f"{folder} is not in the data folder (MAEUM_DATA)")
    rows = read()
    assert len(rows) == n_rows
    assert len({row.id for row in rows}) == n_rows
    n_labels = len(native_label_set(module.LABEL_SET).labels)
    shares = np.stack([row.shares for row in rows])
    assert shares.shape == (n_rows, n_labels)
    assert shares.dtype == np.float32
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.sum(axis=1).min() > 0
    assert all(row.group for row in rows)
    for row in rows:
        assert row.path.is_file() if hasattr(row, "path") else row.text.strip()


@pytest.mark.parametrize("module", [kote, kpoem, goemotions, nsmc, ravdess_song, emotify, emopia])
def test_every_reader_says_where_its_data_comes_from(module: Any) -> None:
    assert module.__doc__
    assert module.CITATION
    assert module.LICENCE
    assert module.SOURCE_URL.startswith("http")


@pytest.mark.parametrize(
    "read",
    [
        kote.read,
        kpoem.read,
        goemotions.read,
        ravdess_song.read,
        emotify.read,
        emopia.read,
        lambda: list(nsmc.iter_reviews()),
    ],
)
def test_missing_data_is_named(read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match="is missing: set MAEUM_DATA"):
        read()


@pytest.mark.parametrize("module", [kote, kpoem, goemotions, emopia])
def test_unknown_split(module: Any) -> None:
    with pytest.raises(InputError, match="has no split 'dev': expected one of train, validation"):
        module.read("dev")


@pytest.mark.parametrize("module", [ravdess_song, emotify])
def test_sets_with_folds_only(module: Any) -> None:
    with pytest.raises(InputError, match="folds only"):
        module.read("train")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path))
    for name in ("kote", "kpoem", "goemotions_en", "goemotions_ko", "nsmc"):
        (tmp_path / "text" / name).mkdir(parents=True)
    for name in ("ravdess_song", "emotify", "emopia"):
        (tmp_path / "audio" / name).mkdir(parents=True)
    return tmp_path


def test_kote_rows(folder: Path) -> None:
    (folder / "text/kote/train.tsv").write_text("9\t줄\u2028바꿈\t5,42\n", encoding="utf-8")
    (folder / "text/kote/test.tsv").write_text("10\t좋다\t42\n", encoding="utf-8")
    first, second = kote.read()
    assert (first.id, first.text, first.language) == ("9", "줄\u2028바꿈", "ko")
    labels = native_label_set("kote").labels
    chosen = [labels[i] for i in np.flatnonzero(first.shares)]
    assert chosen == ["슬픔", "기쁨"]
    assert second.shares.sum() == 1


@pytest.mark.parametrize("line", ["9\t줄\n", "9\t줄\t44\n", "9\t줄\t1,x\n", "9\t줄\t\n"])
def test_kote_lines_that_cannot_be_read(folder: Path, line: str) -> None:
    (folder / "text/kote/train.tsv").write_text("8\t줄\t1\n" + line, encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.tsv, line 2: expected"):
        kote.read_file("train.tsv")


def test_kpoem_rows(folder: Path) -> None:
    record = {"n": 5, "poet": "이상", "text": "거울", "emotion": {"슬픔": 0.6}, "unit": "line"}
    path = folder / "text/kpoem/kpoem.jsonl"
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    (row,) = kpoem.read()
    assert (row.id, row.poet, row.group, row.unit) == ("line-5", "이상", "이상", "line")
    assert row.shares[native_label_set("kote").index("슬픔")] == np.float32(0.6)
    assert kpoem.read(unit="text") == []
    path.write_text('{"n": 5}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1: not a KPoEM record"):
        kpoem.read()


def test_goemotions_languages_share_ids(folder: Path) -> None:
    for name in ("train", "dev", "test"):
        (folder / f"text/goemotions_en/{name}.tsv").write_text("so sad\t25\tabc\n")
        (folder / f"text/goemotions_ko/{name}.tsv").write_text("슬퍼\t25\n", encoding="utf-8")
    english, korean = goemotions.read(), goemotions.read(language="ko")
    assert [row.id for row in english] == ["train-00001", "validation-00001", "test-00001"]
    assert [row.id for row in korean] == [row.id for row in english]
    assert {row.language for row in korean} == {"ko"}
    assert goemotions.read("validation")[0].id == "validation-00001"


def test_nsmc_reviews(folder: Path) -> None:
    path = folder / "text/nsmc/reviews.tsv.gz"
    path.write_bytes(gzip.compress("10\t최고\n1\t별로\t정말\n".encode()))
    assert list(nsmc.iter_reviews()) == [(10, "최고"), (1, "별로\t정말")]
    path.write_bytes(gzip.compress("11\t최고\n".encode()))
    with pytest.raises(InputError, match="line 1: expected a rating 1 to 10"):
        list(nsmc.iter_reviews())
    path.write_bytes(gzip.compress("10\t최고\n".encode() * 999)[:-20])
    with pytest.raises(InputError, match="is damaged"):
        list(nsmc.iter_reviews())


def test_ravdess_rows(folder: Path) -> None:
    index = folder / "audio/ravdess_song/index.csv"
    index.write_text("file,actor,emotion,intensity\nx.ogg,3,sad,normal\n")
    (row,) = ravdess_song.read()
    assert (row.id, row.group, row.path) == ("x", "actor-03", index.parent / "x.ogg")
    assert row.shares.tolist() == [0, 0, 0, 1, 0, 0]
    index.write_text("file,actor,emotion\nx.ogg,3,melancholy\n")
    with pytest.raises(InputError, match="'melancholy' is not a label"):
        ravdess_song.read()
    index.write_text("file,emotion\nx.ogg,sad\n")
    with pytest.raises(InputError, match="has no column actor"):
        ravdess_song.read()


def test_emotify_rows(folder: Path) -> None:
    scales = native_label_set("emotify").labels
    index = folder / "audio/emotify/index.csv"
    header = ",".join(["file", "genre", "n_ratings", *reversed(scales)])
    index.write_text(header + "\nrock-001.ogg,rock,9," + ",".join("987654321") + "\n")
    (row,) = emotify.read()
    assert (row.id, row.group) == ("rock-001", "rock-001")
    assert row.shares.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    index.write_text(header + "\nrock-001.ogg,rock,9," + ",".join("98765432x") + "\n")
    with pytest.raises(InputError, match="line 2: a rating is not a number"):
        emotify.read()


def midi_file() -> bytes:
    """One bar of one note, written by hand: the smallest file that sounds."""
    events = bytes([0, 0x90, 60, 100, 0x83, 0x60, 0x80, 60, 0, 0, 0xFF, 0x2F, 0])
    header = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1, 1, 0xE0])
    return header + b"MTrk" + len(events).to_bytes(4, "big") + events


def emopia_archives(folder: Path) -> None:
    clips = {
        "train_midi.zip": ["Q2_abcdefghijk_0", "Q1_a_cdefg_ijk_12"],
        "val_midi.zip": ["Q4_01234567890_3"],
    }
    for name, members in clips.items():
        with zipfile.ZipFile(folder / "audio/emopia" / name, "w") as archive:
            for member in members:
                archive.writestr(f"{member}.mid", midi_file())


def test_emopia_says_how_to_render(folder: Path, tmp_path: Path) -> None:
    emopia_archives(folder)
    with pytest.raises(MissingDataError, match=r"3 of 3 EMOPIA clips are not rendered.*python -m"):
        emopia.read(cache=tmp_path / "cache")
    with pytest.raises(MissingDataError, match="no sound font at"):
        emopia.render(tmp_path / "cache", sound_font=tmp_path / "none.sf2")
    (folder / "audio/emopia/val_midi.zip").write_bytes(b"PK no")
    with pytest.raises(InputError, match="not a zip archive"):
        emopia.read(cache=tmp_path / "cache")


@pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not any(font.is_file() for font in emopia.SOUND_FONTS),
    reason="fluidsynth or its sound font is not installed",
)
def test_emopia_renders_and_resumes(folder: Path, tmp_path: Path) -> None:
    import soundfile

    emopia_archives(folder)
    cache = tmp_path / "cache"
    lines: list[str] = []
    assert emopia.render(cache, report=lines.append) == []
    rows = emopia.read(cache=cache)
    assert [(row.id, row.group) for row in rows] == [
        ("Q1_a_cdefg_ijk_12", "a_cdefg_ijk"),
        ("Q2_abcdefghijk_0", "abcdefghijk"),
        ("Q4_01234567890_3", "01234567890"),
    ]
    assert [row.shares.tolist() for row in rows[:2]] == [[1, 0, 0, 0], [0, 1, 0, 0]]
    samples, sample_rate = soundfile.read(rows[0].path)
    assert sample_rate == 16_000
    assert samples.ndim == 1
    assert 0.01 < np.abs(samples).max() <= 1.0
    assert {path.name for path in cache.iterdir()} == {row.path.name for row in rows}

    kept = rows[0].path.stat().st_mtime_ns
    rows[1].path.unlink()
    assert emopia.render(cache, report=lines.append) == []
    assert lines[-1].startswith("EMOPIA: 1 clips rendered, 0 failed")
    assert rows[0].path.stat().st_mtime_ns == kept
    assert rows[1].path.is_file()


def test_emopia_clip_ids_by_published_split() -> None:
    if not (data_root() / "audio/emopia").is_dir():
        pytest.skip("audio/emopia is not in the data folder (MAEUM_DATA)")
    assert (len(emopia.clip_ids("train")), len(emopia.clip_ids("validation"))) == (767, 198)
