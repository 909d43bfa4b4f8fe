"""Domain-adaptive pretraining (DAPT, Gururangan et al. 2020): masked words, stage after stage.

An encoder goes on with masked-language modelling on one domain's text after the
other (lyrics, then colloquial text, then emotion text), each stage with its own
AdamW, linear warm-up and linear decay. The vocabulary head runs on the chosen
positions only. Before the first stage and after every one, each domain's perplexity
is measured on its held-out texts, so that what is gained on one domain and
forgotten on another can both be seen.

Perplexity is exp of the mean cross-entropy of chosen pieces: single pieces, 15% of
them, all masked, the same ones every time. It compares states of one vocabulary,
not encoders of different ones.

A run can be killed at any time. It goes on from its last checkpoint and gives the
same losses as an uninterrupted one: order, masks and dropout depend on (seed,
stage, step) alone (:mod:`lyrics_model.masked_text`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from data_prep.errors import InputError
from lyrics_model.backbone import (
    MaskedLanguageModel,
    encoder_folder,
    load_masked_lm,
    save_folder,
)
from lyrics_model.chunked_run import LAST
from lyrics_model.dapt_configuration import DaptConfiguration, Order, Precision, Stage
from lyrics_model.dapt_report import DaptReport, StageFigures, write_report
from lyrics_model.domains import VocabularyOverlap, compare_domains, read_overlap, write_overlap
from lyrics_model.masked_text import Blocks, EvaluationBatches, masking_for
from lyrics_model.masked_training import MaskedTraining, StageData, StageLine, quiet_lightning
from lyrics_model.token_file import TokenFile, file_identity, tokenise_file, write_json

__all__ = ["DaptConfiguration", "Order", "Precision", "Stage", "adapt"]

_RUN: Final = "run.json"
_FIGURES: Final = "figures.json"
_BEFORE: Final = "before.json"
_MUCH_UNKNOWN: Final = 0.05


def adapt(
    encoder: str,
    stages: Sequence[Stage],
    out: Path,
    configuration: DaptConfiguration | None = None,
    *,
    threads: int | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Adapt an encoder to domains; goes on where an interrupted run was.

    Parameters
    ----------
    encoder
        Hub name or local folder.
    stages
        One or more domains, of different names.
    out
        For the adapted encoder (config.json, model.safetensors, tokenizer files), the
        report (report.json, report.md, figures as PNG), ``stages/NUMBER-NAME`` (the
        encoder after each stage but the last) and ``work`` (pieces, checkpoints, logs).
    threads
        CPU threads of torch; its own default if ``None``.

    Returns
    -------
    ``out``, which :func:`lyrics_model.backbone.load_backbone` reads.

    Raises
    ------
    MissingDataError
        If the encoder has to be fetched and the hub cannot be reached.
    InputError
        If the encoder or a text cannot be used, or ``out`` holds another run.
    """
    configuration = configuration or DaptConfiguration()
    _check_names(stages)
    if threads:
        torch.set_num_threads(threads)
    source = encoder_folder(encoder)
    _claim(out, _identity(source, stages, configuration))
    if (out / "report.json").is_file() and (out / "config.json").is_file():
        say(f"{out} is finished already")
        return out
    run = _Run(encoder, out, configuration, say)
    language_model = run.load(source)
    run.prepare(language_model, stages)
    if language_model.fresh_head:
        say(
            f"{encoder} comes without a vocabulary head: it starts with a fresh one, so its "
            "first perplexities say nothing about the encoder"
        )
    overlap = run.overlap(stages)
    with quiet_lightning():
        before = run.before(language_model)
        figures = [run.stage(number, language_model) for number in range(len(run.stages))]
    report = DaptReport(
        encoder=encoder,
        fresh_head=run.fresh_head,
        device=run.device,
        precision=run.precision,
        block=run.block,
        configuration=asdict(configuration),
        before=before,
        stages=tuple(figures),
    )
    write_report(report, overlap, out)
    say(f"adapted encoder and report: {out}")
    return out


