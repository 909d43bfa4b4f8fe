"""Pretraining of the encoder: masked words and film ratings in one pass.

Masked-language modelling after Liu et al. 2019 (dynamic masking of 15% of the
pieces: 80% masked, 10% random, 10% kept), with the vocabulary head run on
masked positions only. Beside it, each review's rating (1-10) is predicted from
the mean of the token states, since a rating is an opinion that somebody really
held; texts without a rating take part in the first task only.

The encoder starts from a published English one where the corpus was prepared with
it (:mod:`lyrics_model.published_start`). Then a third task keeps what it knows and
brings Korean to it: sentences and their translations are to come near the vector
that the published encoder gives the English one, nearer than to those of the other
sentences of the batch (cosine and, after van den Oord et al. 2018, contrast).

Without it the word embeddings alone start from what Kiwi knows of Korean words
(:mod:`lyrics_model.word_vectors`): in the first hour a masked language model learns
little else than word frequencies and neighbours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers.models.roberta.modeling_roberta import RobertaLMHead

from data_prep.errors import InputError
from lyrics_model.batches import chunk_of_batches
from lyrics_model.chunked_run import run_chunks
from lyrics_model.corpus import Corpus, load_corpus
from lyrics_model.encoder import build_encoder, masked_mean
from lyrics_model.specification import MASK_ID, PAD_ID, SPECIAL_TOKENS, EncoderSpecification
from lyrics_model.tokens import pad

RATINGS: Final = 10
CHECKPOINTS: Final = "pretraining"


@dataclass(frozen=True)
class Phase:
    """What one step reads: padded pieces of reviews and of translations, at most.

    ``rating_weight`` is that of the ratings' loss.
    """

    review_budget: int
    translation_budget: int
    rating_weight: float


@dataclass(frozen=True)
class PretrainingConfiguration:
    """How long and how fast; ``steps``, all in all, is rounded down to whole chunks.

    The ``opening`` reads mostly translations, until Korean sentences are found by
    their English ones; what follows reads mostly reviews and their ratings. In each
    the learning rate rises and falls once.
    """

    steps: int = 1_600
    opening_steps: int = 700
    opening: Phase = Phase(1_024, 3_072, rating_weight=0.5)
    following: Phase = Phase(3_072, 1_536, rating_weight=1.0)
    learning_rate: float = 3e-4
    warmup_steps: int = 50
    weight_decay: float = 0.01
    masked_share: float = 0.15
    word_weight: float = 0.3
    translation_weight: float = 1.0
    contrast_temperature: float = 0.05
    steps_per_chunk: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < self.steps_per_chunk:
            raise InputError(
                f"--steps {self.steps} is less than one chunk ({self.steps_per_chunk})"
            )
        if not 0 < self.masked_share < 1:
            raise InputError(f"masked_share {self.masked_share} is not between 0 and 1")
        if self.opening_steps % self.steps_per_chunk:
            raise InputError(f"opening_steps {self.opening_steps} is no number of whole chunks")

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return self.opening if step < self.opening_steps else self.following

    def rate(self, step: int) -> float:
        """Share of the learning rate: rises over the warm-up, then falls to nothing."""
        first, end = 0, min(self.opening_steps, self.steps)
        if step >= self.opening_steps:
            first, end = self.opening_steps, self.steps
        done = step - first
        if done < self.warmup_steps:
            return (done + 1) / self.warmup_steps
        return max((end - step) / max(end - first - self.warmup_steps, 1), 0.0)


Batch = dict[str, NDArray[Any]]


class _CorpusBatches(Dataset[Batch]):
    """One item is one batch of one chunk, with a batch of translations if there are any."""

    def __init__(
        self,
        corpus: Corpus,
        batches: list[NDArray[np.int64]],
        translated: list[NDArray[np.int64]],
    ) -> None:
        self.corpus = corpus
        self.batches = batches
        self.translated = translated

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        items = self.batches[index]
        batch: Batch = {
            "input_ids": pad([self.corpus.row(int(i)) for i in items]),
            "ratings": self.corpus.ratings[items],
        }
        known = self.corpus.translations
        if known is not None:
            pairs = self.translated[index]
            rows = [*(known.english[i] for i in pairs), *(known.korean[i] for i in pairs)]
            batch |= {"translated_ids": pad(rows), "vectors": known.vectors[pairs]}
        return batch


class CorpusModule(L.LightningDataModule):
    """Serves chunk ``trainer.current_epoch`` of the corpus."""

    def __init__(self, corpus: Corpus, configuration: PretrainingConfiguration) -> None:
        super().__init__()
        self.corpus = corpus
        self.configuration = configuration

    def train_dataloader(self) -> DataLoader[Any]:
        chunk = self.trainer.current_epoch if self.trainer else 0
        configuration = self.configuration
        per_chunk = configuration.steps_per_chunk
        opening = configuration.opening_steps // per_chunk
        phase = configuration.phase(chunk * per_chunk)

        def cut(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
            return chunk_of_batches(
                lengths,
                budget,
                seed=configuration.seed,
                chunk=chunk if chunk < opening else chunk - opening,
                per_chunk=per_chunk,
            )

        known = self.corpus.translations
        rows = _CorpusBatches(
            self.corpus,
            cut(self.corpus.lengths, phase.review_budget),
            cut(known.lengths, phase.translation_budget) if known is not None else [],
        )
        return DataLoader(rows, batch_size=None, shuffle=False, num_workers=0)


class Pretraining(L.LightningModule):
    """Masked words, ratings and translations on one encoder.

    Parameters
    ----------
    embeddings
        (vocabulary, hidden) that the word embeddings start from.
    state
        The encoder's other weights, to start from.
    """

    def __init__(
        self,
        specification: EncoderSpecification,
        configuration: PretrainingConfiguration,
        embeddings: NDArray[np.float32] | None = None,
        state: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.specification = specification
        self.configuration = configuration
        self.encoder = build_encoder(specification)
        if state is not None:
            self.encoder.load_state_dict(state, strict=False)
        self.words: nn.Module = RobertaLMHead(self.encoder.config)  # type: ignore[no-untyped-call]
        table = self.encoder.embeddings.word_embeddings
        if embeddings is not None:
            with torch.no_grad():
                table.weight.copy_(torch.from_numpy(embeddings))
        self.words.decoder.weight = table.weight
        self.rating = nn.Linear(specification.hidden_size, RATINGS)
        self.sentence = nn.Linear(specification.hidden_size, specification.hidden_size)
        nn.init.eye_(self.sentence.weight)
        nn.init.zeros_(self.sentence.bias)

    def mask(self, input_ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Masked copy of the ids, and the boolean positions to predict."""
        shape = input_ids.shape
        special = input_ids < len(SPECIAL_TOKENS)
        draw = torch.rand(shape, generator=generator)
        chosen = (draw < self.configuration.masked_share) & ~special
        action = torch.rand(shape, generator=generator)
        random_ids = torch.randint(
            len(SPECIAL_TOKENS), self.specification.vocab_size, shape, generator=generator
        )
        masked = input_ids.clone()
        masked[chosen & (action < 0.8)] = MASK_ID
        swap = chosen & (action >= 0.9)
        masked[swap] = random_ids[swap]
        return masked, chosen

    def translation_loss(self, input_ids: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """How far English and Korean sentences are from the published encoder's vectors.

        Parameters
        ----------
        input_ids
            (2 pairs, tokens): the English sentences, then the Korean ones.
        vectors
            (pairs, hidden) of length one.

        Returns
        -------
        Loss, and the share of Korean sentences that are nearest to their own vector.
        """
        mask = input_ids != PAD_ID
        hidden = self.encoder(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state
        own = nn.functional.normalize(self.sentence(masked_mean(hidden, mask)), dim=1)
        cosines = own @ vectors.T  # (2 pairs, pairs)
        target = torch.arange(len(vectors), device=self.device).repeat(2)
        apart = 1.0 - cosines.gather(1, target[:, None]).mean()
        contrast = nn.functional.cross_entropy(
            cosines / self.configuration.contrast_temperature, target
        )
        found = (cosines.argmax(dim=1) == target)[len(vectors) :].float().mean()
        return apart + contrast, found

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        given = {name: torch.as_tensor(part).to(self.device) for name, part in batch.items()}
        input_ids, ratings = given["input_ids"], given["ratings"]
        generator = torch.Generator().manual_seed(
            self.configuration.seed * 1_000_003 + self.global_step
        )
        masked, chosen = self.mask(input_ids.cpu(), generator)
        masked, chosen = masked.to(self.device), chosen.to(self.device)
        attention = input_ids != PAD_ID
        hidden = self.encoder(input_ids=masked, attention_mask=attention.long()).last_hidden_state
        logits = self.words(hidden[chosen])  # (masked positions, vocabulary)
        word_loss = nn.functional.cross_entropy(logits, input_ids[chosen])
        loss = self.configuration.word_weight * word_loss
        rated = ratings > 0
        if bool(rated.any()):
            rating_logits = self.rating(masked_mean(hidden, attention)[rated])
            rating_loss = nn.functional.cross_entropy(rating_logits, ratings[rated] - 1)
            phase = self.configuration.phase(self.global_step)
            loss = loss + phase.rating_weight * rating_loss
            self.log("rating_loss", rating_loss, prog_bar=True)
        self.log("word_loss", word_loss, prog_bar=True)
        if "vectors" in given:
            apart, found = self.translation_loss(given["translated_ids"], given["vectors"])
            loss = loss + self.configuration.translation_weight * apart
            self.log("translation_loss", apart, prog_bar=True)
            self.log("translations_found", found, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        configuration = self.configuration
        decayed = [p for p in self.parameters() if p.ndim > 1]
        plain = [p for p in self.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": configuration.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=configuration.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, configuration.rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = asdict(self.specification)


def pretrain(
    work: Path,
    configuration: PretrainingConfiguration | None = None,
    *,
    threads: int | None = None,
) -> Path:
    """Pretrain an encoder on the prepared corpus; resumes from the last chunk.

    Parameters
    ----------
    work
        Folder made by :func:`lyrics_model.corpus.prepare`.
    threads
        CPU threads of torch; its own default if ``None``.

    Returns
    -------
    Path of the finished checkpoint, ``work/pretraining/last.ckpt``.
    """
    configuration = configuration or PretrainingConfiguration()
    if threads:
        torch.set_num_threads(threads)
    L.seed_everything(configuration.seed, verbose=False)
    corpus = load_corpus(work)
    specification = corpus.specification
    folder = work / CHECKPOINTS
    module = Pretraining(specification, configuration, corpus.vectors.table, corpus.state)
    chunks = configuration.steps // configuration.steps_per_chunk
    return run_chunks(module, CorpusModule(corpus, configuration), folder, chunks)


def load_encoder(checkpoint: Path, *, dropout: float = 0.0) -> tuple[Any, EncoderSpecification]:
    """The encoder of a pretraining checkpoint, and its specification."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    specification = EncoderSpecification(**content["specification"])
    encoder = build_encoder(specification, dropout)
    prefix = "encoder."
    state = {
        key.removeprefix(prefix): value
        for key, value in content["state_dict"].items()
        if key.startswith(prefix)
    }
    encoder.load_state_dict(state)
    return encoder, specification
