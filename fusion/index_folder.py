"""A folder of arrays that are mapped into memory: how a search index is kept on disk.

``index.json`` says what kind of index it is, the version of the format, facts of
that kind, for each array its file's size and CRC-32, and the CRC-32 of all this.
Each array is a ``.npy`` file. A folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import IndexFolderError, InputError

VERSION: Final = 1
_HEAD: Final = "index.json"
_PIECE: Final = 1 << 22


def save_index(
    folder: Path, kind: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write arrays beside the folder and then put them in its place.

    Parameters
    ----------
    folder
        A new folder, or one with an index, which is replaced.
    kind
        Which index it is.
    facts
        Anything that JSON can hold.
    arrays
        By name.

    Raises
    ------
    InputError
        If the folder holds something else, or cannot be written.
    """
    check_index_folder(folder)
    try:
        unfinished = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent)
        )
        try:
            files = {name: _write(unfinished, name, array) for name, array in arrays.items()}
            head = {"kind": kind, "version": VERSION, "facts": dict(facts), "files": files}
            head["crc32"] = _checksum_of_head(head)
            (unfinished / _HEAD).write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
            # mkdtemp makes private folders; the result is as public as any other new folder.
            mask = os.umask(0)
            os.umask(mask)
            unfinished.chmod(0o777 & ~mask)
            _put(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error


def check_index_folder(folder: Path) -> None:
    """Refuse a folder that no index can be written into.

    Raises
    ------
    InputError
        If it holds something else, or there is nothing that it could be in.
    """
    if folder.exists() and not (folder / _HEAD).is_file():
        raise InputError(f"{folder} is there and holds no {_HEAD}: expected a new folder")
    if not folder.absolute().parent.is_dir():
        raise InputError(f"{folder} cannot be written: there is no folder {folder.parent}")


def load_index(
    folder: Path, kind: str, *, verify: bool
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of a saved index; the arrays are mapped into memory, read only.

    Parameters
    ----------
    folder
        As given to :func:`save_index`.
    kind
        Which index is expected.
    verify
        Compare checksums, not sizes alone.

    Raises
    ------
    IndexFolderError
        If it is no such index, incomplete, damaged, or of another version.
    """
    head = _head(folder)
    if head["version"] != VERSION:
        raise IndexFolderError(
            f"{folder} has version {head.get('version')!r} of the index format, expected "
            f"{VERSION}: build the index anew"
        )
    if head["kind"] != kind:
        raise IndexFolderError(f"{folder} holds {head.get('kind')!r}, expected {kind!r}")
    arrays = {name: _read(folder, name, file, verify) for name, file in head["files"].items()}
    return head["facts"], arrays


def _head(folder: Path) -> dict[str, Any]:
    path = folder / _HEAD
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise IndexFolderError(f"{folder} is no index: there is no {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise IndexFolderError(f"{path} cannot be read: {error}") from error
    try:
        head = json.loads(text)
        whole = head["version"] != VERSION or head["crc32"] == _checksum_of_head(head)
    except (ValueError, TypeError, KeyError) as error:
        raise IndexFolderError(f"{path} is damaged: build the index anew") from error
    if not whole:
        raise IndexFolderError(f"{path} is damaged: its checksum differs; build the index anew")
    return dict(head)


def _checksum_of_head(head: Mapping[str, Any]) -> int:
    content = {name: value for name, value in head.items() if name != "crc32"}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _write(folder: Path, name: str, array: NDArray[Any]) -> dict[str, int]:
    path = folder / f"{name}.npy"
    np.save(path, array, allow_pickle=False)
    return {"bytes": path.stat().st_size, "crc32": _checksum(path)}


def _put(unfinished: Path, folder: Path) -> None:
    """Rename a finished folder into its place; an older one is put back if that fails."""
    if not folder.exists():
        unfinished.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.rename(old)
    try:
        unfinished.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _read(folder: Path, name: str, file: Mapping[str, int], verify: bool) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        size = path.stat().st_size
        if size != file["bytes"]:
            raise IndexFolderError(
                f"{path} has {size:,} bytes, expected {file['bytes']:,}: build the index anew"
            )
        if verify and _checksum(path) != file["crc32"]:
            raise IndexFolderError(f"{path} is damaged: its checksum differs; build the index anew")
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise IndexFolderError(f"{path} is missing: build the index anew") from error
    except (OSError, ValueError) as error:
        raise IndexFolderError(f"{path} cannot be read: {error}") from error
    # Indexing np.memmap is several times slower than indexing the array it is a view of.
    return np.asarray(mapped)


def _checksum(path: Path) -> int:
    # Read rather than mapped: what is only checked need not count as this process's memory.
    value = 0
    piece = bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            value = zlib.crc32(memoryview(piece)[:count], value)
    return value
