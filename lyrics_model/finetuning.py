"""Fine-tuning on native labels: every head learns from the texts that speak to it.

Losses: ``kote`` (KOTE and KPoEM) binary cross-entropy against labels or
annotator shares; ``goemotions`` cross-entropy against normalised labels;
``six``, which every source speaks to, cross-entropy against projected shares,
with the log prior of the source added to the logits while training (balanced
softmax, Ren et al. 2020), so that the served head carries less of any source's
imbalance. Half of the log prior did best on validation: the whole of it made rare
emotions too cheap. Small sources count more per text (``source_weights``).

A sentence and its translation stand in the same batch, and their answers are
pulled together (symmetric Kullback-Leibler divergence, ``agreement_weight``): the
same words in another language mean the same emotion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from data_prep.errors import InputError, MissingDataError
from data_prep.metrics import accuracy, macro_f1
from data_prep.taxonomy import N_EMOTIONS
from lyrics_model import linear_part
from lyrics_model.batches import chunk_of_batches, length_batches
from lyrics_model.chunked_run import LAST, run_chunks
from lyrics_model.corpus import tokenizer_path
from lyrics_model.encoder import LyricNetwork, build_encoder
from lyrics_model.examples import (
    SOURCES,
    Examples,
    Teaching,
    build_examples,
    decided_texts,
    labelled_texts,
)
from lyrics_model.pretraining import CHECKPOINTS as PRETRAINING
from lyrics_model.pretraining import load_encoder
from lyrics_model.specification import (
    EncoderSpecification,
    LyricModelSpecification,
    NgramSpecification,
)
from lyrics_model.teachers import kept_answers, reviews
from lyrics_model.tokens import load_tokenizer, pad

CHECKPOINTS: Final = "finetuning"
TEACHERS: Final = "teachers.npz"
SETTLING: Final = "settling"
SETTLED: Final = 0.8  # how far the weights are from the main stage's end to the settling's
SMALL: Final = ("kote", "kpoem", "moods")


@dataclass(frozen=True)
class FinetuningConfiguration:
    """``passes`` over all labelled texts, cut into ``chunks`` (validated after each).

    With 2.5 passes the small sources (KOTE, KPoEM) were learned by heart: their
    validation macro-F1 fell again after the first. With teachers, ``reviews`` texts
    without labels join, ``teacher_share`` of a labelled text's target is theirs, and a
    head whose target is theirs alone counts ``teacher_weight``.

    Most texts are GoEmotions' and reviews. So a second stage settles the network on one
    pass of ``settling_copies`` of every text of the small sources and of
    ``settling_pairs`` of the translated sentences, at ``settling_rate`` of the rates.

    In the linear part every text counts one, of ``linear_weights`` more.
    """

    passes: float = 0.8
    chunks: int = 4
    token_budget: int = 3_072
    encoder_rate: float = 2e-4
    head_rate: float = 1e-3
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    head_loss_weights: tuple[tuple[str, float], ...] = (
        ("six", 1.0),
        ("goemotions", 0.5),
        ("kote", 4.0),
    )
    source_weights: tuple[tuple[str, float], ...] = (("kote", 3.0), ("kpoem", 3.0))
    prior_adjustment: float = 0.5
    agreement_weight: float = 0.5
    reviews: int = 60_000
    teacher_share: float = 0.5
    teacher_weight: float = 0.25
    settling_chunks: int = 2
    settling_copies: int = 2
    settling_pairs: float = 0.2
    settling_rate: float = 0.75
    linear_weights: tuple[tuple[str, float], ...] = (("kote", 3.0), ("kpoem", 3.0))
    seed: int = 0

    def __post_init__(self) -> None:
        if self.passes <= 0 or self.chunks < 1:
            raise InputError("passes must be positive and chunks at least 1")


Batch = tuple[dict[str, NDArray[Any]], NDArray[np.int64]]


class _ExampleBatches(Dataset[Batch]):
    """One item is one batch of units: inputs and targets by name, and the sources.

    ``pairs`` holds the rows of the batch that translate each other, (pairs, 2).
    """

    def __init__(
        self, examples: Examples, units: NDArray[np.int64], batches: list[NDArray[np.int64]]
    ) -> None:
        self.examples = examples
        self.units = units
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        examples, units = self.examples, self.units[self.batches[index]]
        present = units >= 0
        items = units[present]
        rows = np.cumsum(present.ravel()).reshape(present.shape) - 1
        content: dict[str, NDArray[Any]] = {
            "input_ids": pad([examples.pieces[i] for i in items]),
            "pairs": rows[present.all(axis=1)],
        }
        content |= {head: target[items] for head, target in examples.targets.items()}
        content |= {f"{head}_labelled": known[items] for head, known in examples.labelled.items()}
        return content, examples.sources[items]


class ExampleModule(L.LightningDataModule):
    """Serves chunk ``trainer.current_epoch`` of the training texts, and all validation texts."""

    def __init__(
        self, training: Examples, validation: Examples, configuration: FinetuningConfiguration
    ) -> None:
        super().__init__()
        self.training = training
        self.validation = validation
        self.configuration = configuration
        self.units = training.units()
        lengths = np.where(self.units >= 0, training.lengths[self.units], 0)
        # a batch is padded to its longest row
        self.unit_lengths = lengths.max(axis=1) * (self.units >= 0).sum(axis=1)
        batches = length_batches(
            self.unit_lengths, configuration.token_budget, np.random.default_rng(0)
        )
        self.per_chunk = max(1, round(len(batches) * configuration.passes / configuration.chunks))

    def train_dataloader(self) -> DataLoader[Any]:
        chunk = self.trainer.current_epoch if self.trainer else 0
        batches = chunk_of_batches(
            self.unit_lengths,
            self.configuration.token_budget,
            seed=self.configuration.seed,
            chunk=chunk,
            per_chunk=self.per_chunk,
        )
        rows = _ExampleBatches(self.training, self.units, batches)
        return DataLoader(rows, batch_size=None, num_workers=0)

    def val_dataloader(self) -> DataLoader[Any]:
        batches = length_batches(
            self.validation.lengths, 4 * self.configuration.token_budget, np.random.default_rng(0)
        )
        alone = np.stack([np.arange(len(self.validation)), np.full(len(self.validation), -1)], 1)
        rows = _ExampleBatches(self.validation, alone, batches)
        return DataLoader(rows, batch_size=None, num_workers=0)


def _divergence(logits: Tensor, pairs: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of the answers to both rows of each pair, mean."""
    one, other = (torch.log_softmax(logits[pairs[:, side]], dim=-1) for side in (0, 1))
    return 0.5 * ((one.exp() - other.exp()) * (one - other)).sum(dim=-1).mean()