class _Run:
    """What the stages of one run share."""

    def __init__(
        self,
        encoder: str,
        out: Path,
        configuration: DaptConfiguration,
        say: Callable[[str], None],
    ) -> None:
        self.encoder = encoder
        self.out = out
        self.configuration = configuration
        self.say = say
        self.work = out / "work"
        on_cuda = torch.cuda.is_available()
        wanted = configuration.precision
        half = wanted == "bf16" or (wanted == "auto" and on_cuda and torch.cuda.is_bf16_supported())
        self.precision: Any = "bf16-mixed" if half else "32-true"
        self.device = torch.cuda.get_device_name() if on_cuda else "CPU"
        self.stages: list[Stage] = []
        self.block = 0
        self.fresh_head = False

    def load(self, folder: Path) -> MaskedLanguageModel:
        """The model of a folder; a fresh head is the same one every time."""
        torch.manual_seed(self.configuration.seed)
        return load_masked_lm(str(folder), dropout=self.configuration.dropout)

    def prepare(self, language_model: MaskedLanguageModel, stages: Sequence[Stage]) -> None:
        """Cut all texts into pieces, put the stages in order, read off what blocks need."""
        configuration = self.configuration
        tokenizer: Any = language_model.tokenizer
        self.fresh_head = language_model.fresh_head
        self.block = min(configuration.block, language_model.max_tokens)
        if self.block < configuration.block:
            self.say(f"blocks of {self.block} pieces, which is all that {self.encoder} takes")
        self.masking = masking_for(
            tokenizer, share=configuration.masked_share, whole_words=configuration.whole_words
        )
        self.ends = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
        self.files: dict[str, TokenFile] = {}
        for stage in stages:
            found = tokenise_file(
                stage.path,
                self.work / "pieces" / stage.name,
                tokenizer,
                held_out_share=configuration.held_out_share,
                seed=configuration.seed,
                say=self.say,
            )
            if not found.counts.tokens:
                raise InputError(f"{stage.path}: all its texts were held out; it needs more text")
            self.files[stage.name] = found
            counts = found.counts
            self.say(
                f"{stage.name}: {counts.texts:,} texts, {counts.tokens:,} pieces; "
                f"{counts.held_out_texts:,} texts held out"
            )
            if found.unknown_share > _MUCH_UNKNOWN:
                self.say(
                    f"{stage.name}: the encoder's vocabulary does not know "
                    f"{found.unknown_share:.0%} of its pieces; another encoder may suit it better"
                )
        self.stages = list(stages)
        if configuration.order == "largest-first":
            self.stages.sort(key=lambda stage: -self.files[stage.name].counts.tokens)

    def overlap(self, stages: Sequence[Stage]) -> VocabularyOverlap | None:
        """Vocabulary overlap between the domains, if there are several."""
        if len(stages) < 2 or not self.configuration.overlap_words:
            return None
        found = read_overlap(self.out)
        if found is None:
            found = compare_domains(
                {stage.name: stage.path for stage in stages},
                size=self.configuration.overlap_words,
                say=self.say,
            )
            write_overlap(found, self.out)
        return found

    def before(self, language_model: MaskedLanguageModel) -> dict[str, float]:
        """Perplexities of the encoder as it came."""
        path = self.work / _BEFORE
        if not path.is_file():
            module = MaskedTraining(language_model.model, self.configuration, steps=1, stage=0)
            write_json(path, self.perplexities(module, self._trainer(self.work)))
        found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        self.say(f"perplexity before: {_listed(found)}")
        return found

    def stage(self, number: int, first: MaskedLanguageModel) -> StageFigures:
        """Run one stage, or read the figures of one that is finished.

        ``first`` is the encoder as it came, which stage 0 trains.
        """
        stage = self.stages[number]
        folder = self.work / "stages" / f"{number + 1}-{stage.name}"
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _FIGURES).is_file():
            content = json.loads((folder / _FIGURES).read_text(encoding="utf-8"))
            return StageFigures(**content | {"losses": tuple(content["losses"])})
        language_model = self.load(self.folder_after(number - 1)) if number else first
        blocks = self._blocks(self.files[stage.name].training)
        steps = self._steps(len(blocks))
        module = MaskedTraining(language_model.model, self.configuration, steps=steps, stage=number)
        # transformers loads in evaluation mode, and Lightning leaves the mode alone.
        module.train()
        last = folder / LAST
        per_checkpoint = self.configuration.steps_per_checkpoint
        trainer = self._trainer(
            folder,
            max_epochs=-(-steps // per_checkpoint),
            callbacks=[
                StageLine(stage.name, self.say),
                ModelCheckpoint(
                    dirpath=folder,
                    filename=last.stem,
                    save_top_k=1,
                    every_n_epochs=1,
                    save_on_train_epoch_end=True,
                    enable_version_counter=False,
                ),
            ],
            logger=TensorBoardLogger(self.work / "tensorboard", name="", version=folder.name),
        )
        trainer.fit(
            module,
            datamodule=StageData(blocks, self.masking, module),
            ckpt_path=str(last) if last.exists() else None,
            weights_only=True,
        )
        perplexity = self.perplexities(module, self._trainer(folder))
        self.say(f"perplexity after {stage.name}: {_listed(perplexity)}")
        save_folder(language_model.model, language_model.tokenizer, self.folder_after(number))
        counts = self.files[stage.name].counts
        per_step = self.configuration.batch * self.configuration.accumulate
        figures = StageFigures(
            name=stage.name,
            file=stage.path.name,
            texts=counts.texts,
            held_out_texts=counts.held_out_texts,
            tokens=counts.tokens,
            unknown_share=self.files[stage.name].unknown_share,
            malformed_lines=counts.malformed,
            steps=steps,
            passes=steps * per_step / len(blocks),
            seconds=module.seconds,
            perplexity=perplexity,
            losses=tuple(module.losses),
        )
        write_json(folder / _FIGURES, asdict(figures))
        last.unlink(missing_ok=True)
        return figures

    def folder_after(self, number: int) -> Path:
        """Where the encoder is after a stage: ``out`` itself after the last."""
        if number == len(self.stages) - 1:
            return self.out
        return self.out / "stages" / f"{number + 1}-{self.stages[number].name}"

    def perplexities(self, module: MaskedTraining, trainer: L.Trainer) -> dict[str, float]:
        """Perplexity of every domain that has held-out text."""
        loaders = []
        names = []
        for stage in self.stages:
            held_out = self.files[stage.name].held_out
            if not len(held_out):
                self.say(f"{stage.name}: no text held out, so no perplexity")
                continue
            batches = EvaluationBatches(
                self._blocks(held_out),
                self.masking,
                batch=self.configuration.batch,
                seed=self.configuration.seed,
                # By name, so that runs of another order measure the same pieces.
                domain=zlib.crc32(stage.name.encode()),
                most=self.configuration.held_out_blocks,
            )
            loaders.append(DataLoader(batches, batch_size=None, num_workers=0))
            names.append(stage.name)
        if not loaders:
            return {}
        trainer.validate(module, dataloaders=loaders, verbose=False)
        return {names[number]: value for number, value in module.take_perplexities().items()}

    def _steps(self, blocks: int) -> int:
        configuration = self.configuration
        if configuration.steps is not None:
            return configuration.steps
        assert configuration.passes is not None, "the configuration has one of the two"
        per_step = configuration.batch * configuration.accumulate
        return max(1, round(configuration.passes * blocks / per_step))

    def _blocks(self, pieces: Any) -> Blocks:
        begin, end, padding = self.ends
        return Blocks(pieces, self.block, begin, end, padding)

    def _trainer(
        self,
        folder: Path,
        *,
        max_epochs: int = 1,
        callbacks: list[L.Callback] | None = None,
        logger: Any = False,
    ) -> L.Trainer:
        return L.Trainer(
            max_epochs=max_epochs,
            accumulate_grad_batches=self.configuration.accumulate,
            precision=self.precision,
            gradient_clip_val=1.0,
            accelerator="auto",
            devices=1,
            reload_dataloaders_every_n_epochs=1,
            default_root_dir=str(folder),
            callbacks=callbacks,
            logger=logger,
            enable_checkpointing=callbacks is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
        )


def _check_names(stages: Sequence[Stage]) -> None:
    if not stages:
        raise InputError("there is nothing to adapt to: give at least one --stage NAME=FILE")
    names = [stage.name for stage in stages]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two stages are called {twice[0]}: give each its own name")
    for stage in stages:
        if not stage.path.is_file():
            raise InputError(f"stage {stage.name}: {stage.path} is no file")


def _identity(
    source: Path, stages: Sequence[Stage], configuration: DaptConfiguration
) -> dict[str, Any]:
    parts = [path for path in sorted(source.iterdir()) if path.suffix in (".safetensors", ".bin")]
    return {
        "encoder": {path.name: file_identity(path) for path in (source / "config.json", *parts)},
        "stages": [[stage.name, file_identity(stage.path)] for stage in stages],
        "configuration": asdict(configuration),
    }


def _claim(out: Path, identity: dict[str, Any]) -> None:
    """Make ``out`` this run's folder; refuse it if it is another's."""
    path = out / _RUN
    if path.is_file():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            earlier = {}
        if earlier == identity:
            return
        raise InputError(
            f"{out} holds another run ({_difference(earlier, identity)}): give another --out, "
            "or delete it to begin anew"
        )
    if (out / "config.json").exists():
        raise InputError(f"{out} holds a model that is not of this command: give another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, identity)


def _difference(earlier: dict[str, Any], now: dict[str, Any]) -> str:
    if earlier.get("encoder") != now["encoder"]:
        return "of another encoder"
    there = [name for name, _ in earlier.get("stages", [])]
    if there != [name for name, _ in now["stages"]]:
        return f"of the stages {', '.join(there)}"
    for before, after in zip(earlier["stages"], now["stages"], strict=True):
        if before != after:
            return f"{after[0]} is another text there"
    settings = earlier.get("configuration", {})
    return ", ".join(
        f"{name} {settings.get(name)} there, {value} here"
        for name, value in now["configuration"].items()
        if settings.get(name) != value
    )


def _listed(perplexities: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:,.2f}" for name, value in perplexities.items()) or "none"
