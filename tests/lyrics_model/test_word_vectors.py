"""Vectors of words and pieces: recovered, rotated, split, read, and what Kiwi knows."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError
from lyrics_model.tokens import train_tokenizer
from lyrics_model.word_vectors import (
    SPREAD,
    PieceVectors,
    korean_words,
    piece_vectors,
    read_english,
    rotation,
    vectors_from_cosines,
)


def unit(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    vectors = rng.normal(size=(n, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_cosines_to_anchors_give_the_vectors_back_up_to_a_rotation() -> None:
    vectors = unit(np.random.default_rng(0), 60, 8)
    anchors = list(range(0, 60, 3))
    found = vectors_from_cosines(vectors @ vectors[anchors].T, anchors, 8)
    np.testing.assert_allclose(found @ found.T, vectors @ vectors.T, atol=1e-8)
    with pytest.raises(InputError, match="more anchors"):
        vectors_from_cosines(vectors @ vectors[anchors[:5]].T, anchors[:5], 8)


def test_the_rotation_between_languages_is_found() -> None:
    rng = np.random.default_rng(1)
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    english = {f"e{i}": vector for i, vector in enumerate(unit(rng, 40, 6))}
    korean = {name.replace("e", "k"): vector @ turn for name, vector in english.items()}
    names = list(english)
    drawn = [rng.choice(names, 4).tolist() for _ in range(200)]
    pairs = [(row, [name.replace("e", "k") for name in row]) for row in drawn]
    counts = dict.fromkeys([*english, *korean], 50)
    np.testing.assert_allclose(rotation(english, korean, pairs, counts), turn, atol=1e-6)
    with pytest.raises(InputError, match="no translated sentence"):
        rotation(english, korean, [(["?"], ["?"])], counts)


def test_pieces_sum_to_the_words_they_stand_in() -> None:
    rng = np.random.default_rng(2)
    stems, endings = ["가나", "다라", "마바", "사아"], ["하고", "해서", "하다", "했지"]
    texts = [stem + ending for stem in stems for ending in endings] * 3
    tokenizer = train_tokenizer(texts, 40)
    of_stem, of_ending = unit(rng, 4, 12), unit(rng, 4, 12)
    words = {
        stem + ending: of_stem[i] + of_ending[k]
        for i, stem in enumerate(stems)
        for k, ending in enumerate(endings)
    }
    found = piece_vectors(tokenizer, words, dict.fromkeys(words, 10_000), 16)
    assert found.table.shape == (tokenizer.get_vocab_size(), 16)
    assert found.table[found.known].std() * np.sqrt(16 / 12) == pytest.approx(SPREAD, rel=0.01)
    assert not found.known[:5].any()  # special tokens
    sums = np.array(
        [
            found.table[tokenizer.encode(word, add_special_tokens=False).ids].sum(axis=0)
            for word in words
        ]
    )
    wanted = np.array(list(words.values()))

    def likeness(vectors: np.ndarray) -> np.ndarray:
        centred = vectors - vectors.mean(axis=0)
        centred /= np.linalg.norm(centred, axis=1, keepdims=True)
        return centred @ centred.T

    assert np.corrcoef(likeness(sums).ravel(), likeness(wanted).ravel())[0, 1] > 0.95
    narrow = piece_vectors(tokenizer, words, dict.fromkeys(words, 1), 4)
    assert narrow.table.shape[1] == 4


def test_piece_vectors_are_kept(tmp_path: Path) -> None:
    kept = PieceVectors(
        np.ones((3, 2), dtype=np.float32), np.array([True, False, True]), {"ko": 2, "en": 1}
    )
    kept.save(tmp_path / "vectors.npz")
    again = PieceVectors.load(tmp_path / "vectors.npz")
    np.testing.assert_array_equal(again.table, kept.table)
    np.testing.assert_array_equal(again.known, kept.known)
    assert again.words == kept.words


def test_english_vectors_in_three_formats_are_the_same(tmp_path: Path) -> None:
    rows = {"sad": [1.0, 0.0], "happy": [0.0, 2.0], "the": [-3.0, 1.0]}
    plain = tmp_path / "glove.txt"
    plain.write_text("".join(f"{w} {a} {b}\n" for w, (a, b) in rows.items()), encoding="utf-8")
    packed = tmp_path / "some-100d.json"
    content = {
        "dimensions": 2,
        "vectors": {w: [*row, 9.0, i] for i, (w, row) in enumerate(rows.items())},
    }
    packed.write_text(json.dumps(content), encoding="utf-8")
    with tarfile.open(tmp_path / "pack.tgz", "w:gz") as archive:
        archive.add(packed, "package/some-100d.json")
    first = read_english(plain)
    assert list(first) == list(rows)
    assert all(np.linalg.norm(vector) == pytest.approx(1.0) for vector in first.values())
    for other in (packed, tmp_path / "pack.tgz"):
        found = read_english(other)
        for word in rows:
            np.testing.assert_allclose(found[word], first[word])


def test_english_vectors_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        read_english(tmp_path / "nothing.txt")
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    (tmp_path / "bad.txt").write_text("word one two\n", encoding="utf-8")
    (tmp_path / "bad.tgz").write_bytes(b"no archive")
    for name in ("bad.json", "bad.txt", "bad.tgz"):
        with pytest.raises(InputError, match="neither"):
            read_english(tmp_path / name)


def test_kiwi_knows_which_words_are_alike() -> None:
    pytest.importorskip("kiwipiepy", reason="kiwipiepy is in the extra `train`")
    lines: list[str] = []
    words = ["슬프다", "외롭다", "회사에서", "은행이"]
    found = korean_words([*words, ""], most=6_000, say=lines.append)
    assert list(found) == words

    def likeness(one: str, other: str) -> float:
        a, b = found[one], found[other]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert found["슬프다"].shape == (256,)
    assert likeness("슬프다", "외롭다") > likeness("슬프다", "은행이") + 0.1
    assert likeness("회사에서", "은행이") > likeness("회사에서", "외롭다") + 0.1
    assert lines
