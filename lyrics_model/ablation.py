"""Ablations of the lyric branch at embedded scale: what helps, over seeds, on validation texts.

An encoder of a few million weights starts from nothing, is pretrained by
:func:`lyrics_model.dapt.adapt` and tuned by :func:`lyrics_model.tuning.tune`.
Every row of the table differs from the base in one thing. All rows share the
number of masked pieces seen in pretraining, the labelled texts of a source, the
passes over them, and the rule that chooses the best pass: the mean of the
macro-F1 of the six on the validation texts of KOTE and KPoEM.

Test texts are never read. A seed decides the first weights, the masks, which
texts are drawn where there is a limit, and their order.

Every finished run leaves its figures in ``work/runs``, in a file named by a hash
of all that decides them. The same call again makes only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from transformers import RobertaForMaskedLM

from data_prep.errors import InputError
from data_prep.labels import six_labels
from data_prep.metrics import constant_prediction, macro_f1
from data_prep.model_folder import checkout_commit, configuration_hash
from data_prep.readers import goemotions, kote, kpoem, nsmc
from data_prep.readers.row import TextRow
from data_prep.taxonomy import N_EMOTIONS
from lyrics_model.ablation_report import write_report
from lyrics_model.ablation_rows import (
    BASE,
    IN_ORDER,
    LINEAR_ALL,
    LINEAR_LIMITED,
    TESTS,
    VARIANTS,
    StageName,
    Variant,
)
from lyrics_model.backbone import save_folder
from lyrics_model.baseline import linear_classifier
from lyrics_model.dapt import DaptConfiguration, Stage, adapt
from lyrics_model.encoder import build_encoder
from lyrics_model.encoder_tokenizer import plain_tokenizer
from lyrics_model.normalisation import normalise
from lyrics_model.specification import EncoderSpecification
from lyrics_model.token_file import time_left, write_json
from lyrics_model.tokens import load_tokenizer, train_tokenizer
from lyrics_model.tuned_folder import read_answers
from lyrics_model.tuning import Say, tune
from lyrics_model.tuning_data import SourceRows, read_sources
from lyrics_model.tuning_figures import six_probabilities
from lyrics_model.tuning_specification import (
    LABEL_SETS,
    LabelSource,
    TuningConfiguration,
    TuningSpecification,
    label_sets_of,
    parse_sources,
)

RUNS: Final = "runs"
SOURCES: Final = parse_sources("kote,kpoem,goemotions-ko")
_READ: Final = ("train", "validation")
_EDITION: Final = 1
"""Of this file's rules: to be raised when they change, so that no earlier figure is taken."""

_SAMPLE_SEED: Final = 20_240
_CHARACTERS_PER_PIECE: Final = 3
"""More than any stage has, so that a text is seen once where there are enough."""


@dataclass(frozen=True)
class AblationSettings:
    """How large everything is.

    Attributes
    ----------
    seeds
        Runs of each row, with the seeds 0, 1, …
    steps
        Pretraining steps of all stages together, divided equally.
    epochs
        Passes over the labelled texts.
    limit
        Most training texts of each source.
    encoder
        Dimensions; ``max_tokens`` is also the length of blocks and of labelled texts.
    batch
        Blocks per pretraining step.
    pretraining_rate
        Highest learning rate of pretraining.
    tuning_batch
        Texts per tuning step.
    rate
        Learning rate of tuning the whole; a head alone has the default of ``tune``.
    """

    seeds: int = 3
    steps: int = 360
    epochs: int = 4
    limit: int = 1_500
    encoder: EncoderSpecification = field(
        default_factory=lambda: EncoderSpecification(
            vocab_size=8_000,
            hidden_size=128,
            layers=4,
            attention_heads=4,
            intermediate_size=384,
            max_tokens=64,
        )
    )
    batch: int = 16
    pretraining_rate: float = 2e-3
    tuning_batch: int = 16
    rate: float = 2e-3

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise InputError(f"--seeds {self.seeds}: an interval needs at least two seeds")
        if self.steps < len(IN_ORDER) or self.steps % len(IN_ORDER):
            raise InputError(
                f"--steps {self.steps}: expected a multiple of {len(IN_ORDER)}, "
                f"which that many stages share equally"
            )
        for name, count in (("--epochs", self.epochs), ("--limit", self.limit)):
            if count < 1:
                raise InputError(f"{name} {count}: expected at least 1")

    @property
    def pieces(self) -> int:
        """Pieces read in one pretraining, special tokens included."""
        return self.steps * self.batch * self.encoder.max_tokens

    def pretraining(self, stages: int, seed: int) -> DaptConfiguration:
        """How so many stages share the steps."""
        return DaptConfiguration(
            steps=self.steps // stages,
            block=self.encoder.max_tokens,
            batch=self.batch,
            accumulate=1,
            learning_rate=self.pretraining_rate,
            dropout=0.0,
            precision="32",
            held_out_share=0.02,
            held_out_blocks=64,
            overlap_words=0,
            seed=seed,
        )

    def tuning(self, variant: Variant, seed: int) -> TuningConfiguration:
        """How one row is tuned."""
        return TuningConfiguration(
            sources=_sources_of(variant),
            frozen=variant.frozen,
            learning_rate=None if variant.frozen else self.rate,
            batch=self.tuning_batch,
            epochs=self.epochs,
            patience=self.epochs,
            seed=seed,
        )


