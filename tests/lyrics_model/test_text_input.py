"""Normalisation, n-grams and word pieces: what training and serving must share."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.errors import InputError, ModelFolderError
from lyrics_model.ngrams import ngram_batch, ngram_ids
from lyrics_model.normalisation import normalise
from lyrics_model.specification import (
    ACTIVATIONS,
    CLS_ID,
    SEP_ID,
    EncoderSpecification,
    NgramSpecification,
)
from lyrics_model.tokens import encode, load_tokenizer, pad, train_tokenizer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ㅋㅋㅋㅋㅋㅋ", "ㅋㅋㅋ"),
        ("ㅠㅠ", "ㅠㅠ"),
        ("SOOOOOO  sad\n", "sooo sad"),
        ("하하하하하하하하", "하하하"),
        ("하하호호하하호호하하호호하하호호", "하하호호하하호호하하호호하하호호"),
        ("look https://example.org/a?b=c now", "look now"),
        ("It’s “fine”…", 'it\'s "fine".'),
        ("각", "각"),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_normalise_is_idempotent() -> None:
    for text in ("ㅋㅋㅋㅋㅋ 개꿀ㅋㅋㅋㅋㅋㅋㅋㅋ", "Aaaaaah!!!!!!", "아아아아아 진짜아아아아아아"):
        assert normalise(normalise(text)) == normalise(text)


def test_ngrams_count_and_range() -> None:
    specification = NgramSpecification(buckets=1_000)
    ids = ngram_ids("abc", specification)
    # " abc " has 5 characters: 5 + 4 + 3 + 2 n-grams of lengths 1 to 4.
    assert len(ids) == 14
    assert ids.min() >= 1
    assert ids.max() < 1_000


def test_ngrams_are_the_same_on_every_machine() -> None:
    ids = ngram_ids("오늘 우울해", NgramSpecification(shortest=2, longest=2, buckets=65_536))
    assert ids.tolist() == ngram_ids("오늘 우울해", NgramSpecification(2, 2, 65_536)).tolist()
    # The same two letters at two places share a bucket; a longer text only adds n-grams.
    short = ngram_ids("우울", NgramSpecification(2, 2, 65_536))
    assert short[1] in ids


def test_ngrams_tell_lengths_apart() -> None:
    one = set(ngram_ids("aaaa", NgramSpecification(1, 1)).tolist())
    two = set(ngram_ids("aaaa", NgramSpecification(2, 2)).tolist())
    assert not one & two


def test_ngram_batch_pads_with_zero_weight() -> None:
    ids, weights = ngram_batch([np.array([5, 6, 7, 8]), np.array([9])])
    assert ids.tolist() == [[5, 6, 7, 8], [9, 0, 0, 0]]
    np.testing.assert_allclose(weights, [[0.5] * 4, [1, 0, 0, 0]])


def test_ngram_batch_of_empty_texts_has_a_column() -> None:
    ids, weights = ngram_batch([ngram_ids("", NgramSpecification())])
    assert ids.shape == weights.shape == (1, 1)
    assert weights.sum() == 0


def test_tokenizer_round_trip(tmp_path) -> None:
    texts = ["오늘 너무 우울해", "오늘 정말 행복해", "i feel so tired", "i feel fine"] * 5
    tokenizer = train_tokenizer(texts, 120)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    rows = encode(load_tokenizer(tmp_path / "tokenizer.json"), texts[:2], max_tokens=6)
    assert all(row[0] == CLS_ID and row[-1] == SEP_ID and len(row) <= 6 for row in rows)
    padded = pad([rows[0], rows[0][:2]])
    assert padded.shape == (2, len(rows[0]))
    assert padded[1, 2:].sum() == 0


def test_damaged_tokenizer_is_named(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ModelFolderError, match="missing"):
        load_tokenizer(path)
    path.write_text("{}")
    with pytest.raises(ModelFolderError, match=r"tokenizer\.json"):
        load_tokenizer(path)


def test_activations() -> None:
    logits = np.array([[0.0, np.log(3.0)]], dtype=np.float32)
    np.testing.assert_allclose(ACTIVATIONS["six"](logits), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(ACTIVATIONS["kote"](logits), [[0.5, 0.75]], rtol=1e-6)


def test_specifications_refuse_what_cannot_be() -> None:
    with pytest.raises(InputError, match="hidden_size"):
        EncoderSpecification(hidden_size=100, attention_heads=3)
    with pytest.raises(InputError, match="n-gram"):
        NgramSpecification(shortest=3, longest=2)
