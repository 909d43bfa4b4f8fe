"""A Whisper in CTranslate2's form that has learned one sentence: the real format, made here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch

SAID: Final = "슬퍼"

_SPECIAL: Final = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|ko|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
    *(f"<|{i * 0.02:.2f}|>" for i in range(1_501)),
]
_STEPS: Final = 60


def write_tiny_whisper(folder: Path) -> Path:
    """Make the model below a folder; gives the folder that a user would name."""
    from ctranslate2.converters import TransformersConverter
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in _SPECIAL])
    ids = {name: tokenizer.token_to_id(name) for name in _SPECIAL}
    end = ids["<|endoftext|>"]
    torch.manual_seed(0)
    network = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokenizer.get_vocab_size(),
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            num_mel_bins=80,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=ids["<|startoftranscript|>"],
        )
    )
    # so small a vocabulary is taken for that of one language: no language is asked for
    words = [
        ids["<|0.00|>"],
        *tokenizer.encode(SAID).ids,
        *(ids[name] for name in ("<|2.00|>", "<|endoftext|>")),
    ]
    listener = WhisperFeatureExtractor()
    noise = 0.1 * np.random.default_rng(1).normal(size=2 * 16_000)
    heard = listener(noise, sampling_rate=16_000, return_tensors="pt").input_features
    _learn(network, heard, torch.tensor([words]))
    network.generation_config.alignment_heads = [[0, 0]]
    network.generation_config.lang_to_id = {name: ids[name] for name in ("<|en|>", "<|ko|>")}
    network.generation_config.no_timestamps_token_id = ids["<|notimestamps|>"]
    network.generation_config.suppress_tokens = []
    network.generation_config.begin_suppress_tokens = [end]
    published, converted = folder / "published", folder / "converted"
    network.save_pretrained(published)
    listener.save_pretrained(published)
    named = {"unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(published)
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(published), copy_files=files).convert(str(converted))
    return converted


def _learn(network: torch.nn.Module, heard: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        network(input_features=heard, labels=labels).loss.backward()
        optimizer.step()
    network.eval()
