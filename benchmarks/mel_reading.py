"""Reading mels of songs at random: one store of them all, against one npy file per song."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.log_mel import KAKAO
from benchmarks.measurement import SEED, Measurement, alternate
from data_prep.mel_store import MelStore
from data_prep.mel_store_writer import MelStoreWriter, StoreContent
from data_prep.readers.kakao_mels import N_FRAMES

SONGS: Final = 1_000
SONGS_PER_CALL: Final = 200
_DISTINCT: Final = 20


def mel_reading(*, repeats: int) -> Measurement:
    """Songs of the size of Kakao Arena's, all of them in the system's file cache."""
    rng = np.random.default_rng(SEED)
    pool = rng.normal(-40.0, 10.0, (_DISTINCT, KAKAO.n_mels, N_FRAMES)).astype(np.float16)
    content = StoreContent(asdict(KAKAO), N_FRAMES, {"kind": "made up"}, {}, id_bytes=16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with MelStoreWriter(folder / "store.h5", content) as writer:
            for song in range(SONGS):
                mel = pool[song % _DISTINCT]
                mel[0, 0] = song
                writer.add(str(song), mel)
                np.save(folder / f"{song}.npy", mel)

        with MelStore(folder / "store.h5") as store:

            def ours(songs: NDArray[np.intp]) -> list[NDArray[np.float16]]:
                return [store.log_mel(str(song)) for song in songs]

            def reference(songs: NDArray[np.intp]) -> list[NDArray[np.float16]]:
                return [np.load(folder / f"{song}.npy") for song in songs]

            everything = rng.permutation(SONGS)
            for found, expected in zip(ours(everything), reference(everything), strict=True):
                np.testing.assert_array_equal(found, expected)
            ours_ms, reference_ms = alternate(
                lambda: ours(rng.permutation(SONGS)[:SONGS_PER_CALL]),
                lambda: reference(rng.permutation(SONGS)[:SONGS_PER_CALL]),
                4 * repeats,
            )
    return Measurement(
        f"{SONGS_PER_CALL} mels of 30 s, at random",
        ours_ms,
        "one npy file per song",
        reference_ms,
        least_ratio=2.0,
        texts=SONGS_PER_CALL,
    )
