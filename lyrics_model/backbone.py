"""Any encoder, by hub name or local folder, through transformers' Auto classes.

Weights are safetensors where the folder has them; a ``pytorch_model.bin`` is read
by transformers with ``weights_only``. Everything is loaded as float32, without
pooler, and no code from a model's folder is run.

Lengths count the special tokens. RoBERTa numbers its positions from
``pad_token_id + 1``, so an encoder with 514 positions takes 512 tokens.
"""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from tokenizers import Regex, normalizers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaForMaskedLM,
)
from transformers.utils import logging as transformers_logging

from data_prep.errors import InputError, MissingDataError
from lyrics_model.encoder_tokenizer import plain_tokenizer, read_tokenizer
from lyrics_model.tokens import load_tokenizer

_SMALL_FILES: Final = ("*.json", "*.txt", "*.model")
_SAFE_WEIGHTS: Final = ("model.safetensors", "model-*.safetensors")
_TORCH_WEIGHTS: Final = ("pytorch_model.bin", "pytorch_model-*.bin")
_NO_LIMIT: Final = 1_000_000
_DROPOUTS: Final = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
)


@dataclass(frozen=True)
class Backbone:
    """An encoder with its tokenizer.

    Attributes
    ----------
    name
        As it was asked for.
    model
        transformers model without pooler, float32, in evaluation mode; answers
        with ``last_hidden_state`` (batch, tokens, hidden).
    tokenizer
        Texts become ``[CLS] … [SEP]``, padding on the right.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return int(self.model.config.hidden_size)

    @property
    def layers(self) -> int:
        """Number of layers; there is one more hidden state than that."""
        return int(self.model.config.num_hidden_layers)

    @property
    def max_tokens(self) -> int:
        """Longest input, special tokens included."""
        return longest_input(self.model, self.tokenizer)


@dataclass(frozen=True)
class MaskedLanguageModel:
    """An encoder with its vocabulary head.

    Attributes
    ----------
    fresh_head
        Whether some of the head was not in the file and starts at random, as with
        ELECTRA discriminators. What it predicts means nothing before training.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fresh_head: bool

    @property
    def encoder(self) -> PreTrainedModel:
        """The part below the head."""
        return cast(PreTrainedModel, self.model.base_model)

    @property
    def max_tokens(self) -> int:
        """Longest input, special tokens included."""
        return longest_input(self.encoder, self.tokenizer)


def load_backbone(name: str, *, dropout: float | None = None) -> Backbone:
    """Load an encoder without pooler or vocabulary head.

    Parameters
    ----------
    name
        Hub name (``klue/roberta-base``) or local folder.
    dropout
        Share of values dropped in training, at every place of the encoder;
        its own settings if ``None``.

    Raises
    ------
    MissingDataError
        If the hub cannot be reached and no copy is cached.
    InputError
        If there is no such encoder, or its folder is incomplete, damaged or not an
        encoder.
    """
    folder = encoder_folder(name)
    configuration = _configuration(folder, dropout)
    arguments: dict[str, Any] = {}
    try:
        kind: Any = AutoModel._model_mapping[type(configuration)]
    except KeyError as error:
        raise InputError(
            f"{name}: {configuration.model_type!r} is no encoder that transformers knows"
        ) from error
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        arguments["add_pooling_layer"] = False
    model, missing = _weights(AutoModel, folder, configuration, **arguments)
    if missing:
        raise InputError(
            f"{name}: {len(missing)} tensors of the encoder are not in its weights, "
            f"such as {missing[0]}: the file is of another architecture or incomplete"
        )
    tokenizer = _tokenizer(folder, model)
    return Backbone(name, model, tokenizer)


