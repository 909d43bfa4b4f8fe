"""Text files as pieces: nothing lost and nothing twice, wherever a run is killed."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")

from toy_encoders import TEXTS, kcbert

from data_prep.errors import InputError
from lyrics_model.backbone import load_backbone
from lyrics_model.token_file import (
    PieceCutter,
    decode_line,
    file_identity,
    is_held_out,
    read_lines,
    time_left,
    tokenise_file,
)

SEP = 3


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return load_backbone(str(kcbert(tmp_path_factory.mktemp("kcbert")))).tokenizer


def _file(folder: Path, lines: int = 200) -> Path:
    path = folder / "texts.txt"
    rows = [f"{TEXTS[i % len(TEXTS)]} {'가나다라'[i % 4]} {i}" for i in range(lines)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def _tokenise(path: Path, folder: Path, tokenizer, **changes):
    settings = {"held_out_share": 0.1, "seed": 0, "chunk_bytes": 1_000, "say": quiet}
    return tokenise_file(path, folder, tokenizer, **settings | changes)


def test_every_text_is_on_one_side_in_its_order(tmp_path: Path, tokenizer) -> None:
    path = _file(tmp_path)
    found = _tokenise(path, tmp_path / "work", tokenizer)
    expected: dict[bool, list[int]] = {True: [], False: []}
    for line in path.read_text(encoding="utf-8").splitlines():
        ids = tokenizer(line, add_special_tokens=False)["input_ids"]
        expected[is_held_out(line, 0.1, 0)] += [*ids, SEP]
    assert found.training.tolist() == expected[False]
    assert found.held_out.tolist() == expected[True]
    assert found.training.dtype == np.uint16
    counts = found.counts
    assert counts.texts + counts.held_out_texts == counts.lines == 200
    assert (counts.tokens, counts.held_out_tokens) == (len(found.training), len(found.held_out))
    unknown = [*expected[True], *expected[False]].count(tokenizer.unk_token_id)
    assert counts.unknown == unknown > 0
    assert counts.offset == path.stat().st_size


def test_chunks_change_nothing(tmp_path: Path, tokenizer) -> None:
    path = _file(tmp_path)
    small, large = (
        _tokenise(path, tmp_path / str(size), tokenizer, chunk_bytes=size) for size in (64, 1 << 20)
    )
    np.testing.assert_array_equal(small.training, large.training)
    np.testing.assert_array_equal(small.held_out, large.held_out)
    assert small.counts == large.counts


class KilledError(Exception):
    pass


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, tokenizer) -> None:
    path = _file(tmp_path)
    whole = _tokenise(path, tmp_path / "whole", tokenizer)
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            raise KilledError

    with pytest.raises(KilledError):
        _tokenise(path, tmp_path / "work", tokenizer, say=kill)
    # What the last chunk wrote after its state was saved must not count twice.
    with (tmp_path / "work" / "training.bin").open("ab") as target:
        target.write(b"\x01\x02\x03")
    before = said.copy()
    resumed = _tokenise(path, tmp_path / "work", tokenizer, say=said.append)
    assert 0 < len(said) - len(before) < len(range(0, path.stat().st_size, 1_000))
    np.testing.assert_array_equal(resumed.training, whole.training)
    np.testing.assert_array_equal(resumed.held_out, whole.held_out)
    assert resumed.counts == whole.counts
    assert "texts.txt: " in said[0]
    assert said[0].endswith("left")


def test_a_finished_file_is_not_read_again(tmp_path: Path, tokenizer) -> None:
    path = _file(tmp_path)
    first = _tokenise(path, tmp_path / "work", tokenizer)
    content = (tmp_path / "work" / "training.bin").read_bytes()
    said: list[str] = []
    again = _tokenise(path, tmp_path / "work", tokenizer, say=said.append)
    assert said == []
    assert (tmp_path / "work" / "training.bin").read_bytes() == content
    assert again.counts == first.counts


@pytest.mark.parametrize("change", [{"seed": 1}, {"held_out_share": 0.3}])
def test_other_settings_begin_anew(tmp_path: Path, tokenizer, change) -> None:
    path = _file(tmp_path)
    _tokenise(path, tmp_path / "work", tokenizer)
    other = _tokenise(path, tmp_path / "work", tokenizer, **change)
    fresh = _tokenise(path, tmp_path / "fresh", tokenizer, **change)
    np.testing.assert_array_equal(other.training, fresh.training)
    np.testing.assert_array_equal(other.held_out, fresh.held_out)


def test_bad_lines_are_counted_named_and_left_out(tmp_path: Path, tokenizer) -> None:
    path = tmp_path / "texts.txt"
    rows = [
        b"\xef\xbb\xbf" + "오늘".encode(),
        b"\xff\xfe broken",
        b"",
        "너무".encode(),
        b"   \t",
        "비가".encode()[:-1],
        b"with\x00nul",
        "끝".encode(),
    ]
    path.write_bytes(b"\r\n".join(rows))
    said: list[str] = []
    found = _tokenise(path, tmp_path / "work", tokenizer, held_out_share=0.0, say=said.append)
    counts = found.counts
    assert (counts.lines, counts.texts, counts.blank, counts.malformed) == (8, 3, 2, 3)
    assert counts.malformed_lines == (2, 6, 7)
    assert said == ["texts.txt: 3 of 8 lines are not UTF-8 and were left out (lines 2, 6, 7)"]
    pieces = tokenizer.convert_ids_to_tokens(found.training.tolist())
    assert pieces == ["오늘", "[SEP]", "너", "##무", "[SEP]", "[UNK]", "[SEP]"]


def test_only_the_first_bad_lines_are_named(tmp_path: Path, tokenizer) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"\xff\n" * 50 + "오늘\n".encode())
    said: list[str] = []
    counts = _tokenise(path, tmp_path / "work", tokenizer, say=said.append).counts
    assert counts.malformed == 50
    assert counts.malformed_lines == tuple(range(1, 21))
    assert said[-1].endswith("20, …)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no text"),
        (b"\n\n  \n", "holds no text"),
        ("오늘".encode("utf-16"), "1 lines are not UTF-8"),
    ],
)
def test_a_file_without_text_is_refused(tmp_path: Path, tokenizer, content, message) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        _tokenise(path, tmp_path / "work", tokenizer)
    with pytest.raises(InputError, match="no such text file"):
        _tokenise(tmp_path / "none.txt", tmp_path / "work", tokenizer)


@pytest.mark.parametrize("longest", [5, 7, 64])
def test_long_lines_are_cut_between_words_or_characters(longest: int) -> None:
    text = "하나 두리서 너이 ab cdefghijklmnop 마지막줄\n짧다"
    source = io.BytesIO(text.encode())
    parts = list(read_lines(source, longest))
    assert b"".join(part for part, _ in parts) == text.encode()
    assert max(len(part) for part, _ in parts) <= longest
    assert all(decode_line(part) is not None for part, _ in parts)
    assert sum(ends for _, ends in parts) == 2


def test_a_long_line_of_no_utf8_ends_nevertheless() -> None:
    parts = list(read_lines(io.BytesIO(b"\x80" * 50), 8))
    assert b"".join(part for part, _ in parts) == b"\x80" * 50


def test_decomposed_hangul_is_composed() -> None:
    assert decode_line(unicodedata.normalize("NFD", "오늘").encode()) == "오늘"


def test_held_out_depends_on_text_and_seed_alone() -> None:
    texts = [f"text {i}" for i in range(4_000)]
    for seed in (0, 1):
        share = np.mean([is_held_out(text, 0.2, seed) for text in texts])
        assert share == pytest.approx(0.2, abs=0.03)
    assert [is_held_out(t, 0.2, 0) for t in texts] != [is_held_out(t, 0.2, 1) for t in texts]
    kept = {t for t in texts if is_held_out(t, 0.1, 0)}
    assert kept < {t for t in texts if is_held_out(t, 0.2, 0)}
    assert not any(is_held_out(t, 0.0, 0) for t in texts)


def test_truncation_of_the_tokenizer_does_not_cut_texts(tokenizer) -> None:
    tokenizer(["오늘"], truncation=True, max_length=4, padding="max_length")
    cut = PieceCutter(tokenizer).cut([" ".join(["오늘"] * 90)])
    assert len(cut) == 91
    assert set(cut.tolist()) == {tokenizer.convert_tokens_to_ids("오늘"), SEP}


def test_identity_survives_a_copy_and_sees_a_change(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a" * 3_000_000)
    other.write_bytes(b"a" * 3_000_000)
    assert file_identity(one) == file_identity(other)
    other.write_bytes(b"a" * 2_999_999 + b"b")
    assert file_identity(one) != file_identity(other)


def test_time_left_reads_as_people_say_it() -> None:
    assert [time_left(s) for s in (0, 45.4, 600, 11_100)] == ["0 s", "45 s", "10 min", "3 h 05 min"]
