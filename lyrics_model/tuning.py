"""Fine-tuning of any encoder on native labels, whole, through adapters, or its head alone.

A run has a folder of its own below ``work/tuning``, named by a hash of what
decides its result: specification, configuration, the encoder's weights and the
texts. The same call again goes on from the last checkpoint, or gives the
finished folder. What is kept is the pass with the best validation figure, the
mean over sources of the macro-F1 of the six.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from torch import nn

from data_prep.errors import InputError, MissingExtraError
from data_prep.model_folder import checkout_commit, configuration_hash
from lyrics_model.adapters import add_adapter, check_adapter, merge_adapter
from lyrics_model.backbone import Backbone, load_backbone
from lyrics_model.feature_cache import FeatureCache, weights_digest
from lyrics_model.heads import Head, TunedNetwork
from lyrics_model.masked_training import quiet_lightning
from lyrics_model.resource_use import ResourceUse, count_parameters
from lyrics_model.text_encoding import TextEncoding
from lyrics_model.tuned_folder import (
    METRICS,
    ValidationAnswers,
    fold_name,
    new_network,
    read_tuned,
    save_tuned,
    tokenizer_of,
    write_metrics,
)
from lyrics_model.tuned_folder import load_tuned as load_tuned
from lyrics_model.tuning_batches import TuningBatches
from lyrics_model.tuning_data import (
    SourceRows,
    TuningData,
    build_data,
    check_sources,
    choose_training,
    describe,
    fold_data,
    label_weights,
    read_sources,
)
from lyrics_model.tuning_figures import interval_of_mean, split_figures
from lyrics_model.tuning_module import WATCHED, Tuning, each_once
from lyrics_model.tuning_specification import HeadName as HeadName
from lyrics_model.tuning_specification import (
    LabelSource,
    TuningConfiguration,
    TuningSpecification,
)

FOLDER: Final = "tuning"
FEATURES: Final = "features"
_CHECKPOINTS: Final = "checkpoints"
_LOGGED_EVERY: Final = 10
_LAST: Final = "last.ckpt"
_BEST: Final = "best.ckpt"
_NOT_DECISIVE: Final = ("wandb", "steps_per_part")

Say = Callable[[str], None]


def tune(
    specification: TuningSpecification,
    configuration: TuningConfiguration,
    work: Path,
    *,
    read: Callable[[tuple[LabelSource, ...]], list[SourceRows]] | None = None,
    threads: int | None = None,
    say: Say = print,
) -> Path:
    """Tune an encoder, or go on with it, or find that it is done.

    Parameters
    ----------
    specification, configuration
        What is tuned, and how.
    work
        Folder for everything on the way; results lie below ``work/tuning``.
    read
        Gives the rows of the sources; all that they hold if ``None``.
    threads
        CPU threads of torch; its own default if ``None``.
    say
        Takes lines of progress.

    Returns
    -------
    The run's folder, as :mod:`lyrics_model.tuned_folder` describes it; for a
    cross-validation, a folder with one such folder per fold and the figures of
    all in its ``metrics.json``.

    Raises
    ------
    MissingDataError
        If the encoder, a data set or a file is not there.
    MissingExtraError
        If an adapter or logger needs packages that are not installed.
    InputError
        If options do not fit together, nothing is left to train or validate on,
        or training diverges.
    """
    if getattr(rank_zero_only, "rank", 0):
        say = _nothing  # one process of several tells
    check_sources(configuration.sources, specification.label_sets)
    check_adapter(configuration.adapter)
    _check_wandb(configuration)
    if threads:
        torch.set_num_threads(threads)
    backbone = _backbone(specification, configuration)
    if specification.max_tokens > backbone.max_tokens:
        say(f"{backbone.name} reads {backbone.max_tokens} tokens: longer texts are cut there")
        specification = replace(specification, max_tokens=backbone.max_tokens)
    encoding = encoding_of(backbone, specification)
    data = build_data((read or read_sources)(configuration.sources), specification, encoding)
    digest = weights_digest(backbone.model)
    folder = work / FOLDER / _run_hash(specification, configuration, digest, data)
    if (folder / METRICS).is_file():
        say(f"{folder} is there already")
        return folder
    for remark in data.remarks:
        say(remark)
    say(f"encoder {digest}, {len(data):,} texts, on {_device_name()} → {folder}")
    run = _Run(specification, configuration, encoding, backbone, digest, work / FOLDER, say)
    if not configuration.folds:
        run.train(choose_training(data, specification, configuration), folder)
        return folder
    figures = []
    for number, fold in enumerate(fold_data(data, configuration.folds, configuration.seed)):
        say(f"fold {number + 1} of {configuration.folds}")
        chosen = choose_training(fold, specification, configuration)
        chosen = replace(chosen, test=chosen.test[:0])  # measured once, by the chosen recipe
        own = folder / fold_name(number)
        figures.append(run.train(chosen, own))
    if figures and all(entry is not None for entry in figures):
        summary = fold_summary([entry for entry in figures if entry is not None])
        write_metrics(folder, summary)
        mean = summary["mean"]["mean_six_macro_f1"]
        low, high = mean["interval"]
        say(
            f"macro-F1 of the six over {len(figures)} folds: {mean['mean']:.3f} "
            f"({low:.3f} to {high:.3f})"
        )
    return folder


class _Run:
    """What all trainings of one call share."""

    def __init__(
        self,
        specification: TuningSpecification,
        configuration: TuningConfiguration,
        encoding: TextEncoding,
        backbone: Backbone,
        digest: str,
        work: Path,
        say: Say,
    ) -> None:
        self.specification = specification
        self.configuration = configuration
        self.encoding = encoding
        self.digest = digest
        self.work = work
        self.say = say
        self._backbone: Backbone | None = backbone
        self.hidden_size = backbone.hidden_size
        self.layers = backbone.layers

    def train(self, data: TuningData, folder: Path) -> dict[str, Any] | None:
        """Train, judge and save one network.

        Returns
        -------
        Its figures; ``None`` in processes that only help with the training.
        """
        if (folder / METRICS).is_file():
            return read_tuned(folder).metrics
        _check_trainable(data)
        folder.mkdir(parents=True, exist_ok=True)
        configuration = self.configuration
        caches = self._caches(data) if configuration.frozen else None
        model = self._model()
        batches = TuningBatches(data, configuration, self.encoding.pad_id, caches)
        weights = None
        if configuration.balance == "weights":
            weights = label_weights(data, self.specification)
        together = configuration.devices * configuration.nodes
        steps = max(1, batches.per_pass * configuration.epochs // together)
        module = Tuning(
            model,
            self.specification,
            configuration,
            data,
            label_weights=weights,
            total_steps=steps,
        )
        trained, _ = count_parameters(model)
        use = ResourceUse()
        with quiet_lightning():
            helping = self._fit(module, batches, folder, use)
        if helping:
            return None
        best, last = (_checkpoint(folder / _CHECKPOINTS / name) for name in (_BEST, _LAST))
        del module, model
        network = self._finished(best["state_dict"])
        judged: nn.Module = network.head if configuration.frozen else network
        metrics: dict[str, Any] = {
            "validation": {},
            "test": {},
            "training": use.figures()
            | {
                "trained_parameters": trained,
                "parameters": count_parameters(network)[1],
                "steps": int(last["global_step"]),
                "passes": (int(last["epoch"]) + 1) / batches.parts,
                "best_pass": int(best["epoch"]) // batches.parts + 1,
                "device": _device_name(),
            },
            "texts": describe(data),
            "remarks": list(data.remarks),
            "encoder_weights": self.digest,
            "commit": checkout_commit(),
        }
        answers: ValidationAnswers | None = None
        for split in ("validation", "test"):
            index = getattr(data, split)
            if not len(index):
                continue
            index, logits = self._score(judged, data, batches, index)
            metrics[split] = split_figures(
                logits, index, data, self.specification, seed=configuration.seed
            )
            if split == "validation":
                answers = ValidationAnswers(logits, data.six[index], data.sources[index])
        assert answers is not None, "there are validation texts"
        save_tuned(
            folder,
            network,
            self.specification,
            configuration,
            self.encoding,
            answers,
            data.provenance,
            metrics,
        )
        shutil.rmtree(folder / _CHECKPOINTS)
        reached = metrics["validation"]["mean_six_macro_f1"]
        self.say(
            f"best pass {metrics['training']['best_pass']}: macro-F1 of the six {reached:.3f} "
            f"on validation texts → {folder}"
        )
        return metrics

    def _fit(self, module: Tuning, batches: TuningBatches, folder: Path, use: ResourceUse) -> bool:
        """Train to the end; tells whether this process only helped."""
        configuration = self.configuration
        last = folder / _CHECKPOINTS / _LAST
        if last.is_file() and _has_stopped(last):
            use.load_state_dict(_checkpoint(last)["callbacks"][use.state_key])
            return False
        keep: dict[str, Any] = {
            "dirpath": last.parent,
            "save_top_k": 1,
            "enable_version_counter": False,
        }
        callbacks: list[L.Callback] = [
            ModelCheckpoint(
                filename=Path(_BEST).stem,
                monitor=WATCHED,
                mode="max",
                save_weights_only=True,
                save_on_train_epoch_end=False,
                **keep,
            ),
            EarlyStopping(
                WATCHED, mode="max", patience=configuration.patience, check_on_train_epoch_end=False
            ),
            use,
            _Report(batches.parts, self.say),
            ModelCheckpoint(filename=Path(_LAST).stem, save_on_train_epoch_end=True, **keep),
        ]
        trainer = L.Trainer(
            max_epochs=configuration.epochs * batches.parts,
            check_val_every_n_epoch=batches.parts,
            reload_dataloaders_every_n_epochs=1,
            gradient_clip_val=1.0,
            accelerator="auto",
            devices=configuration.devices,
            num_nodes=configuration.nodes,
            strategy=configuration.strategy,
            precision=cast(Any, configuration.precision),
            default_root_dir=str(folder),
            callbacks=callbacks,
            logger=_loggers(folder, configuration),
            log_every_n_steps=min(_LOGGED_EVERY, batches.smallest_part),
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
        )
        trainer.fit(
            module,
            datamodule=batches,
            ckpt_path=str(last) if last.is_file() else None,
            weights_only=True,
        )
        return not trainer.is_global_zero

    def _model(self) -> nn.Module:
        """What is trained: encoder and head, or the head alone."""
        configuration = self.configuration
        L.seed_everything(configuration.seed, verbose=False)
        if configuration.frozen:
            return self._fresh_head()
        backbone = self._take_backbone()
        compute = torch.bfloat16 if configuration.precision.startswith("bf16") else torch.float32
        encoder = add_adapter(
            backbone.model, configuration.adapter, configuration.rank, compute=compute
        )
        L.seed_everything(configuration.seed, verbose=False)
        return TunedNetwork(encoder, self._fresh_head()).train()

    def _finished(self, state: dict[str, torch.Tensor]) -> TunedNetwork:
        """The network under the trained weights, adapters added in."""
        configuration = self.configuration
        backbone = self._take_backbone()
        encoder: nn.Module = backbone.model
        if configuration.adapter != "none":
            # Added into the weights as they are, not as four bits hold them.
            encoder = add_adapter(encoder, "lora", configuration.rank)
        network = TunedNetwork(encoder, self._fresh_head())
        part: nn.Module = network.head if configuration.frozen else network
        own = {name.removeprefix("model."): value for name, value in state.items()}
        unknown = part.load_state_dict(own, strict=False).unexpected_keys
        assert not unknown, f"the checkpoint fits the model: {unknown[:3]}"
        if configuration.adapter != "none":
            network.encoder = merge_adapter(network.encoder)
        return network.eval()

    def _score(
        self,
        model: nn.Module,
        data: TuningData,
        batches: TuningBatches,
        index: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions and logits of some texts."""
        module = Tuning(
            model, self.specification, self.configuration, data, label_weights=None, total_steps=1
        )
        with quiet_lightning():
            trainer = L.Trainer(
                accelerator="auto",
                devices=1,
                precision="32-true",  # as it is saved and served
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            answers = trainer.predict(module, dataloaders=batches.scoring(index))
        return each_once(cast(Any, answers))

    def _caches(self, data: TuningData) -> list[FeatureCache]:
        """Features of all texts of the data, computed where they are missing."""
        specification = self.specification
        wanted = np.concatenate([data.train, data.validation, data.test])
        key = f"{self.digest} {specification.head} {specification.max_tokens}"
        head = self._fresh_head()
        vectors = None if head.keeps_tokens else 3 if head.reads_layers else 1
        caches = []
        missing = False
        for number in range(len(data.names)):
            own = data.of_source(np.arange(len(data)), number)
            caches.append(
                FeatureCache(
                    self.work / FEATURES,
                    key,
                    [data.pieces[i] for i in own],
                    vectors=vectors,
                    hidden_size=self.hidden_size,
                )
            )
            positions = data.positions[data.of_source(wanted, number)]
            missing = missing or bool(len(caches[-1].missing(positions)))
        if not missing:
            return caches
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = TunedNetwork(self._take_backbone().model, head)
        for number, cache in enumerate(caches):
            positions = data.positions[data.of_source(wanted, number)]
            cache.fill(
                network,
                positions,
                self.encoding.pad_id,
                what=data.names[number],
                device=device,
                say=self.say,
            )
        return caches

    def _fresh_head(self) -> Head:
        return new_network(
            nn.Identity(), self.specification, hidden_size=self.hidden_size, layers=self.layers
        ).head

    def _take_backbone(self) -> Backbone:
        """The encoder with its own weights; loaded anew for every use but the first."""
        backbone, self._backbone = self._backbone, None
        return backbone or _backbone(self.specification, self.configuration)


class _Report(L.Callback):
    """Says after every part what was reached and how much time is left at most."""

    def __init__(self, parts: int, say: Say) -> None:
        self._parts = parts
        self._say = say
        self._started = 0.0
        self._first = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Time is counted from here, also in a resumed run."""
        self._started = time.monotonic()
        self._first = trainer.current_epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say it."""
        done = trainer.current_epoch + 1
        total = trainer.max_epochs or done
        each = (time.monotonic() - self._started) / (done - self._first)
        left = round(each * (total - done))
        names = sorted(name for name in trainer.callback_metrics if name.endswith("_f1"))
        reached = ""
        if done % self._parts == 0:
            reached = ": " + ", ".join(
                f"{name} {float(trainer.callback_metrics[name]):.3f}" for name in names
            )
        if trainer.is_global_zero:
            self._say(
                f"pass {done / self._parts:.3g} of {total // self._parts}, "
                f"at most {left // 60} min {left % 60:02d} s left{reached}"
            )


def fold_summary(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of a cross-validation: each fold's, and their means with intervals.

    Parameters
    ----------
    figures
        ``metrics.json`` of each fold.

    Returns
    -------
    ``folds``: the validation figures of each; ``mean``: figure → ``mean``,
    ``interval`` (Student's, 95%) and ``folds``, over the folds that have it.
    """
    values: dict[str, list[float]] = {}
    for entry in figures:
        for name, value in _flat(entry["validation"]).items():
            values.setdefault(name, []).append(value)
    means = {}
    for name, several in values.items():
        summary: dict[str, Any] = {"mean": float(np.mean(several)), "folds": len(several)}
        if len(several) > 1:
            summary["interval"] = list(interval_of_mean(np.array(several)))
        means[name] = summary
    return {"folds": [entry["validation"] for entry in figures], "mean": means}


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and name != "rows":
            found[prefix + name] = float(value)
    return found


def _backbone(specification: TuningSpecification, configuration: TuningConfiguration) -> Backbone:
    return load_backbone(
        specification.encoder, dropout=0.0 if configuration.frozen else specification.dropout
    )


def encoding_of(backbone: Backbone, specification: TuningSpecification) -> TextEncoding:
    """How an encoder is given texts.

    Raises
    ------
    InputError
        If its tokenizer has no tokenizer.json or no padding.
    """
    tokenizer: Any = backbone.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or tokenizer.pad_token_id is None:
        raise InputError(
            f"{backbone.name}: its tokenizer cannot be written as a tokenizer.json with a "
            "padding token, which serving needs"
        )
    return TextEncoding(
        tokenizer_of(backend),
        specification.normalisation,
        specification.max_tokens,
        int(tokenizer.pad_token_id),
    )


def _run_hash(
    specification: TuningSpecification,
    configuration: TuningConfiguration,
    digest: str,
    data: TuningData,
) -> str:
    texts = hashlib.sha256()
    for row in data.pieces:
        texts.update(row.tobytes() + b"|")
    for array in (data.targets, data.train, data.validation, data.test):
        texts.update(array.tobytes())
    content = asdict(specification) | asdict(configuration)
    for name in ("encoder", "sources", *_NOT_DECISIVE):
        del content[name]
    content |= {"weights": digest, "texts": texts.hexdigest(), "names": list(data.names)}
    return configuration_hash(content)


def _check_trainable(data: TuningData) -> None:
    if not len(data.train):
        raise InputError("no training text is left: " + "; ".join(data.remarks))
    if not (data.six[data.validation] >= 0).any():
        raise InputError(
            "there is no validation text with one strongest emotion to stop and choose by: "
            "give more labelled texts, or fewer --folds"
        )


def _checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint; tensors are read when they are used."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return content


def _has_stopped(last: Path) -> bool:
    """Whether early stopping had ended a run that was interrupted afterwards."""
    callbacks = _checkpoint(last)["callbacks"]
    return any(
        state["wait_count"] >= state["patience"]
        for name, state in callbacks.items()
        if name.startswith(EarlyStopping.__name__)
    )


def _check_wandb(configuration: TuningConfiguration) -> None:
    if configuration.wandb and find_spec("wandb") is None:
        raise MissingExtraError("--wandb", "wandb")


def _loggers(folder: Path, configuration: TuningConfiguration) -> list[Logger]:
    """TensorBoard where it is installed, else a table; Weights & Biases where it is asked for."""
    kind = TensorBoardLogger if find_spec("tensorboard") is not None else CSVLogger
    loggers: list[Logger] = [kind(folder, name="logs", version="")]
    if configuration.wandb:
        from lightning.pytorch.loggers import WandbLogger

        loggers.append(WandbLogger(project="maeum", name=folder.name, save_dir=folder))
    return loggers


def _nothing(_: str) -> None:
    """Say nothing."""


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