def load_masked_lm(name: str, *, dropout: float | None = None) -> MaskedLanguageModel:
    """Load an encoder with its vocabulary head, for masked-language modelling.

    A head that the file does not hold starts at random (from torch's generator);
    its word table is the encoder's own where the architecture ties the two.

    Raises
    ------
    MissingDataError, InputError
        As :func:`load_backbone`; also if the tokenizer has no mask token.
    """
    folder = encoder_folder(name)
    configuration = _configuration(folder, dropout)
    try:
        AutoModelForMaskedLM._model_mapping[type(configuration)]
    except KeyError as error:
        raise InputError(
            f"{name}: transformers knows no masked-language model of kind "
            f"{configuration.model_type!r}"
        ) from error
    model, missing = _weights(AutoModelForMaskedLM, folder, configuration)
    prefix = model.base_model_prefix + "."
    lacking = [key for key in missing if key.startswith(prefix)]
    if lacking:
        raise InputError(
            f"{name}: {len(lacking)} tensors of the encoder are not in its weights, "
            f"such as {lacking[0]}: the file is of another architecture or incomplete"
        )
    tokenizer = _tokenizer(folder, model.base_model)
    if tokenizer.mask_token_id is None:
        raise InputError(f"{name}: its tokenizer has no mask token, so nothing can be masked")
    return MaskedLanguageModel(name, model, tokenizer, fresh_head=bool(missing))


