"""Vectors of words and pieces: recovered, mapped, split, kept, and what Kiwi knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError
from lyrics_model.tokens import train_tokenizer
from lyrics_model.word_vectors import (
    SPREAD,
    PieceVectors,
    PublishedVectors,
    korean_words,
    piece_vectors,
    starting_vectors,
    translation_map,
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


def test_the_map_between_languages_is_found() -> None:
    rng = np.random.default_rng(1)
    turn = 40 * rng.normal(size=(6, 5))
    korean = {f"k{i}": 40 * vector for i, vector in enumerate(unit(rng, 40, 6))}
    english = {name.replace("k", "e"): vector @ turn for name, vector in korean.items()}
    names = list(english)
    drawn = [rng.choice(names, 4).tolist() for _ in range(400)]
    pairs = [(row, [name.replace("e", "k") for name in row]) for row in drawn]
    counts = dict.fromkeys([*english, *korean], 50)
    found = translation_map(english, korean, pairs, counts)
    np.testing.assert_allclose(found, turn, rtol=0.01, atol=0.1)
    with pytest.raises(InputError, match="no translated sentence"):
        translation_map(english, korean, [(["?"], ["?"])], counts)


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


def test_korean_pieces_start_near_their_translations(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    english = ["sad", "glad", "rain", "home"]
    korean = ["슬픔", "기쁨", "빗물", "우리집"]
    texts = [*english, *korean] * 4
    tokenizer = train_tokenizer(texts, 60)
    rows = {word: n for n, word in enumerate(english)}
    published = PublishedVectors(rng.normal(size=(4, 6)).astype(np.float32), rows)
    known = dict(zip(korean, 30 * unit(rng, 4, 3), strict=True))
    monkeypatch.setattr(
        "lyrics_model.word_vectors.korean_words", lambda words, say: {w: known[w] for w in words}
    )
    pairs = [
        (" ".join(english[i] for i in drawn), " ".join(korean[i] for i in drawn))
        for drawn in (rng.choice(4, 2, replace=False) for _ in range(300))
    ]
    found = starting_vectors(tokenizer, texts, pairs, published, 6, say=lambda line: None)
    assert found.words == {"ko": 4, "en": 4}
    vocabulary = tokenizer.get_vocab()
    for word, row in rows.items():
        np.testing.assert_array_equal(found.table[vocabulary[word]], published.table[row])
    centre = published.table.mean(axis=0)
    sums = np.stack(
        [
            (found.table[tokenizer.encode(word, add_special_tokens=False).ids] - centre).sum(axis=0)
            for word in korean
        ]
    )
    wanted = published.table - centre
    likeness = sums @ wanted.T / np.linalg.norm(sums, axis=1)[:, None]
    assert (likeness / np.linalg.norm(wanted, axis=1)).argmax(axis=1).tolist() == [0, 1, 2, 3]


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
