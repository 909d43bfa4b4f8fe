"""Blocks and masks: packed by hand, shares as asked for, and the same however they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from toy_encoders import kcbert, kobert_skt, roberta  # noqa: E402

from data_prep.errors import InputError  # noqa: E402
from lyrics_model.backbone import load_backbone  # noqa: E402
from lyrics_model.masked_text import (  # noqa: E402
    Blocks,
    EvaluationBatches,
    Masking,
    TrainingSteps,
    masking_for,
)

PAD, UNK, CLS, SEP, MASK = range(5)
VOCABULARY = 50
CONTINUES = np.arange(VOCABULARY) >= 40


def _masking(share: float = 0.15, *, whole_words: bool = False) -> Masking:
    special = np.arange(VOCABULARY) < 5
    return Masking(share, whole_words, MASK, special, CONTINUES)


def _blocks(texts: list[list[int]], length: int) -> Blocks:
    pieces = np.array([piece for text in texts for piece in [*text, SEP]], dtype=np.uint16)
    return Blocks(pieces, length, CLS, SEP, PAD)


def _many(count: int = 37, seed: int = 0) -> Blocks:
    generator = np.random.default_rng(seed)
    texts = [generator.integers(5, VOCABULARY, size=9).tolist() for _ in range(count * 3)]
    return _blocks(texts, 32)


def test_packing_by_hand() -> None:
    blocks = _blocks([[10, 11], [12, 13, 14, 15, 16], [17]], 6)
    assert len(blocks) == 3
    assert blocks.rows(np.arange(3)).tolist() == [
        [CLS, 10, 11, SEP, 12, SEP],
        [CLS, 13, 14, 15, 16, SEP],
        [CLS, SEP, 17, SEP, PAD, PAD],
    ]


def test_packing_loses_no_piece() -> None:
    blocks = _many()
    rows = blocks.rows(np.arange(len(blocks)))
    inner = [row[1:][:30] for row in rows]
    seen = np.concatenate(inner)[: len(blocks.pieces)]
    np.testing.assert_array_equal(seen, blocks.pieces)
    assert (rows[:, 0] == CLS).all()
    with pytest.raises(InputError, match="no room"):
        _blocks([[10]], 2)


def test_masks_have_the_shares_asked_for() -> None:
    rows = np.random.default_rng(0).integers(5, VOCABULARY, size=(400, 100))
    masked, chosen = _masking(0.15).apply(rows, np.random.default_rng(1))
    assert chosen.mean() == pytest.approx(0.15, abs=0.01)
    np.testing.assert_array_equal(masked[~chosen], rows[~chosen])
    assert (masked[chosen] == MASK).mean() == pytest.approx(0.8, abs=0.02)
    # A random piece is the old one now and then: 10% / 45.
    assert (masked[chosen] == rows[chosen]).mean() == pytest.approx(0.102, abs=0.02)
    swapped = masked[chosen & (masked != MASK) & (masked != rows)]
    assert swapped.min() >= 5
    assert len(np.unique(swapped)) == VOCABULARY - 5


def test_special_tokens_are_never_chosen() -> None:
    rows = np.random.default_rng(0).integers(0, VOCABULARY, size=(50, 60))
    for whole_words in (False, True):
        masking = _masking(0.5, whole_words=whole_words)
        _, chosen = masking.apply(rows, np.random.default_rng(1))
        assert not chosen[rows < 5].any()


def test_whole_words_are_chosen_together() -> None:
    rows = np.array(
        [[CLS, 10, 41, 42, 11, SEP, 43, 12, SEP], [CLS, 44, 45, 13, 46, 14, 15, 47, SEP]]
    )
    words = [[(0, 1), (0, 2), (0, 3)], [(0, 4)], [(0, 6)], [(0, 7)]]
    words += [[(1, 1), (1, 2)], [(1, 3), (1, 4)], [(1, 5)], [(1, 6), (1, 7)]]
    masking = _masking(0.4, whole_words=True)
    counts = np.zeros(len(words))
    for seed in range(400):
        _, chosen = masking.apply(rows, np.random.default_rng(seed))
        for number, word in enumerate(words):
            states = {bool(chosen[place]) for place in word}
            assert len(states) == 1, "a word in part"
            counts[number] += states.pop()
    np.testing.assert_allclose(counts / 400, 0.4, atol=0.08)


def test_there_is_always_something_to_predict() -> None:
    rows = np.array([[CLS, 10, 41, SEP]])
    for seed in range(50):
        for whole_words, least in ((False, 1), (True, 2)):
            masking = _masking(0.001, whole_words=whole_words)
            _, chosen = masking.apply(rows, np.random.default_rng(seed))
            assert chosen.sum() == least
            assert not chosen[0, [0, 3]].any()
    _, chosen = _masking().apply(np.array([[CLS, SEP]]), np.random.default_rng(0))
    assert not chosen.any()


def test_beginnings_of_words_are_read_off_the_vocabulary(tmp_path: Path) -> None:
    for make, continuing, beginning in (
        (kcbert, "##무", "너"),
        (kobert_skt, "무", "▁오늘"),
        (roberta, "a", "Ġthe"),
    ):
        tokenizer = load_backbone(str(make(tmp_path / make.__name__))).tokenizer
        masking = masking_for(tokenizer, share=0.15, whole_words=True)
        number = tokenizer.convert_tokens_to_ids
        assert masking.continues[number(continuing)]
        assert not masking.continues[number(beginning)]
        assert masking.mask == tokenizer.mask_token_id
        assert masking.special[[tokenizer.cls_token_id, tokenizer.pad_token_id]].all()
        assert not masking.continues[masking.special].any()


def test_a_vocabulary_without_words_is_refused_for_whole_words() -> None:
    class Plain:
        all_special_ids = (0,)
        mask_token_id = 0

        def __len__(self) -> int:
            return 10

        def convert_ids_to_tokens(self, ids: range) -> list[str]:
            return [f"t{number}" for number in ids]

    tokenizer = Plain()
    assert not masking_for(tokenizer, share=0.15, whole_words=False).continues.any()
    with pytest.raises(InputError, match="where a word begins"):
        masking_for(tokenizer, share=0.15, whole_words=True)


def _steps(blocks: Blocks, batch: int, accumulate: int, first: int, count: int, **changes):
    settings = {"seed": 3, "stage": 0} | changes
    return TrainingSteps(
        blocks,
        _masking(),
        batch=batch,
        accumulate=accumulate,
        first=first,
        count=count,
        **settings,
    )


def _same(one: dict, other: dict) -> bool:
    return all(
        torch.equal(one[name], other[name])
        if torch.is_tensor(one[name])
        else one[name] == other[name]
        for name in one
    )


def test_a_pass_holds_every_block_once_and_passes_differ() -> None:
    blocks = _many()
    steps = _steps(blocks, 5, 2, 0, 20)
    numbers = np.concatenate([steps.numbers(step) for step in range(20)])
    first, second = (numbers[i * len(blocks) : (i + 1) * len(blocks)] for i in range(2))
    assert sorted(first) == sorted(second) == list(range(len(blocks)))
    assert first.tolist() != second.tolist()


def test_steps_do_not_depend_on_where_one_starts() -> None:
    blocks = _many()
    whole = _steps(blocks, 4, 2, 0, 12)
    later = _steps(blocks, 4, 2, 7, 5)
    for index in range(len(later)):
        assert _same(later[index], whole[7 * 2 + index])
    assert len(list(whole)) == 24


def test_seeds_stages_and_steps_differ() -> None:
    blocks = _many()
    items = [
        _steps(blocks, 4, 1, step, 1, **changes)[0]
        for step, changes in ((0, {}), (1, {}), (0, {"seed": 4}), (0, {"stage": 1}))
    ]
    for i, one in enumerate(items):
        for other in items[:i]:
            assert not torch.equal(one["input_ids"], other["input_ids"])


def test_a_step_does_not_depend_on_how_it_is_divided() -> None:
    blocks = _many()
    whole = _steps(blocks, 6, 1, 4, 1)[0]
    parts = list(_steps(blocks, 2, 3, 4, 1))
    for name in ("input_ids", "attention_mask", "labels"):
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])
    assert {part["weight"] for part in parts} == {whole["weight"]}
    assert whole["weight"] == pytest.approx(1 / len(whole["labels"]))
    assert [part["number"] for part in parts] == [12, 13, 14]


def test_labels_are_what_was_masked() -> None:
    blocks = _many()
    steps = _steps(blocks, 8, 1, 0, 1)
    item = steps[0]
    rows = blocks.rows(steps.numbers(0))
    width = item["input_ids"].shape[1]
    flat = rows[:, :width].ravel()
    np.testing.assert_array_equal(item["labels"], flat[item["positions"]])
    unchosen = np.ones(flat.size, dtype=bool)
    unchosen[item["positions"]] = False
    np.testing.assert_array_equal(item["input_ids"].numpy().ravel()[unchosen], flat[unchosen])


def test_short_texts_are_not_padded_to_the_block() -> None:
    item = _steps(_blocks([[10, 11, 12]], 32), 2, 1, 0, 1)[0]
    assert item["input_ids"].shape == (2, 5)
    assert item["attention_mask"].all()


def test_evaluation_masks_are_fixed_whole_and_single() -> None:
    blocks = _many()

    def batches(masking: Masking, batch: int, most: int = 100) -> list[dict]:
        return list(EvaluationBatches(blocks, masking, batch=batch, seed=0, domain=1, most=most))

    one = batches(_masking(), 4)
    assert all(
        _same(a, b) for a, b in zip(one, batches(_masking(whole_words=True), 4), strict=True)
    )
    joined = [torch.cat([b["labels"] for b in batches(_masking(), size)]) for size in (4, 7)]
    assert torch.equal(*joined)
    for item in one:
        assert (item["input_ids"].ravel()[item["positions"]] == MASK).all()
    few = batches(_masking(), 4, most=6)
    assert sum(len(item["input_ids"]) for item in few) == 6