class Finetuning(L.LightningModule):
    """All heads on one network."""

    def __init__(
        self,
        network: LyricNetwork,
        configuration: FinetuningConfiguration,
        priors: NDArray[np.float32],
        total_steps: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.configuration = configuration
        self.total_steps = total_steps
        self.register_buffer("log_priors", torch.log(torch.from_numpy(priors)))
        weights = dict(configuration.source_weights)
        factors = torch.tensor([weights.get(source, 1.0) for source in SOURCES])
        self.register_buffer("source_factors", factors)
        self.answers: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []

    def _logits(self, content: dict[str, Any]) -> dict[str, Tensor]:
        given = torch.as_tensor(content["input_ids"]).to(self.device)
        sizes = [size for _, size in self.network.specification.heads]
        heads = [name for name, _ in self.network.specification.heads]
        return dict(zip(heads, torch.split(self.network.deep(given), sizes, dim=1), strict=True))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        content, sources = batch
        logits = self._logits(content)
        origin = torch.as_tensor(sources).to(self.device)
        total = torch.zeros((), device=self.device)
        factors = cast(Tensor, self.source_factors)[origin]
        for head, weight in self.configuration.head_loss_weights:
            target = torch.as_tensor(content[head]).to(self.device)
            known = ~torch.isnan(target[:, 0])
            if not bool(known.any()):
                continue
            labelled = torch.as_tensor(content[f"{head}_labelled"]).to(self.device)[known]
            strength = torch.where(labelled, 1.0, self.configuration.teacher_weight)
            target, output, factor = target[known], logits[head][known], factors[known]
            if head == "kote":
                each = nn.functional.binary_cross_entropy_with_logits(
                    output, target, reduction="none"
                ).mean(dim=1)
                factor = torch.ones_like(factor)
            else:
                if head == "six":
                    log_priors = cast(Tensor, self.log_priors)[origin[known]]
                    output = output + self.configuration.prior_adjustment * log_priors
                each = nn.functional.cross_entropy(output, target, reduction="none")
            loss = (each * strength * factor).sum() / factor.sum()
            self.log(f"{head}_loss", loss, prog_bar=True)
            # A head's loss counts by the share of texts that speak to it.
            total = total + weight * loss * known.float().mean()
        pairs = torch.as_tensor(content["pairs"]).to(self.device)
        if len(pairs) and self.configuration.agreement_weight:
            apart = torch.stack([_divergence(logits[h], pairs) for h in ("six", "goemotions")])
            self.log("agreement_loss", apart.mean(), prog_bar=True)
            share = 2 * len(pairs) / len(origin)
            total = total + self.configuration.agreement_weight * share * apart.sum()
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        content, sources = batch
        logits = self._logits(content)["six"]
        self.answers.append(
            (logits.float().cpu().numpy(), np.asarray(content["six"]), np.asarray(sources))
        )

    def on_validation_epoch_end(self) -> None:
        estimated, reference, sources = (
            np.concatenate([answer[i] for answer in self.answers]) for i in range(3)
        )
        self.answers.clear()
        figures = []
        for index, name in enumerate(SOURCES):
            target = reference[sources == index]
            decided = np.sort(target, axis=1)[:, -1] > np.sort(target, axis=1)[:, -2]
            if not decided.any():
                continue
            labels = target[decided].argmax(axis=1)
            predictions = estimated[sources == index][decided].argmax(axis=1)
            score = macro_f1(labels, predictions, N_EMOTIONS)
            figures.append(score)
            self.log(f"{name}_f1", score, prog_bar=True)
            self.log(f"{name}_accuracy", accuracy(labels, predictions))
        mean = float(np.mean(figures))
        self.log("validation_f1", mean, prog_bar=True)

    def configure_optimizers(self) -> Any:
        configuration = self.configuration
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": list(self.network.encoder.parameters()),
                    "lr": configuration.encoder_rate,
                },
                {
                    "params": list(self.network.deep_head.parameters()),
                    "lr": configuration.head_rate,
                },
            ],
            weight_decay=configuration.weight_decay,
            fused=True,
        )
        warmup = max(1, round(configuration.warmup_share * self.total_steps))

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return max((self.total_steps - step) / max(self.total_steps - warmup, 1), 0.0)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = asdict(self.network.specification)


