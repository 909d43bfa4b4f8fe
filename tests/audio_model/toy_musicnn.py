"""A tiny musicnn in the published layout: TensorFlow's checkpoint in a wheel, made by hand."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_model.musicnn_weights import NETWORK

CHANNELS = 3
FRONT = 5 * CHANNELS
POOLED = 2 * (FRONT + 3 * CHANNELS)


def toy_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights with the published names; fewer channels, the same kernels and ends."""
    random = np.random.default_rng(seed)
    kernels = [
        *((7, 38, 1, CHANNELS), (7, 67, 1, CHANNELS)),
        *((128, 1, 1, CHANNELS), (64, 1, 1, CHANNELS), (32, 1, 1, CHANNELS)),
        *((7, FRONT, 1, CHANNELS), (7, CHANNELS, 1, CHANNELS), (7, CHANNELS, 1, CHANNELS)),
    ]
    found = {}
    for number, shape in enumerate(kernels):
        name = "conv2d" + (f"_{number}" if number else "")
        found[f"{name}/kernel"] = random.normal(0, 0.1, shape)
        found[f"{name}/bias"] = random.normal(0, 0.1, shape[3])
    for number, size in enumerate([1, *[CHANNELS] * 8, POOLED, 200]):
        name = "batch_normalization" + (f"_{number}" if number else "")
        found[f"{name}/gamma"] = random.uniform(0.5, 1.5, size)
        found[f"{name}/beta"] = random.normal(0, 0.1, size)
        found[f"{name}/moving_mean"] = random.normal(0, 0.1, size)
        found[f"{name}/moving_variance"] = random.uniform(0.5, 1.5, size)
    found["dense/kernel"] = random.normal(0, 0.1, (POOLED, 200))
    found["dense/bias"] = random.normal(0, 0.1, 200)
    return {name: np.asarray(values, dtype=np.float32) for name, values in found.items()}


def varint(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A LevelDB block: each key shares its beginning with the one before."""
    made, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        made += varint(shared) + varint(len(key) - shared) + varint(len(value))
        made += key[shared:] + value
        before = key
    return made + struct.pack("<II", 0, 1)


def checkpoint(weights: dict[str, NDArray[np.float32]]) -> tuple[bytes, bytes]:
    """Index and data of a checkpoint; with what an optimiser leaves there as well."""
    data, entries = b"", [(b"", field(1, 1))]
    kept = {**weights, "beta1_power": np.float32(0.9)[None], "dense/bias/Adam": np.zeros(200, "f4")}
    for name in sorted(kept):
        values = np.asarray(kept[name], dtype=np.float32)
        shape = b"".join(field(2, field(1, n)) for n in values.shape)
        entry = field(1, 1) + field(2, shape) + field(4, len(data)) + field(5, values.nbytes)
        entries.append((name.encode(), entry + varint(6 << 3 | 5) + b"\0\0\0\0"))
        data += values.tobytes()
    half = len(entries) // 2
    table, handles = b"", []
    for part in (entries[:half], entries[half:]):
        made = block(part)
        handles.append((part[-1][0], varint(len(table)) + varint(len(made))))
        table += made + b"\0" + b"crc "
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(table)) + varint(len(index))
    table += index + b"\0" + b"crc "
    return table + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57), data


def write_wheel(path: Path, weights: dict[str, NDArray[np.float32]]) -> Path:
    index, data = checkpoint(weights)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"musicnn/{NETWORK}/.index", index)
        wheel.writestr(f"musicnn/{NETWORK}/.data-00000-of-00001", data)
    return path
