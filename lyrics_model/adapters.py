"""Low-rank adapters on an encoder: LoRA (Hu et al. 2021) and QLoRA (Dettmers et al. 2023).

The encoder's own weights stay as they are; beside every linear layer of it two
thin matrices are trained. For QLoRA the weights that stay are held in four bits
(NF4, doubly quantised), so that a large encoder fits where training it would
not. A finished adapter is added into the weights, so that what is served knows
nothing of it; a QLoRA adapter is added into the weights as they were before
quantisation.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, cast

import torch
from torch import nn

from data_prep.errors import InputError, MissingExtraError
from lyrics_model.tuning_specification import AdapterName

ALPHA_PER_RANK: Final = 2
DROPOUT: Final = 0.05


def check_adapter(adapter: AdapterName) -> None:
    """Refuse an adapter whose packages are not there, before anything is read.

    Raises
    ------
    MissingExtraError
        Naming the extra to install.
    """
    if adapter == "none":
        return
    try:
        import_module("peft")
    except ImportError as error:
        raise MissingExtraError(f"--adapter {adapter}", "adapters") from error
    if adapter == "qlora":
        try:
            import_module("bitsandbytes")
        except (ImportError, RuntimeError) as error:  # it looks for CUDA when imported
            raise MissingExtraError(f"--adapter qlora ({error})", "qlora") from error


def add_adapter(
    encoder: nn.Module, adapter: AdapterName, rank: int, *, compute: torch.dtype = torch.float32
) -> nn.Module:
    """The encoder with a fresh adapter; nothing but the adapter is trainable.

    Parameters
    ----------
    encoder
        A transformers model; changed in place.
    adapter
        ``"lora"`` or ``"qlora"``; ``"none"`` gives the encoder back as it is.
    rank
        Width of the thin matrices.
    compute
        Type in which four-bit weights are multiplied.

    Raises
    ------
    MissingExtraError
        If the packages are not installed.
    InputError
        If the encoder has no linear layer.
    """
    check_adapter(adapter)
    if adapter == "none":
        return encoder
    peft = import_module("peft")
    if adapter == "qlora":
        quantise_linear(encoder, compute)
        encoder.is_loaded_in_4bit = True  # type: ignore[assignment]  # what peft looks for
    configuration = peft.LoraConfig(
        r=rank,
        lora_alpha=ALPHA_PER_RANK * rank,
        lora_dropout=DROPOUT,
        bias="none",
        target_modules="all-linear",
    )
    adapted: nn.Module = peft.get_peft_model(encoder, configuration)
    if adapter == "qlora":
        del encoder.is_loaded_in_4bit
    return adapted


def merge_adapter(encoder: nn.Module) -> nn.Module:
    """The encoder with its adapter added into its weights; the adapter itself is gone."""
    merged: nn.Module = cast(Any, encoder).merge_and_unload()
    for parameter in merged.parameters():
        parameter.requires_grad_(True)
    return merged


def quantise_linear(encoder: nn.Module, compute: torch.dtype) -> int:
    """Put four-bit layers in place of every linear layer; tells how many there were.

    Raises
    ------
    InputError
        If there is none.
    """
    bitsandbytes = import_module("bitsandbytes")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = [name for name, module in encoder.named_modules() if type(module) is nn.Linear]
    if not names:
        raise InputError("the encoder has no linear layer that four-bit weights could replace")
    for name in names:
        parent, _, own = name.rpartition(".")
        linear = cast(nn.Linear, encoder.get_submodule(name))
        four = bitsandbytes.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            compute_dtype=compute,
            compress_statistics=True,
            quant_type="nf4",
        )
        four.weight = bitsandbytes.nn.Params4bit(
            linear.weight.data,
            requires_grad=False,
            compress_statistics=True,
            quant_type="nf4",
        )
        # On processors with AVX-512 an answer would repack the weights in a form that only some
        # shapes have, and that cannot be merged with an adapter.
        four.support_avx512bf16_for_cpu = False
        if linear.bias is not None:
            four.bias = nn.Parameter(linear.bias.data, requires_grad=False)
        setattr(encoder.get_submodule(parent), own, four.to(device))
    for parameter in encoder.parameters():
        if parameter.is_floating_point():
            # A view into the file of the weights would keep all of it in memory.
            parameter.data = parameter.data.clone()
    return len(names)