def train(
    work: Path,
    configuration: FinetuningConfiguration | None = None,
    *,
    threads: int | None = None,
    encoder_checkpoint: Path | None = None,
    teachers: Sequence[Path] = (),
) -> Path:
    """Fine-tune the pretrained encoder; resumes from the last chunk.

    Parameters
    ----------
    teachers
        Model folders whose mean answers are learned beside the labels.

    Returns
    -------
    Path of the last checkpoint; :func:`finished_network` makes a network of it.

    Raises
    ------
    MissingDataError
        If there is no pretrained encoder or a data set is missing.
    """
    configuration = configuration or FinetuningConfiguration()
    if threads:
        torch.set_num_threads(threads)
    L.seed_everything(configuration.seed, verbose=False)
    checkpoint = encoder_checkpoint or work / PRETRAINING / LAST
    if not checkpoint.is_file():
        raise MissingDataError(f"{checkpoint} is missing: run `maeum pretrain lyrics` first")
    specification = LyricModelSpecification()
    encoder, encoder_specification = load_encoder(checkpoint, dropout=specification.dropout)
    specification = replace(specification, encoder=encoder_specification)
    _fit_linear_part(work / CHECKPOINTS / linear_part.FILE, configuration, specification.ngrams)
    tokenizer = load_tokenizer(tokenizer_path(work))
    heads = [head for head, _ in specification.heads]
    teaching = None
    if teachers:
        texts = reviews(configuration.reviews, configuration.seed)
        asked = [*labelled_texts("train"), *texts]
        answers = kept_answers(work / CHECKPOINTS / TEACHERS, teachers, heads, asked)
        teaching = Teaching(
            texts, answers, configuration.teacher_share, configuration.prior_adjustment
        )
    training = build_examples("train", tokenizer, specification, teaching)
    validation = build_examples("validation", tokenizer, specification)
    priors = np.stack([training.prior(i) for i in range(len(SOURCES))])
    network = LyricNetwork(specification, encoder)
    module = ExampleModule(training, validation, configuration)
    model = Finetuning(network, configuration, priors, module.per_chunk * configuration.chunks)
    reached = run_chunks(model, module, work / CHECKPOINTS, configuration.chunks)
    if not configuration.settling_chunks:
        return reached
    settling = _settling(configuration)
    few = training.subset(settling_rows(training, configuration))
    module = ExampleModule(few, validation, settling)
    network = load_network(reached, training=True)
    model = Finetuning(network, settling, priors, module.per_chunk * settling.chunks)
    return run_chunks(model, module, work / CHECKPOINTS / SETTLING, settling.chunks)


