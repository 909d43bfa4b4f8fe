"""Made-up mels in the layout of Kakao Arena, and a small store of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.mel_store_writer import MelStoreWriter, StoreContent

N_MELS, N_FRAMES = 4, 30
FEATURES = {"n_mels": N_MELS, "sample_rate": 16_000, "hop_length": 256}
CONTENT = StoreContent(FEATURES, N_FRAMES, {"kind": "made up"}, {"by": "hand"}, id_bytes=8)


def small_mel(song: int) -> np.ndarray:
    """Of a small store; every fifth song is shorter."""
    rng = np.random.default_rng(song)
    n_frames = N_FRAMES if song % 5 else N_FRAMES - 1 - song % 3
    return rng.normal(-40, 10, (N_MELS, n_frames)).astype(np.float16)


def write_store(path: Path, songs: range, content: StoreContent = CONTENT) -> Path:
    with MelStoreWriter(path, content) as writer:
        for song in songs:
            if str(song) not in writer:
                writer.add(str(song), small_mel(song))
    return path


def arena_mel(song: int, n_frames: int = 1876, **kind: Any) -> np.ndarray:
    """In dB, from -100 to some 10; half precision loses nothing of it."""
    rng = np.random.default_rng(song)
    mel = np.clip(rng.normal(-45, 12, (48, n_frames)), -100, 20).astype(np.float16)
    mel[0, 0], mel[-1, -1] = -100, 10
    return mel.astype(kind.get("dtype", np.float32))


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def arena_name(song: int) -> str:
    return f"{song // 1000}/{song}.npy"


def write_tar(path: Path, members: Mapping[str, bytes | None], mode: str = "w") -> Path:
    """A tar; ``None`` is a folder."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def arena_tar(path: Path, songs: range) -> Path:
    """As published: a folder for every thousand, then its songs."""
    members: dict[str, bytes | None] = {}
    for song in songs:
        members.setdefault(f"{song // 1000}", None)
        members[arena_name(song)] = npy(arena_mel(song))
    return write_tar(path, members)
