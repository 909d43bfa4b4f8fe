"""The linear part: what its table says, its share in the network's answer, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError, MissingDataError, ModelFolderError
from lyrics_model.linear_part import LinearPart, fit
from lyrics_model.ngrams import ngram_batch, ngram_ids
from lyrics_model.specification import (
    EncoderSpecification,
    LyricModelSpecification,
    NgramSpecification,
)

NGRAMS = NgramSpecification(buckets=4_096)
WORDS = {
    0: ["너무 행복해", "정말 행복하다", "so happy"],
    1: ["너무 떨려", "정말 떨린다", "so nervous"],
    2: ["너무 평온해", "정말 평온하다", "so calm"],
    3: ["너무 우울해", "정말 우울하다", "so sad"],
    4: ["너무 화나", "정말 화난다", "so angry"],
    5: ["오늘은 수요일", "책상 위에 책", "it is noon"],
}
TEXTS = [text for texts in WORDS.values() for text in texts] * 4
EMOTIONS = np.array([emotion for emotion, texts in WORDS.items() for _ in texts] * 4)
ONES = np.ones(len(TEXTS), dtype=np.float32)


def _log_odds(part: LinearPart, texts: list[str]) -> np.ndarray:
    """(texts, 6) what the table says of texts."""
    ids, weights = ngram_batch([ngram_ids(text, NGRAMS) for text in texts])
    return np.einsum("tn,tne->te", weights, part.table[ids]) + part.bias


def test_fitted_on_words_it_knows_them_again() -> None:
    part = fit(TEXTS, EMOTIONS, ONES, NGRAMS)
    assert part.table.shape == (4_096, 6)
    assert part.table.dtype == part.bias.dtype == np.float32
    assert not part.table[0].any()
    answers = _log_odds(part, ["행복한 하루", "우울한 하루", "happy day", "a sad day"])
    assert answers.argmax(axis=1).tolist() == [0, 3, 0, 3]
    with pytest.raises(InputError, match="no text has the emotion anger"):
        fit(TEXTS, np.where(EMOTIONS == 4, 3, EMOTIONS), ONES, NGRAMS)


def test_emotions_count_the_same_and_texts_their_weight() -> None:
    kept = np.flatnonzero((EMOTIONS != 0) | (np.arange(len(TEXTS)) < len(TEXTS) // 4))
    texts, emotions = [TEXTS[i] for i in kept], EMOTIONS[kept]
    part = fit(texts, emotions, ONES[kept], NGRAMS)
    unknown = _log_odds(part, ["xyz"])[0]
    assert unknown[0] > unknown[1:].mean()  # though a quarter as many texts are joyful
    torn = [*TEXTS, *["an odd one"] * 8]  # four times joy, four times sadness
    emotions = np.append(EMOTIONS, [0] * 4 + [3] * 4)
    for heavier, answer in ((slice(-8, -4), 0), (slice(-4, None), 3)):
        weights = np.ones(len(torn), dtype=np.float32)
        weights[heavier] = 10.0
        found = _log_odds(fit(torn, emotions, weights, NGRAMS), ["an odd one"])
        assert int(found.argmax()) == answer


def test_ngrams_of_one_text_say_nothing() -> None:
    part = fit([*TEXTS, "zqzq"], np.append(EMOTIONS, 0), np.append(ONES, 1.0), NGRAMS)
    once = set(ngram_ids("zqzq", NGRAMS).tolist())
    often = {bucket for text in TEXTS for bucket in ngram_ids(text, NGRAMS).tolist()}
    assert once - often
    assert not part.table[sorted(once - often)].any()


def test_saved_and_loaded(tmp_path: Path) -> None:
    part = fit(TEXTS, EMOTIONS, ONES, NGRAMS)
    part.save(tmp_path / "new" / "linear.npz")
    loaded = LinearPart.load(tmp_path / "new" / "linear.npz")
    np.testing.assert_array_equal(loaded.table, part.table)
    np.testing.assert_array_equal(loaded.bias, part.bias)
    with pytest.raises(MissingDataError, match="maeum train lyrics"):
        LinearPart.load(tmp_path / "linear.npz")
    (tmp_path / "bad.npz").write_bytes(b"no file of ours")
    with pytest.raises(ModelFolderError, match="no linear part"):
        LinearPart.load(tmp_path / "bad.npz")


def test_share_in_the_answer() -> None:
    torch = pytest.importorskip("torch")
    from lyrics_model.encoder import LyricNetwork, build_encoder

    specification = LyricModelSpecification(EncoderSpecification(80, 16, 1, 2, 32, 24), NGRAMS)
    network = LyricNetwork(specification, build_encoder(specification.encoder)).eval()
    pieces = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
    ids, weights = ngram_batch([ngram_ids(text, NGRAMS) for text in ("너무 행복해", "so sad")])
    given = (pieces, torch.from_numpy(ids), torch.from_numpy(weights))
    with pytest.raises(RuntimeError, match="no linear part"):
        network(*given)
    part = fit(TEXTS, EMOTIONS, ONES, NGRAMS)
    network.join(part, share=0.25)
    with torch.no_grad():
        deep, whole = network.deep(pieces).numpy(), network(*given).numpy()
    wide = _log_odds(part, ["너무 행복해", "so sad"])
    np.testing.assert_allclose(whole[:, :6], 0.75 * deep[:, :6] + 0.25 * wide, atol=1e-4)
    np.testing.assert_array_equal(whole[:, 6:], deep[:, 6:])
    assert not any("ngrams" in name for name, p in network.named_parameters() if p.requires_grad)


def test_an_earlier_editions_card_is_read() -> None:
    content = {"shortest": 1, "longest": 4, "buckets": 64, "dimension": 32, "most": 9}
    assert NgramSpecification.of_card(content) == NgramSpecification(1, 4, 64, 9)
    with pytest.raises(KeyError):
        NgramSpecification.of_card({"shortest": 1})
