"""Vocabulary overlap: hand-counted, symmetric, bounded, and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")
pytest.importorskip("matplotlib")

from toy_encoders import TEXTS, klue

from data_prep.errors import InputError
from lyrics_model.backbone import load_backbone
from lyrics_model.domains import (
    STOPWORDS,
    VocabularyOverlap,
    compare_domains,
    frequent_pieces,
    frequent_words,
    overlap,
    read_texts,
    write_overlap,
)


def quiet(_: str) -> None:
    pass


def test_words_by_hand() -> None:
    texts = ["Sea, sea and the SEA 2024", "moon moon star", "별 별 달 그리고", "star"]
    assert frequent_words(texts, 10) == ["sea", "moon", "star", "별", "달"]
    assert frequent_words(texts, 2) == ["sea", "moon"]
    assert "and" in frequent_words(texts, 10, stopwords=frozenset())


def test_overlap_by_hand() -> None:
    found = overlap({"a": ["x", "y", "z", "w"], "b": ["y", "q"], "c": ["q", "r", "s", "w"]})
    # a and b are compared by two words each: {x, y} and {y, q}.
    expected = [[1.0, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 1.0]]
    np.testing.assert_allclose(found.shares, expected)
    assert found.pairs() == [("a", "b", 0.5), ("b", "c", 0.5), ("a", "c", 0.25)]
    assert found.sizes == (4, 2, 4)


def test_overlap_is_symmetric_and_whole_with_itself() -> None:
    generator = np.random.default_rng(0)
    words = [f"w{i}" for i in range(60)]
    vocabularies = {
        name: list(generator.permutation(words)[: generator.integers(5, 60)]) for name in "abcd"
    }
    shares = overlap(vocabularies).shares
    np.testing.assert_array_equal(shares, shares.T)
    np.testing.assert_array_equal(np.diag(shares), 1.0)
    assert shares.min() >= 0


def test_forgetting_rare_words_keeps_the_frequent_ones() -> None:
    texts = [f"고래 바다 바다 rare{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(500)]
    assert frequent_words(texts, 2, most_counted=20) == ["바다", "고래"]


def test_pieces_are_counted_without_special_tokens(tmp_path: Path) -> None:
    tokenizer = load_backbone(str(klue(tmp_path))).tokenizer
    assert frequent_pieces(["오늘 오늘 너무", "오늘 [SEP]"], 10, tokenizer) == [
        "오늘",
        "##무",
        "너",
    ]


def test_files_are_read_whatever_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(
        "하나\n\n둘 셋\r\n".encode() + b"\xff\xfe broken\n" + "넷".encode()
    )
    assert list(read_texts(tmp_path / "a.txt")) == ["하나", "둘 셋", "넷"]


def test_a_large_file_is_sampled_evenly(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{number:04d}\n" for number in range(1_000)), encoding="utf-8")
    numbers = [int(text) for text in read_texts(path, 250)]
    assert numbers == list(range(0, 1_000, 4))
    assert len(list(read_texts(path, 1_000))) == 1_000


def test_domains_are_compared_written_and_drawn(tmp_path: Path) -> None:
    (tmp_path / "lyrics.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (tmp_path / "talk.txt").write_text("\n".join(TEXTS[::2]), encoding="utf-8")
    domains = {"lyrics": tmp_path / "lyrics.txt", "talk": tmp_path / "talk.txt"}
    tokenizer = load_backbone(str(klue(tmp_path / "klue"))).tokenizer
    by_words = compare_domains(domains, size=30, say=quiet)
    by_pieces = compare_domains(domains, size=30, unit="pieces", tokenizer=tokenizer, say=quiet)
    assert by_words.unit == "words"
    assert not np.allclose(by_words.shares, by_pieces.shares)
    written = write_overlap(by_words, tmp_path / "out")
    assert [path.name for path in written] == [
        "overlap.json",
        "overlap-heatmap.png",
        "overlap-chart.png",
    ]
    content = json.loads(written[0].read_text(encoding="utf-8"))
    assert content["overlap"]["lyrics"]["talk"] == pytest.approx(by_words.shares[0, 1], abs=1e-6)
    assert content["size"] == 30
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written[1:])


@pytest.mark.parametrize("count", [2, 3, 6])
def test_any_number_of_domains_can_be_drawn(tmp_path: Path, count: int) -> None:
    names = tuple(f"domain-{i}" for i in range(count))
    found = VocabularyOverlap(names, np.eye(count), (10_000,) * count, "words", 10_000)
    assert all(path.stat().st_size > 0 for path in write_overlap(found, tmp_path))


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    good, empty = tmp_path / "good.txt", tmp_path / "empty.txt"
    good.write_text("바다 고래", encoding="utf-8")
    empty.write_text("123 !!!\n", encoding="utf-8")
    for domains, message in (
        ({"a": good}, "two domains"),
        ({"a": good, "b": tmp_path / "none.txt"}, "no such text file"),
        ({"a": good, "b": empty}, "holds no words"),
    ):
        with pytest.raises(InputError, match=message):
            compare_domains(domains, say=quiet)
    both = {"a": good, "b": good}
    with pytest.raises(InputError, match="needs an encoder"):
        compare_domains(both, unit="pieces", say=quiet)
    with pytest.raises(InputError, match="vocabulary of 0"):
        compare_domains(both, size=0, say=quiet)


def test_stopwords_are_words() -> None:
    for word in STOPWORDS:
        assert frequent_words([word], 5, stopwords=frozenset()) == [word]