def _fit_linear_part(
    path: Path, configuration: FinetuningConfiguration, ngrams: NgramSpecification
) -> None:
    """Fit and keep the linear part, unless an earlier start did."""
    if path.is_file() and len(linear_part.LinearPart.load(path).table) == ngrams.buckets:
        return
    texts, emotions, sources = decided_texts("train")
    print(f"linear part: {len(texts):,} texts", flush=True)
    weights = dict(configuration.linear_weights)
    factors = np.array([weights.get(source, 1.0) for source in SOURCES], dtype=np.float32)
    linear_part.fit(texts, emotions, factors[sources], ngrams).save(path)


def _settling(configuration: FinetuningConfiguration) -> FinetuningConfiguration:
    slower = configuration.settling_rate
    return replace(
        configuration,
        passes=1.0,
        chunks=configuration.settling_chunks,
        encoder_rate=slower * configuration.encoder_rate,
        head_rate=slower * configuration.head_rate,
    )


def settling_rows(examples: Examples, configuration: FinetuningConfiguration) -> NDArray[np.int64]:
    """Rows of the second stage: small sources several times, and some translated pairs."""
    small = np.isin(examples.sources, [SOURCES.index(name) for name in SMALL])
    pairs = np.flatnonzero(np.arange(len(examples)) < examples.partners)
    random = np.random.default_rng(configuration.seed)
    count = round(configuration.settling_pairs * len(pairs))
    chosen = random.choice(pairs, count, replace=False) if count else pairs[:0]
    copies = np.tile(np.flatnonzero(small), configuration.settling_copies)
    rows: NDArray[np.int64] = np.concatenate([copies, chosen, examples.partners[chosen]])
    return rows


def finished_network(work: Path) -> LyricNetwork:
    """The trained network without its linear part: between the ends of both stages.

    Settling on few texts forgets some of what the main stage knew. Weights between
    both ends keep most of either (Wortsman et al. 2022).

    Raises
    ------
    MissingDataError
        If the main stage did not end.
    """
    network = load_network(work / CHECKPOINTS / LAST)
    settled = work / CHECKPOINTS / SETTLING / LAST
    if settled.is_file():
        ends = network.state_dict(), load_network(settled).state_dict()
        between = {
            name: torch.lerp(value, ends[1][name], SETTLED) if value.is_floating_point() else value
            for name, value in ends[0].items()
        }
        network.load_state_dict(between)
    return network


def load_network(checkpoint: Path, *, training: bool = False) -> LyricNetwork:
    """The network of a fine-tuning checkpoint, without its linear part: that is joined later."""
    if not checkpoint.is_file():
        raise MissingDataError(f"{checkpoint} is missing: run `maeum train lyrics` first")
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    raw = content["specification"]
    specification = LyricModelSpecification(
        encoder=EncoderSpecification(**raw["encoder"]),
        ngrams=NgramSpecification(**raw["ngrams"]),
        heads=tuple((name, size) for name, size in raw["heads"]),
        dropout=raw["dropout"],
    )
    dropout = specification.dropout if training else 0.0
    network = LyricNetwork(specification, build_encoder(specification.encoder, dropout))
    prefix = "network."
    state: Iterator[tuple[str, Tensor]] = (
        (key.removeprefix(prefix), value)
        for key, value in content["state_dict"].items()
        if key.startswith(prefix)
    )
    network.load_state_dict(dict(state))
    return network.train(training)
