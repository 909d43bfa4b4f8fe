"""Batches, and a tiny model through pretraining, fine-tuning, export and prediction."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
L = pytest.importorskip("lightning")

from data_prep.errors import InputError, MissingDataError, ModelFolderError  # noqa: E402
from data_prep.model_folder import CARD_NAME, ModelCard, write_card  # noqa: E402
from data_prep.taxonomy import EMOTIONS, native_label_set  # noqa: E402
from lyrics_model.batches import chunk_of_batches, length_batches  # noqa: E402
from lyrics_model.corpus import FOLDER  # noqa: E402
from lyrics_model.encoder import LyricNetwork, build_encoder, masked_mean  # noqa: E402
from lyrics_model.examples import SOURCES, Examples  # noqa: E402
from lyrics_model.exporting import to_onnx  # noqa: E402
from lyrics_model.finetuning import (  # noqa: E402
    CHECKPOINTS,
    SETTLED,
    SETTLING,
    SMALL,
    ExampleModule,
    Finetuning,
    FinetuningConfiguration,
    _divergence,
    finished_network,
    settling_rows,
)
from lyrics_model.int8_network import made_ready, quantise  # noqa: E402
from lyrics_model.linear_part import LinearPart  # noqa: E402
from lyrics_model.ngrams import ngram_batch, ngram_ids  # noqa: E402
from lyrics_model.predictor import LyricPredictor  # noqa: E402
from lyrics_model.pretraining import (  # noqa: E402
    Phase,
    Pretraining,
    PretrainingConfiguration,
    load_encoder,
    pretrain,
)
from lyrics_model.specification import (  # noqa: E402
    MASK_ID,
    EncoderSpecification,
    LyricModelSpecification,
    NgramSpecification,
)
from lyrics_model.tokens import encode, pad, train_tokenizer  # noqa: E402
from lyrics_model.word_vectors import PieceVectors  # noqa: E402

TEXTS = [
    "오늘 너무 우울해",
    "정말 행복한 하루",
    "i feel so lonely tonight",
    "화가 나서 참을 수 없어",
    "it is a calm morning",
    "그냥 그런 하루였다",
] * 8
ENCODER = EncoderSpecification(
    vocab_size=160,
    hidden_size=16,
    layers=1,
    attention_heads=2,
    intermediate_size=32,
    max_tokens=24,
)
SPECIFICATION = LyricModelSpecification(encoder=ENCODER, ngrams=NgramSpecification(buckets=512))


def test_length_batches_hold_everything_once_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=500)
    batches = length_batches(lengths, 256, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert all(lengths[b].max() * len(b) <= 256 for b in batches)


def test_chunks_follow_each_other_without_gap() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=200)
    one = chunk_of_batches(lengths, 256, seed=3, chunk=0, per_chunk=60)
    parts = [
        batch
        for chunk in range(6)
        for batch in chunk_of_batches(lengths, 256, seed=3, chunk=chunk, per_chunk=10)
    ]
    assert [a.tolist() for a in one] == [b.tolist() for b in parts]


def test_masked_mean_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [100.0]]])
    mask = torch.tensor([[True, True, False]])
    assert masked_mean(hidden, mask).item() == 2.0


def test_masking_never_touches_special_tokens() -> None:
    module = Pretraining(ENCODER, PretrainingConfiguration(masked_share=0.5))
    ids = torch.randint(0, 160, (20, 20), generator=torch.Generator().manual_seed(0))
    masked, chosen = module.mask(ids, torch.Generator().manual_seed(1))
    assert not bool(chosen[ids < 5].any())
    assert bool((masked[~chosen] == ids[~chosen]).all())
    share = (masked[chosen] == MASK_ID).float().mean().item()
    assert 0.65 < share < 0.95


def _corpus(work: Path) -> None:
    folder = work / FOLDER
    folder.mkdir(parents=True)
    tokenizer = train_tokenizer(TEXTS, ENCODER.vocab_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    rows = encode(tokenizer, TEXTS, ENCODER.max_tokens)
    lengths = [len(row) for row in rows]
    np.savez(
        folder / "pieces.npz",
        pieces=np.concatenate(rows).astype(np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        ratings=np.arange(len(rows)) % 11,
    )
    (folder / "specification.json").write_text(json.dumps(asdict(ENCODER)))
    table = np.random.default_rng(0).normal(scale=0.04, size=(ENCODER.vocab_size, 16))
    vectors = PieceVectors(table.astype(np.float32), np.ones(ENCODER.vocab_size, dtype=bool), {})
    vectors.save(folder / "vectors.npz")


def test_resumed_pretraining_equals_an_uninterrupted_run(tmp_path: Path) -> None:
    def configuration(steps: int) -> PretrainingConfiguration:
        return PretrainingConfiguration(
            steps=steps,
            opening_steps=2,
            opening=Phase(64, 64, rating_weight=0.5),
            following=Phase(128, 64, rating_weight=1.0),
            steps_per_chunk=2,
            warmup_steps=1,
            learning_rate=1e-3,
        )

    class InterruptedRunError(Exception):
        pass

    _corpus(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    whole = pretrain(tmp_path / "whole", configuration(6), threads=1)
    original = Pretraining.training_step

    def failing(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        if self.global_step == 5:
            raise InterruptedRunError
        return original(self, batch, batch_idx)

    Pretraining.training_step = failing  # type: ignore[method-assign]
    try:
        with pytest.raises(InterruptedRunError):
            pretrain(tmp_path / "broken", configuration(6), threads=1)
    finally:
        Pretraining.training_step = original  # type: ignore[method-assign]
    broken = pretrain(tmp_path / "broken", configuration(6), threads=1)
    states = [load_encoder(path)[0].state_dict() for path in (whole, broken)]
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=0, atol=0)


def test_learning_rate_rises_and_falls_once_in_each_phase() -> None:
    configuration = PretrainingConfiguration(
        steps=20, opening_steps=8, steps_per_chunk=2, warmup_steps=2
    )
    rates = [configuration.rate(step) for step in range(21)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[7] < 0.2
    assert rates[8:11] == [0.5, 1.0, 1.0]
    assert rates[9:21] == sorted(rates[9:21], reverse=True)
    assert rates[20] == 0
    assert configuration.phase(7) is configuration.opening
    assert configuration.phase(8) is configuration.following
    short = PretrainingConfiguration(steps=6, opening_steps=8, steps_per_chunk=2, warmup_steps=2)
    assert short.rate(6) == 0  # a run shorter than the opening still comes to rest
    with pytest.raises(InputError, match="whole chunks"):
        PretrainingConfiguration(opening_steps=75)


def _examples() -> Examples:
    tokenizer = train_tokenizer(TEXTS, ENCODER.vocab_size)
    n = len(TEXTS)
    six = np.eye(6, dtype=np.float32)[np.arange(n) % 6]
    kote = np.full((n, 44), np.nan, dtype=np.float32)
    kote[::2] = 0.1
    goemotions = np.full((n, 28), np.nan, dtype=np.float32)
    goemotions[1::2] = 1 / 28
    return Examples(
        pieces=encode(tokenizer, TEXTS, ENCODER.max_tokens),
        targets={"six": six, "kote": kote, "goemotions": goemotions},
        labelled={
            "six": np.ones(n, dtype=bool),
            "kote": ~np.isnan(kote[:, 0]),
            "goemotions": ~np.isnan(goemotions[:, 0]),
        },
        sources=np.arange(n) % len(SOURCES),
        partners=np.array([1, 0, *([-1] * (n - 2))]),
    )


def test_translations_share_a_batch_and_every_text_is_in_one() -> None:
    examples = _examples()
    configuration = FinetuningConfiguration(passes=2, chunks=1, token_budget=64)
    module = ExampleModule(examples, examples, configuration)
    assert module.units.tolist()[0] == [0, 1]
    assert sorted(module.units[module.units >= 0]) == list(range(len(examples)))
    module.trainer = SimpleNamespace(current_epoch=0)  # type: ignore[assignment]
    seen = [content["pairs"] for content, _ in module.train_dataloader() if len(content["pairs"])]
    assert seen
    assert all(pairs.tolist() == [[pairs[0, 0], pairs[0, 0] + 1]] for pairs in seen)


def test_a_subset_repeats_texts_and_keeps_translations_together() -> None:
    examples = _examples()  # 0 and 1 translate each other
    few = examples.subset(np.array([5, 0, 5, 1]))
    assert few.partners.tolist() == [-1, 3, -1, 1]
    assert few.units().tolist() == [[0, -1], [1, 3], [2, -1]]
    np.testing.assert_array_equal(few.pieces[0], few.pieces[2])
    np.testing.assert_array_equal(few.targets["six"][1], examples.targets["six"][0])
    twice = examples.subset(np.array([0, 1, 0]))
    assert twice.partners.tolist() == [-1, -1, -1]


def test_settling_takes_small_sources_and_some_pairs() -> None:
    examples = _examples()
    rows = settling_rows(examples, FinetuningConfiguration(settling_copies=3, settling_pairs=1.0))
    counts = np.bincount(rows, minlength=len(examples))
    small = np.isin(examples.sources, [SOURCES.index(name) for name in SMALL])
    assert (counts[small & (examples.partners < 0)] == 3).all()
    assert counts[[0, 1]].tolist() == [4, 4]  # both are small, and a pair
    assert not counts[~small & (examples.partners < 0)].any()


def test_divergence_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75]]))
    assert float(_divergence(logits, torch.tensor([[1, 2]]))) == pytest.approx(0.0, abs=1e-6)
    # half of (0.25 ln 2 + -0.25 ln (2/3)), once for each direction's share
    expected = 0.5 * 0.25 * (np.log(2) - np.log(2 / 3))
    assert float(_divergence(logits, torch.tensor([[0, 1]]))) == pytest.approx(expected, rel=1e-5)


def test_finetuning_steps_with_partial_labels() -> None:
    examples = _examples()
    configuration = FinetuningConfiguration(passes=1, chunks=1, token_budget=64)
    priors = np.stack([examples.prior(i) for i in range(len(SOURCES))])
    network = LyricNetwork(SPECIFICATION, build_encoder(ENCODER))
    before = network.deep_head.weight.detach().clone()
    model = Finetuning(network, configuration, priors, total_steps=5)
    trainer = L.Trainer(fast_dev_run=True, accelerator="cpu", logger=False)
    trainer.fit(model, datamodule=ExampleModule(examples, examples, configuration))
    assert not torch.equal(before, network.deep_head.weight)
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_the_finished_network_lies_between_both_stages(tmp_path: Path) -> None:
    states = []
    for seed, folder in enumerate((CHECKPOINTS, f"{CHECKPOINTS}/{SETTLING}")):
        torch.manual_seed(seed)
        network = LyricNetwork(SPECIFICATION, build_encoder(ENCODER))
        states.append(network.state_dict())
        content = {"specification": asdict(SPECIFICATION)}
        content["state_dict"] = {f"network.{name}": value for name, value in states[-1].items()}
        (tmp_path / folder).mkdir()
        torch.save(content, tmp_path / folder / "last.ckpt")
    found = finished_network(tmp_path).state_dict()
    for name, value in found.items():
        expected = (1 - SETTLED) * states[0][name] + SETTLED * states[1][name]
        torch.testing.assert_close(value.double(), expected.double(), rtol=1e-5, atol=1e-6)
    (tmp_path / CHECKPOINTS / SETTLING / "last.ckpt").unlink()
    for name, value in finished_network(tmp_path).state_dict().items():
        torch.testing.assert_close(value, states[0][name], rtol=0, atol=0)
    with pytest.raises(MissingDataError, match="maeum train lyrics"):
        finished_network(tmp_path / "nothing")


def _folder(tmp_path: Path) -> tuple[Path, LyricNetwork]:
    torch.manual_seed(0)
    network = LyricNetwork(SPECIFICATION, build_encoder(ENCODER)).eval()
    table = np.random.default_rng(1).normal(size=(SPECIFICATION.ngrams.buckets, 6))
    network.join(LinearPart(table.astype(np.float32), np.arange(6, dtype=np.float32) / 6))
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer = train_tokenizer(TEXTS, ENCODER.vocab_size)
    ids, weights = ngram_batch([ngram_ids(text, SPECIFICATION.ngrams) for text in TEXTS])
    pieces = pad(encode(tokenizer, TEXTS, ENCODER.max_tokens))
    sample = (torch.from_numpy(pieces), torch.from_numpy(ids), torch.from_numpy(weights))
    to_onnx(made_ready(network, [sample]), tmp_path / "plain.onnx")
    quantise(tmp_path / "plain.onnx", folder / "model.onnx")
    tokenizer.save(str(folder / "tokenizer.json"))
    card = ModelCard(
        kind="lyrics",
        name="tiny",
        labels={
            "six": list(EMOTIONS),
            "goemotions": list(native_label_set("goemotions").labels),
            "kote": list(native_label_set("kote").labels),
        },
        head_weights={"six": 0.5, "goemotions": 0.25, "kote": 0.25},
        features=SPECIFICATION.features(),
    )
    write_card(folder, card)
    return folder, network


def test_export_serves_what_the_network_says(tmp_path: Path) -> None:
    folder, network = _folder(tmp_path)
    predictor = LyricPredictor.load(folder)
    tokenizer = train_tokenizer(TEXTS, ENCODER.vocab_size)
    rows = encode(tokenizer, TEXTS[:6], ENCODER.max_tokens)
    ids, weights = ngram_batch([ngram_ids(text, SPECIFICATION.ngrams) for text in TEXTS[:6]])
    with torch.no_grad():
        logits = network(
            torch.from_numpy(pad(rows)), torch.from_numpy(ids), torch.from_numpy(weights)
        )
    expected = torch.softmax(logits[:, :6], dim=1).numpy()
    np.testing.assert_allclose(predictor.native(TEXTS[:6])["six"], expected, atol=0.02)
    assert predictor.native(TEXTS[:6])["kote"].shape == (6, 44)
    six = predictor.distributions(TEXTS[:6])
    np.testing.assert_allclose(six.sum(axis=1), 1, atol=1e-5)


def test_song_is_the_weighted_mean_of_its_segments(tmp_path: Path) -> None:
    predictor = LyricPredictor.load(_folder(tmp_path)[0])
    lyrics = "\n".join(f"{i}번째 줄은 오늘 이렇게 노래해 우리" for i in range(10))
    reading = predictor.read(lyrics)
    assert reading.distribution is not None
    assert len(reading.segments) > 1
    weights = np.array([segment.weight for segment in reading.segments])
    rows = np.stack([segment.distribution for segment in reading.segments])
    np.testing.assert_allclose(reading.distribution, weights @ rows / weights.sum(), atol=1e-5)
    assert len(predictor.read(lyrics, as_mood=True).segments) == 1


def test_reading_many_equals_reading_one(tmp_path: Path) -> None:
    predictor = LyricPredictor.load(_folder(tmp_path)[0])
    texts = ["오늘 너무 우울해", "i feel so lonely tonight", "😀😀", "정말 " * 40]
    together = predictor.read_many(texts)
    assert together[2].distribution is None
    assert together[2].reason
    for text, reading in zip(texts, together, strict=True):
        alone = predictor.read(text)
        assert alone.language == reading.language
        if alone.distribution is not None:
            np.testing.assert_allclose(alone.distribution, reading.distribution, atol=2e-2)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("emotions", ["joy", "calm"], "taxonomy"),
        ("feature_hash", "0" * 16, "feature hash"),
        ("kind", "audio", "kind"),
        ("head_weights", {"six": 1.0}, "head_weights"),
    ],
)
def test_folder_that_does_not_fit_is_refused(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    folder, _ = _folder(tmp_path)
    path = folder / CARD_NAME
    content = json.loads(path.read_text(encoding="utf-8"))
    content[key] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=message):
        LyricPredictor.load(folder)


def test_damaged_network_is_refused(tmp_path: Path) -> None:
    folder, _ = _folder(tmp_path)
    (folder / "model.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelFolderError, match="cannot be loaded"):
        LyricPredictor.load(folder)