def study(
    out: Path,
    work: Path,
    settings: AblationSettings | None = None,
    *,
    threads: int | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Make the table, or what is missing of it.

    Parameters
    ----------
    out
        For ``lyric_ablation.json`` and ``lyric_ablation.md``.
    work
        For everything on the way; what is finished there is not made again.
    threads
        CPU threads of torch; its own default if ``None``.
    say
        Takes lines of progress.

    Returns
    -------
    The content of ``lyric_ablation.json``.

    Raises
    ------
    MissingDataError
        If a data set is not in the data folder.
    InputError
        If a data set cannot be read.
    """
    settings = settings or AblationSettings()
    if threads:
        torch.set_num_threads(threads)
    laboratory = _Laboratory(work, settings, threads, say)
    jobs = _jobs(laboratory)
    records = _finish(jobs, work / RUNS, say)
    return write_report(out, laboratory.describe(), records)


@dataclass(frozen=True)
class _Job:
    """One run: ``record`` says what it is, ``decided_by`` what its figures depend on."""

    kind: str
    row: str
    seed: int
    decided_by: dict[str, Any]
    make: Callable[[], dict[str, Any]]

    @property
    def key(self) -> str:
        """Names the file of its figures."""
        return configuration_hash(
            self.decided_by | {"kind": self.kind, "seed": self.seed, "edition": _EDITION}
        )

    def __str__(self) -> str:
        return f"{self.kind}, {self.row}, seed {self.seed}"


def _finish(jobs: Sequence[_Job], folder: Path, say: Say) -> list[dict[str, Any]]:
    """Records of all jobs, in order; only those that are missing are run."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {path.stem: _read_record(path) for path in folder.glob("*.json")}
    records: list[dict[str, Any]] = []
    made = sum(job.key in known for job in jobs)
    if made:
        say(f"{made} of {len(jobs)} runs are there already")
    for number, job in enumerate(jobs):
        if job.key not in known:
            say(f"run {number + 1} of {len(jobs)}: {job}")
            start = time.monotonic()
            figures = job.make()
            record = {
                "kind": job.kind,
                "seconds": time.monotonic() - start,
                "figures": figures,
                "commit": checkout_commit(),
                "decided_by": job.decided_by,
            }
            write_json(folder / f"{job.key}.json", record)
            known[job.key] = record
            left = _time_left([j for j in jobs[number + 1 :] if j.key not in known], known.values())
            say(f"run {number + 1} of {len(jobs)} took {record['seconds']:.0f} s; {left} left")
        # The row's name and seed are not part of what was kept: rows may share a run.
        records.append(known[job.key] | {"row": job.row, "seed": job.seed})
    return records


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; delete it to run it again") from error
    return content


def _time_left(jobs: Sequence[_Job], known: Iterable[dict[str, Any]]) -> str:
    """From the mean time of finished runs of the same kind."""
    times: dict[str, list[float]] = {}
    for record in known:
        times.setdefault(record["kind"], []).append(record["seconds"])
    unknown = any(job.kind not in times for job in jobs)
    seconds = sum(float(np.mean(times[job.kind])) for job in jobs if job.kind in times)
    return ("more than " if unknown else "about ") + time_left(seconds)


def _jobs(laboratory: _Laboratory) -> list[_Job]:
    """All runs, seed after seed, so that what was made first is a smaller table."""
    settings = laboratory.settings
    jobs: list[_Job] = []
    for seed in range(settings.seeds):
        pretrained = dict.fromkeys(v.stages for v in VARIANTS if v.stages)
        for stages in pretrained:
            jobs.append(
                _Job(
                    "pretraining",
                    ", ".join(stages),
                    seed,
                    laboratory.pretraining_identity(stages, seed),
                    partial(laboratory.pretraining_figures, stages, seed),
                )
            )
        for variant in VARIANTS:
            jobs.append(
                _Job(
                    "tuning",
                    variant.name,
                    seed,
                    laboratory.tuning_identity(variant, seed),
                    partial(laboratory.tune, variant, seed),
                )
            )
        identity = laboratory.linear_identity(settings.limit)
        jobs.append(
            _Job(
                "linear",
                LINEAR_LIMITED,
                seed,
                identity,
                partial(laboratory.linear, seed, settings.limit),
            )
        )
    jobs.append(
        _Job(
            "linear",
            LINEAR_ALL,
            0,
            laboratory.linear_identity(None),
            partial(laboratory.linear, 0, None),
        )
    )
    return jobs


class _Laboratory:
    """What the runs share: labelled rows, stage texts, vocabulary and encoders."""

    def __init__(
        self, work: Path, settings: AblationSettings, threads: int | None, say: Say
    ) -> None:
        self.work = work
        self.settings = settings
        self.threads = threads
        self.say = say
        self.rows = {part.source.name: part for part in read_sources(SOURCES, _READ)}
        self.stages = {
            name: self._stage(name, texts) for name, texts in self._stage_texts().items()
        }
        self.digests = {name: _file_digest(stage.path) for name, stage in self.stages.items()}
        self.row_digests = {name: _row_digest(part) for name, part in self.rows.items()}

    # Stages and encoders.

    def _stage_texts(self) -> dict[StageName, Iterable[str]]:
        """Texts of every stage, in the order in which they are taken."""
        labelled = [row.text for row in kote.read("train")]
        labelled += [row.text for row in goemotions.read("train", language="ko")]
        poems = [row.text for row in kpoem.read("train", unit="text")]
        reviews = [text for _, text in nsmc.iter_reviews()]
        return {"colloquial": reviews, "emotion": labelled, "lyrics": poems}

    def _stage(self, name: StageName, texts: Iterable[str]) -> Stage:
        """A stage's file: a fixed sample, as much as the steps can read."""
        drawn = list(texts)
        generator = np.random.default_rng([_SAMPLE_SEED, zlib.crc32(name.encode())])
        wanted = self.settings.pieces * _CHARACTERS_PER_PIECE
        lines: list[str] = []
        for place in generator.permutation(len(drawn)):
            if wanted <= 0:
                break
            line = normalise(drawn[place])
            if line:
                lines.append(line)
                wanted -= len(line)
        if not lines:
            raise InputError(f"there is no text for the stage {name!r}")
        content = "\n".join(lines) + "\n"
        folder = self.work / "stages"
        digest = hashlib.sha256(content.encode("utf-8")).hexdigest()[:8]
        path = folder / f"{name}-{digest}.txt"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_text(content, encoding="utf-8")
            partial.replace(path)
        return Stage(name, path)

    @cached_property
    def vocabulary(self) -> Path:
        """The tokenizer.json of word pieces, trained on all stage texts."""
        key = configuration_hash(
            {"stages": self.digests, "vocab_size": self.settings.encoder.vocab_size}
        )
        path = self.work / f"tokenizer-{key}.json"
        if not path.is_file():
            texts: list[str] = []
            for stage in self.stages.values():
                texts += stage.path.read_text(encoding="utf-8").splitlines()
            partial = path.with_suffix(".partial")
            train_tokenizer(texts, self.settings.encoder.vocab_size).save(str(partial))
            partial.replace(path)
        return path

    def fresh_encoder(self, seed: int) -> Path:
        """Folder of an encoder with random weights."""
        key = configuration_hash(self.encoder_identity(seed))
        folder = self.work / "encoders" / f"seed-{seed}-{key}"
        if not (folder / "config.json").is_file():
            backend = load_tokenizer(self.vocabulary)
            size = replace(self.settings.encoder, vocab_size=backend.get_vocab_size())
            configuration = build_encoder(size, dropout=0.1).config
            # BERT's 0.02 suits wider layers; here it would take thousands of steps until the
            # first token hears of the others.
            configuration.initializer_range = size.hidden_size**-0.5
            torch.manual_seed(seed)
            model = RobertaForMaskedLM(configuration)
            folder.parent.mkdir(parents=True, exist_ok=True)
            save_folder(model, plain_tokenizer(backend, size.max_tokens), folder)
        return folder

    def pretrain(self, stages: tuple[StageName, ...], seed: int) -> Path:
        """Folder of the encoder after some stages."""
        key = configuration_hash(self.pretraining_identity(stages, seed))
        return adapt(
            str(self.fresh_encoder(seed)),
            [self.stages[name] for name in stages],
            self.work / "pretrained" / f"seed-{seed}-{key}",
            self.settings.pretraining(len(stages), seed),
            threads=self.threads,
            say=self.say,
        )

    def pretraining_figures(self, stages: tuple[StageName, ...], seed: int) -> dict[str, Any]:
        """Perplexities after some stages, and how far each stage's text was read."""
        folder = self.pretrain(stages, seed)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return {
            "perplexity": report["stages"][-1]["perplexity"],
            "stages": [
                {name: stage[name] for name in ("name", "texts", "tokens", "steps", "passes")}
                for stage in report["stages"]
            ],
        }

    # Labelled texts and tuning.

    def labelled(self, labels: Sequence[str], seed: int, limit: int | None) -> list[SourceRows]:
        """Rows of the sources: training texts of ``labels``, validation texts of ``TESTS``.

        A source may have the one without the other. So every run is judged on the same
        texts, whatever it learned from.
        """
        found = []
        for name, part in self.rows.items():
            if name not in labels and name not in TESTS:
                continue
            train = part.rows["train"] if name in labels else []
            if limit is not None and len(train) > limit:
                generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
                chosen = np.sort(generator.choice(len(train), limit, replace=False))
                train = [train[i] for i in chosen]
            validation = part.rows["validation"] if name in TESTS else []
            rows: dict[str, list[TextRow]] = {"train": train, "validation": validation, "test": []}
            found.append(replace(part, rows=rows))
        return found

    def tune(self, variant: Variant, seed: int) -> dict[str, Any]:
        """Figures of one row and seed."""
        if variant.stages:
            encoder = self.pretrain(variant.stages, seed)
        else:
            encoder = self.fresh_encoder(seed)
        specification = TuningSpecification(
            encoder=str(encoder),
            head=variant.head,
            label_sets=label_sets_of(_sources_of(variant)),
            max_tokens=self.settings.encoder.max_tokens,
            normalisation="nfc-lower-fold3",
            dropout=0.0,
        )
        configuration = self.settings.tuning(variant, seed)
        folder = tune(
            specification,
            configuration,
            self.work,
            read=lambda _: self.labelled(variant.labels, seed, self.settings.limit),
            threads=self.threads,
            say=self.say,
        )
        answers = read_answers(folder)
        figures: dict[str, Any] = {}
        for number, source in enumerate(configuration.sources):
            scored = (answers.sources == number) & (answers.six >= 0)
            if source.name in TESTS and scored.any():
                six = six_probabilities(answers.logits[scored], specification, source.label_set)
                figures[source.name] = macro_f1(answers.six[scored], six.argmax(1), N_EMOTIONS)
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        training = metrics["training"]
        shutil.rmtree(folder)
        return {
            "macro_f1": figures,
            "best_pass": training["best_pass"],
            "steps": training["steps"],
            "trained_parameters": training["trained_parameters"],
            "parameters": training["parameters"],
            "texts": {name: metrics["texts"][name]["train"] for name in metrics["texts"]},
        }

    def linear(self, seed: int, limit: int | None) -> dict[str, Any]:
        """Figures of the linear model on the training texts of the base."""
        texts: list[str] = []
        labels: list[int] = []
        for part in self.labelled(BASE.labels, seed, limit):
            own_texts, own_labels = _with_one_emotion(part, "train")
            texts += own_texts
            labels += own_labels
        classify = linear_classifier(texts, np.array(labels, dtype=np.int64))
        figures = {}
        for name in TESTS:
            test_texts, reference = _with_one_emotion(self.rows[name], "validation")
            answer = classify(test_texts).argmax(axis=1)
            figures[name] = macro_f1(np.array(reference), answer, N_EMOTIONS)
        return {"macro_f1": figures, "texts": len(texts)}

    def constant(self) -> dict[str, float]:
        """Macro-F1 of the most frequent emotion of each source's training texts."""
        figures: dict[str, float] = {}
        for name in TESTS:
            _, trained = _with_one_emotion(self.rows[name], "train")
            _, reference = _with_one_emotion(self.rows[name], "validation")
            answer = constant_prediction(np.array(trained), len(reference))
            figures[name] = macro_f1(np.array(reference), answer, N_EMOTIONS)
        return figures

    # What decides a run.

    def encoder_identity(self, seed: int) -> dict[str, Any]:
        """Of an encoder with random weights."""
        return {"encoder": asdict(self.settings.encoder), "stages": self.digests, "seed": seed}

    def pretraining_identity(self, stages: tuple[StageName, ...], seed: int) -> dict[str, Any]:
        """Of an encoder after some stages."""
        configuration = asdict(self.settings.pretraining(len(stages), seed)) if stages else None
        return {
            "start": self.encoder_identity(seed),
            "order": list(stages),
            "pretraining": configuration,
        }

    def tuning_identity(self, variant: Variant, seed: int) -> dict[str, Any]:
        """Of one row and seed."""
        configuration = asdict(self.settings.tuning(variant, seed))
        del configuration["sources"]
        return self.pretraining_identity(variant.stages, seed) | {
            "head": variant.head,
            "labels": list(variant.labels),
            "limit": self.settings.limit,
            "rows": self.row_digests,
            "tuning": configuration,
        }

    def linear_identity(self, limit: int | None) -> dict[str, Any]:
        """Of a linear model."""
        return {"limit": limit, "rows": self.row_digests, "labels": list(BASE.labels)}

    def describe(self) -> dict[str, Any]:
        """What the report says of the study as a whole."""
        settings = self.settings
        return {
            "command": (
                f"maeum study lyrics --seeds {settings.seeds} --steps {settings.steps} "
                f"--epochs {settings.epochs} --limit {settings.limit}"
            ),
            "settings": asdict(settings) | {"pieces": settings.pieces},
            "seeds": list(range(settings.seeds)),
            "stages": {
                name: len(stage.path.read_text(encoding="utf-8").splitlines())
                for name, stage in self.stages.items()
            },
            "texts": {
                name: {split: len(part.rows[split]) for split in _READ}
                for name, part in self.rows.items()
            },
            "scored": {
                name: len(_with_one_emotion(self.rows[name], "validation")[0]) for name in TESTS
            },
            "constant": self.constant(),
            "commit": checkout_commit(),
        }


def _sources_of(variant: Variant) -> tuple[LabelSource, ...]:
    """Sources that a run reads: those it learns from, and those it is judged on."""
    return tuple(s for s in SOURCES if s.name in variant.labels or s.name in TESTS)


def _with_one_emotion(part: SourceRows, split: str) -> tuple[list[str], list[int]]:
    """Texts of a split with one strongest emotion, and that emotion 0..5."""
    rows = [row for row in part.rows[split] if normalise(row.text)]
    labels = six_labels(np.stack([row.shares for row in rows]), LABEL_SETS[part.source.name])
    kept = [(row.text, int(label)) for row, label in zip(rows, labels, strict=True) if label >= 0]
    return [text for text, _ in kept], [label for _, label in kept]


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _row_digest(part: SourceRows) -> str:
    digest = hashlib.sha256()
    for split in _READ:
        for row in part.rows[split]:
            digest.update(f"{split}\t{row.text}\t".encode() + row.shares.tobytes())
    return digest.hexdigest()[:16]
