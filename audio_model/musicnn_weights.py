"""Weights of musicnn as its authors published them: a TensorFlow checkpoint, read without it.

``pip download --no-deps musicnn==0.1.0`` gives a wheel of 29 MB; four networks lie in
it, each as an *index* (a sorted table of names, in LevelDB's format) and one file of
*data* (the values, one after the other). Only uncompressed tables are read, which
these are.

musicnn: Pons & Serra (2019), "musicnn: pre-trained convolutional neural networks for
music audio tagging", arXiv 1909.06654; ISC licence.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, MissingDataError

NETWORK: Final = "MSD_musicnn"
"""Trained on 50 tags that listeners gave to 241,904 songs of the Million Song Dataset."""

HOW_TO_GET: Final = "`pip download --no-deps musicnn==0.1.0` gives it"

_INDEX, _DATA = ".index", ".data-00000-of-00001"
_MAGIC: Final = 0xDB4775248B80FB57  # of a LevelDB table
_FOOTER: Final = 48  # bytes
_FLOAT32: Final = 1  # TensorFlow's number of the type


def read_weights(source: Path) -> dict[str, NDArray[np.float32]]:
    """Tensors of the network by TensorFlow's names, without what the optimiser kept.

    Parameters
    ----------
    source
        The wheel, or a folder with its content.

    Raises
    ------
    MissingDataError
        If there is no such file.
    InputError
        If it is something else, or damaged.
    """
    index, data = (_content(source, f"musicnn/{NETWORK}/{name}") for name in (_INDEX, _DATA))
    try:
        entries = list(_entries(index))
        return {
            name: np.frombuffer(data, np.float32, count=size // 4, offset=offset)
            .reshape(shape)
            .copy()
            for name, (kind, shape, offset, size) in entries
            if kind == _FLOAT32 and "Adam" not in name and not name.endswith("_power")
        }
    except (IndexError, ValueError, struct.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{source}: the checkpoint of {NETWORK} is damaged ({error}); get it again: "
            f"{HOW_TO_GET}"
        ) from error


def _content(source: Path, member: str) -> bytes:
    if not source.exists():
        raise MissingDataError(f"{source} is missing: expected the wheel of musicnn; {HOW_TO_GET}")
    try:
        if source.is_dir():
            return (source / member).read_bytes()
        with zipfile.ZipFile(source) as wheel:
            return wheel.read(member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{source} holds no {member}: expected the wheel of musicnn, or a folder with its "
            f"content; {HOW_TO_GET}"
        ) from error


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place after it."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _entries(table: bytes) -> Iterator[tuple[str, tuple[int, tuple[int, ...], int, int]]]:
    """Names of a table's tensors, each with its type, shape, offset and size in bytes."""
    (magic,) = struct.unpack("<Q", table[-8:])
    if magic != _MAGIC:
        raise ValueError("the index is not a table")
    footer, at = table[-_FOOTER:], 0
    handles = []
    for _ in range(4):  # offset and size of the block of statistics, and of the index
        value, at = _varint(footer, at)
        handles.append(value)
    for _, handle in _block(table, handles[2], handles[3]):
        offset, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        for name, entry in _block(table, offset, size):
            if name:  # the entry without a name is the header
                yield name.decode(), _tensor(entry)


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; a key shares its beginning with the one before."""
    block = table[offset : offset + size]
    if table[offset + size : offset + size + 1] != b"\x00" or len(block) != size:
        raise ValueError("a block of the index is cut off or compressed")
    (n_restarts,) = struct.unpack("<I", block[-4:])
    end, at, key = size - 4 * (n_restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(message, at)
            yield number, message[at : at + length]
            at += length
        elif kind == 5:
            at += 4  # a checksum
        else:
            raise ValueError(f"an entry of the index has a field of kind {kind}")


def _tensor(message: bytes) -> tuple[int, tuple[int, ...], int, int]:
    kind = offset = size = 0
    shape: list[int] = []
    for number, value in _fields(message):
        if number == 2 and isinstance(value, bytes):
            for inner, dimension in _fields(value):
                if inner == 2 and isinstance(dimension, bytes):
                    shape.append(next((int(n) for k, n in _fields(dimension) if k == 1), 0))
        elif isinstance(value, int):
            kind = value if number == 1 else kind
            offset = value if number == 4 else offset
            size = value if number == 5 else size
    return kind, tuple(shape), offset, size
