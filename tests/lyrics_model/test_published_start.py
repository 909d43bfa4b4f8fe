"""A published English encoder as start: layers, pieces, vectors, and learning from translations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import toy_encoders  # noqa: E402

from data_prep.errors import InputError  # noqa: E402
from lyrics_model.encoder import build_encoder, masked_mean  # noqa: E402
from lyrics_model.pretraining import Pretraining, PretrainingConfiguration  # noqa: E402
from lyrics_model.published_start import (  # noqa: E402
    PublishedEncoder,
    bilingual_tokenizer,
    english_pieces,
)
from lyrics_model.specification import SPECIAL_TOKENS, EncoderSpecification  # noqa: E402
from lyrics_model.tokens import encode, pad, train_tokenizer  # noqa: E402
from lyrics_model.translations import Translations  # noqa: E402

KOREAN = ["오늘 너무 우울해", "정말 행복한 하루", "비가 오는 밤"] * 4
ENGLISH = ["so sad today", "a happy day", "a rainy night", "sad and glad"] * 4
WORDS = [*"abcdefghijklmnopqrstuvwxyz", "sad", "happy", "day", "to", "night", "rain", "glad", "and"]


def minilm(folder: Path, layers: int = 3) -> Path:
    """A tiny BERT with WordPiece pieces, saved as all-MiniLM-L6-v2 is."""
    folder.mkdir()
    pieces = [*SPECIAL_TOKENS[:1], "[unused0]", *SPECIAL_TOKENS[1:], *WORDS]
    pieces += [f"##{word}" for word in WORDS]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    configuration = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    transformers.BertModel(configuration).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_our_encoder_answers_as_the_published_one(tmp_path: Path) -> None:
    published = PublishedEncoder.load(minilm(tmp_path / "minilm", layers=2))
    specification = published.specification(2, 60, 24)
    assert specification == EncoderSpecification(60, 16, 2, 4, 32, 24)
    encoder = build_encoder(specification).eval()
    missing, unexpected = encoder.load_state_dict(published.state(specification), strict=False)
    assert missing == ["embeddings.word_embeddings.weight"]
    assert not unexpected
    given = published.tokenizer(["so sad today"], return_tensors="pt")["input_ids"]
    vectors = torch.from_numpy(published.table)[given]
    with torch.no_grad():
        own = encoder(inputs_embeds=vectors).last_hidden_state
        theirs = published.model(input_ids=given).last_hidden_state
    torch.testing.assert_close(own, theirs, atol=1e-5, rtol=1e-4)
    mean = masked_mean(theirs, torch.ones_like(given))
    expected = torch.nn.functional.normalize(mean, dim=1).numpy()
    np.testing.assert_allclose(published.vectors(["so sad today"]), expected, atol=1e-5)


def test_the_lower_layers_are_taken(tmp_path: Path) -> None:
    published = PublishedEncoder.load(minilm(tmp_path / "minilm"))
    state = published.state(published.specification(1, 60, 24))
    assert any(name.startswith("encoder.layer.0.") for name in state)
    assert not any(name.startswith("encoder.layer.1.") for name in state)
    assert not any("word_embeddings" in name or "pooler" in name for name in state)
    with pytest.raises(InputError, match="3 layers"):
        published.specification(4, 60, 24)


def test_vectors_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    published = PublishedEncoder.load(minilm(tmp_path / "minilm"))
    together = published.vectors(ENGLISH[:4])
    alone = np.concatenate([published.vectors([text]) for text in ENGLISH[:4]])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)


def test_pieces_of_two_languages_in_one_vocabulary(tmp_path: Path) -> None:
    published = PublishedEncoder.load(minilm(tmp_path / "minilm"))
    english = english_pieces(published, ENGLISH, 60)
    assert len(english) == 60
    assert {"a", "##z"} <= set(english[:52])  # single characters first: any word can be written
    assert english[52:54] == ["sad", "happy"]  # the most frequent, then by rank
    assert not any(piece.startswith("[") for piece in english)
    korean = train_tokenizer(KOREAN, 80)
    tokenizer = bilingual_tokenizer(english, korean, 140)  # room for every Korean character
    vocabulary = tokenizer.get_vocab()
    assert [vocabulary[token] for token in SPECIAL_TOKENS] == list(range(5))
    assert len(vocabulary) == tokenizer.get_vocab_size() <= 140
    assert "[UNK]" not in tokenizer.encode("sad 우울해").tokens
    assert tokenizer.encode("sad 오늘").tokens[0] == "sad"
    with pytest.raises(InputError, match="no room"):
        bilingual_tokenizer(english, korean, 40)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no encoder"):
        PublishedEncoder.load(tmp_path)
    toy_encoders.roberta(tmp_path / "roberta")
    with pytest.raises(InputError, match="expected BERT"):
        PublishedEncoder.load(tmp_path / "roberta")
    damaged = minilm(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="readable"):
        PublishedEncoder.load(damaged)


def test_translations_are_kept(tmp_path: Path) -> None:
    tokenizer = train_tokenizer([*KOREAN, *ENGLISH], 120)
    kept = Translations(
        encode(tokenizer, ENGLISH[:3], 24),
        encode(tokenizer, KOREAN[:3], 24),
        np.eye(3, 8, dtype=np.float32),
    )
    kept.save(tmp_path / "translations.npz")
    again = Translations.load(tmp_path / "translations.npz")
    np.testing.assert_array_equal(again.vectors, kept.vectors)
    for name in ("english", "korean"):
        for one, other in zip(getattr(again, name), getattr(kept, name), strict=True):
            np.testing.assert_array_equal(one, other)
    longest = [max(len(a), len(b)) for a, b in zip(kept.english, kept.korean, strict=True)]
    assert again.lengths.tolist() == [2 * n for n in longest]
    with pytest.raises(InputError, match="as many of each"):
        Translations(kept.english[:2], kept.korean, kept.vectors)


def test_sentences_in_two_languages_learn_one_vector() -> None:
    tokenizer = train_tokenizer([*KOREAN, *ENGLISH], 120)
    specification = EncoderSpecification(120, 16, 1, 2, 32, 24)
    torch.manual_seed(0)
    module = Pretraining(specification, PretrainingConfiguration())
    ids = torch.from_numpy(pad(encode(tokenizer, [*ENGLISH[:3], *KOREAN[:3]], 24)))
    vectors = torch.eye(3, 16)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    first, _ = module.translation_loss(ids, vectors)
    for _ in range(60):
        loss, found = module.translation_loss(ids, vectors)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(found) == 1.0
    assert float(loss) < 0.5 * float(first)