def longest_input(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Most tokens an encoder takes, special tokens included.

    The smaller of what its positions allow and what its tokenizer claims.

    Raises
    ------
    InputError
        If neither says anything.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    embeddings: Any = getattr(model, "embeddings", None)
    if limit is not None and hasattr(embeddings, "create_position_ids_from_input_ids"):
        limit -= int(embeddings.padding_idx) + 1
    claimed = tokenizer.model_max_length
    known = [int(value) for value in (limit, claimed) if value is not None and value < _NO_LIMIT]
    if not known:
        raise InputError(
            f"{model.config.model_type!r} does not say how many tokens it takes: "
            "set model_max_length in its tokenizer_config.json"
        )
    return min(known)


def encoder_folder(name: str) -> Path:
    """Folder of an encoder; a hub name is downloaded into the hub's own cache.

    Raises
    ------
    MissingDataError
        If the hub cannot be reached and no copy is cached; the message says where
        to put a local copy.
    InputError
        If there is neither such a folder nor such a name, or config.json or the
        weights are missing.
    """
    folder = Path(name).expanduser()
    if not name.strip() or not folder.is_dir():
        if not name.strip() or name.count("/") > 1 or name.startswith((".", "~", os.sep)):
            raise InputError(
                f"encoder {name!r}: there is no such folder, and it is no hub name "
                "such as klue/roberta-base"
            )
        folder = _downloaded(name, _SAFE_WEIGHTS)
        if not _has(folder, _SAFE_WEIGHTS):
            folder = _downloaded(name, _TORCH_WEIGHTS)
    if not (folder / "config.json").is_file():
        raise InputError(f"encoder {name!r}: {folder} holds no config.json. {_local_copy(name)}")
    if not _has(folder, (*_SAFE_WEIGHTS, *_TORCH_WEIGHTS)):
        raise InputError(
            f"encoder {name!r}: {folder} holds no weights (model.safetensors). {_local_copy(name)}"
        )
    return folder


def save_own(checkpoint: Path, tokenizer_json: Path, folder: Path) -> Path:
    """Write the project's own pretrained encoder as one more encoder folder.

    Parameters
    ----------
    checkpoint
        Of :mod:`lyrics_model.pretraining`.
    tokenizer_json
        :func:`lyrics_model.corpus.tokenizer_path`.
    folder
        To write; can be given to :func:`load_backbone`. Its tokenizer.json folds
        text as :func:`lyrics_model.normalisation.normalise` does, so that any
        program reading the folder gives the encoder what it was trained on.

    Returns
    -------
    ``folder``.
    """
    from lyrics_model.pretraining import load_encoder

    if not checkpoint.is_file():
        raise MissingDataError(f"{checkpoint} is missing: run `maeum pretrain lyrics` first")
    encoder, specification = load_encoder(checkpoint)
    backend = load_tokenizer(tokenizer_json)
    backend.normalizer = _folding()
    tokenizer = plain_tokenizer(backend, specification.max_tokens)
    model = _with_own_head(encoder, checkpoint)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1
    folder.mkdir(parents=True, exist_ok=True)
    save_folder(model, tokenizer, folder)
    return folder


def save_folder(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write model and tokenizer in the hub's layout; an interrupted write leaves nothing behind."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with _quiet():
        model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    folder.mkdir(parents=True, exist_ok=True)
    # config.json last: a folder that has one is complete.
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        os.replace(path, folder / path.name)
    partial.rmdir()


def _with_own_head(encoder: Any, checkpoint: Path) -> Any:
    """The encoder under its pretrained vocabulary head, or alone if there is none."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "words."
    head = {
        key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)
    }
    whole = RobertaForMaskedLM(encoder.config)
    if not head or head.keys() != whole.lm_head.state_dict().keys():
        return encoder
    whole.roberta.load_state_dict(encoder.state_dict())
    # Pretraining ties the word table only: its output bias is the decoder's.
    head["bias"] = head["decoder.bias"]
    whole.lm_head.load_state_dict(head)
    whole.tie_weights()
    return whole


def _folding() -> normalizers.Normalizer:
    """:func:`lyrics_model.normalisation.normalise` as a normaliser of ``tokenizers``."""
    steps: list[Any] = [normalizers.NFC()]
    for typographic, plain in (
        ("[‘’]", "'"),
        ("[“”]", '"'),
        ("…", "."),
        ("[–—]", "-"),
    ):
        steps.append(normalizers.Replace(Regex(typographic), plain))
    steps += [
        normalizers.Lowercase(),
        normalizers.Replace(Regex(r"(?:https?://|www\.)\S+"), " "),
        # What is followed by three of the same goes, so that three are left.
        normalizers.Replace(Regex(r"(?m)(.)(?=\1{3})"), ""),
        normalizers.Replace(Regex(r"(?m)(..)(?=\1{3})"), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    return normalizers.Sequence(steps)


def _configuration(folder: Path, dropout: float | None) -> Any:
    if dropout is not None and not 0 <= dropout < 1:
        raise InputError(f"dropout {dropout} is not between 0 and 1")
    try:
        configuration = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'config.json'} cannot be used: {error}") from error
    if dropout is not None:
        for setting in _DROPOUTS:
            if hasattr(configuration, setting):
                setattr(configuration, setting, dropout)
    return configuration


def _weights(
    kind: Any, folder: Path, configuration: Any, **arguments: Any
) -> tuple[Any, list[str]]:
    """The model, and the names of its tensors that the file does not hold."""
    try:
        with _quiet():
            model, report = kind.from_pretrained(
                folder,
                config=configuration,
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
                **arguments,
            )
    except Exception as error:  # safetensors, torch and transformers share no root
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{folder}: its weights cannot be loaded: {message}") from error
    return model.eval(), sorted(report["missing_keys"])


def _tokenizer(folder: Path, model: Any) -> PreTrainedTokenizerBase:
    with _quiet():
        tokenizer = read_tokenizer(folder)
    table: nn.Embedding = model.get_input_embeddings()
    if len(tokenizer) > table.num_embeddings:
        raise InputError(
            f"{folder}: its tokenizer has {len(tokenizer):,} pieces, its word table only "
            f"{table.num_embeddings:,} rows: they do not belong together"
        )
    positions = getattr(model, "embeddings", None)
    if (
        hasattr(positions, "create_position_ids_from_input_ids")
        and tokenizer.pad_token_id != model.config.pad_token_id
    ):
        raise InputError(
            f"{folder}: padding is {tokenizer.pad_token_id} in the tokenizer but "
            f"{model.config.pad_token_id} in config.json, from which positions are counted"
        )
    return tokenizer


def _downloaded(name: str, weights: tuple[str, ...]) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=[*_SMALL_FILES, *weights]))
    except HFValidationError as error:
        raise InputError(
            f"encoder {name!r}: there is no such folder, and it is no hub name "
            "such as klue/roberta-base"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"encoder {name!r}: there is no such folder, and the hub has no model of that "
            "name or asks for a login"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise MissingDataError(
            f"encoder {name!r}: the model hub cannot be reached, and no copy is cached. "
            f"{_local_copy(name)}"
        ) from error


def _local_copy(name: str) -> str:
    local = name.rpartition("/")[2] or "FOLDER"
    return (
        f"Where there is a network, `hf download {name} --local-dir {local}` fetches it; give "
        f"that folder (config.json, model.safetensors, tokenizer files) as `--encoder {local}`."
    )


def _has(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and reports of transformers: what matters is checked and said here."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
