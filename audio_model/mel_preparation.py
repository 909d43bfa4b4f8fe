"""A store of mels from Kakao Arena's tars or folders, or from any recordings.

Nothing is unpacked, and memory holds one song and what waits for the next commit,
whatever the size of the sources. What is in the store is not read again: whole tars
that were finished are passed over unless they changed, songs of others by their ids.
Needs h5py and torch (extra ``train``).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from audio_model.decode import decode_part
from audio_model.log_mel import KAKAO, MelConfiguration, log_mel
from audio_model.mel_sources import KakaoSources, SoundSources
from data_prep.errors import InputError, explain
from data_prep.left_out import LeftOut, UnusableSongError
from data_prep.mel_store import MelStore
from data_prep.mel_store_writer import MelStoreWriter, SourceState, StoreContent
from data_prep.mel_values import (
    DECIDED_OVER,
    OWN_DB,
    RANGES,
    DecidedRange,
    RangeName,
    ValueRange,
    decide,
    extremes,
    to_decibels,
)
from data_prep.readers.kakao_mels import N_FRAMES, StoredMel, read_folder, read_tar

FROM_S: Final = 20.0
LENGTH_S: Final = 30.0
"""The part of a recording that the Kakao Arena mels show, in seconds."""
LONGEST_S: Final = 3_600.0
"""No part is longer, in seconds: songs are stored at full length, however short they are."""

_KAKAO_ID_BYTES: Final = 16
_PATH_ID_BYTES: Final = 255  # at least; more if a path is longer when the store is made
_MB: Final = 1_000_000


@contextmanager
def _uncounted(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


@dataclass(frozen=True)
class Listeners:
    """Who is told of the work.

    Attributes
    ----------
    say
        Receives sentences.
    left_out
        Receives every song that is left out, also those of an earlier run.
    progress
        Called with how much there is to do and of what, gives what is told how
        much more is done.
    """

    say: Callable[[str], None] = lambda line: None
    left_out: Callable[[LeftOut], None] = lambda song: None
    progress: Callable[[int, str], AbstractContextManager[Callable[[int], None]]] = _uncounted


class Mels(Protocol):
    """Makes log-mels of recordings, here or elsewhere, several at once."""

    @property
    def ahead(self) -> int:
        """How many to ask for before the first of them is waited for."""

    def mel(
        self, path: Path, configuration: MelConfiguration, from_s: float, length_s: float
    ) -> Callable[[], NDArray[np.float32]]:
        """Begin with one; gives what waits for it. As :func:`part_of_recording`."""


class _MelsHere:
    """Makes each when it is waited for."""

    ahead = 1

    def mel(
        self, path: Path, configuration: MelConfiguration, from_s: float, length_s: float
    ) -> Callable[[], NDArray[np.float32]]:
        """Begin with one; gives what waits for it."""
        return partial(part_of_recording, path, configuration, from_s, length_s)


@dataclass
class Prepared:
    """What became of the sources.

    Attributes
    ----------
    store
        The file.
    songs
        Songs in it, of all runs.
    added
        Songs added by this run.
    cut
        Songs among them that were longer, and were cut.
    left_out
        Number of songs, or parts of sources, left out, by reason.
    values
        How the values were read; ``None`` for sound.
    """

    store: Path
    songs: int = 0
    added: int = 0
    cut: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    values: DecidedRange | None = None

    def to_json(self) -> dict[str, Any]:
        """Summary for ``--json``."""
        return {
            "store": str(self.store),
            "songs": self.songs,
            "added": self.added,
            "cut": self.cut,
            "left_out": dict(self.left_out.most_common()),
            "values": None if self.values is None else self.values.to_json(),
        }


def prepare_kakao(
    sources: KakaoSources,
    store: Path,
    *,
    values: RangeName | None = None,
    listeners: Listeners = Listeners(),
) -> Prepared:
    """Put the mels of Kakao Arena into a store, or those that are not there yet.

    Parameters
    ----------
    sources
        Tars and unpacked folders.
    store
        File to make or to add to.
    values
        What the numbers mean; told from the first songs, or by the store, if ``None``.

    Raises
    ------
    InputError
        If the values are neither dB, dB shifted nor dB scaled, no song can be used, or
        the store cannot be written or holds something else.
    MissingExtraError
        If h5py is not installed.
    """
    decided = _range(sources, store, values)
    listeners.say(decided.sentence())
    content = StoreContent(
        features=asdict(KAKAO),
        n_frames_max=N_FRAMES,
        content={"kind": "kakao", "values": decided.range.name},
        found={"values": decided.to_json()},
        id_bytes=_KAKAO_ID_BYTES,
    )
    with _Run(store, content, listeners) as run:
        run.prepared.values = decided
        run.take_tars(sources.tars, decided.range)
        run.take_folders(sources.folders, decided.range)
    return run.prepared


def prepare_sound(
    sources: SoundSources,
    store: Path,
    *,
    configuration: MelConfiguration = KAKAO,
    from_s: float = FROM_S,
    length_s: float = LENGTH_S,
    listeners: Listeners = Listeners(),
    mels: Mels | None = None,
) -> Prepared:
    """Put log-mels of recordings into a store, or of those that are not there yet.

    Parameters
    ----------
    sources
        Folders of recordings.
    store
        File to make or to add to.
    configuration
        Of the log-mel.
    from_s, length_s
        The part of a recording, in seconds; the middle of one that ends before it does.
        At most :data:`LONGEST_S` long.
    mels
        Makes them, this process if ``None``; the store is the same whoever does.

    Raises
    ------
    InputError
        If the part makes no sense, or the store cannot be written or holds something else.
    MissingExtraError
        If h5py is not installed.
    """
    if not (0.0 <= from_s < float("inf") and 0.0 < length_s < float("inf")):
        raise InputError(f"a part of {length_s} s from {from_s} s: expected 0 or more seconds")
    if length_s > LONGEST_S:
        raise InputError(f"a part of {length_s} s: expected at most {LONGEST_S:.0f} s")
    c = configuration
    content = StoreContent(
        features=asdict(c),
        n_frames_max=1 + round(length_s * c.sample_rate) // c.hop_length,
        content={"kind": "sound", "from_s": from_s, "length_s": length_s},
        found={},
        id_bytes=max(
            [_PATH_ID_BYTES, *(len(i.encode("utf-8", "surrogateescape")) for i, _ in sources.files)]
        ),
    )
    with _Run(store, content, listeners) as run:
        run.take_recordings(sources, mels or _MelsHere(), c, from_s, length_s)
    return run.prepared


class _Run:
    """One run: the store that is written, and the account of it."""

    def __init__(self, store: Path, content: StoreContent, listeners: Listeners) -> None:
        self._listeners = listeners
        self._writer = MelStoreWriter(store, content)
        self._before = len(self._writer)
        self.prepared = Prepared(store)

    def __enter__(self) -> _Run:
        self._writer.__enter__()
        return self

    def __exit__(self, kind: Any, value: BaseException | None, trace: Any) -> None:
        self._writer.__exit__(kind, value, trace)
        self.prepared.songs = len(self._writer)
        self.prepared.added = len(self._writer) - self._before
        if isinstance(value, KeyboardInterrupt):
            self._listeners.say(
                f"{len(self._writer):,} songs are in {self.prepared.store}: give the same command "
                "again to go on"
            )

    def take_tars(self, tars: Sequence[Path], values: ValueRange) -> None:
        """Add the songs of tars."""
        to_do = []
        for tar in tars:
            state = SourceState.of(tar)
            left_out = self._writer.done(state)
            if left_out is None:
                to_do.append((tar, state))
            else:
                self._listeners.say(f"{tar.name} is in the store already")
                for song in left_out:
                    self._report(song)
        n_mb = sum(-(-state.size // _MB) for _, state in to_do)
        with self._listeners.progress(n_mb, "MB") as advance:
            for tar, state in to_do:
                self._take_tar(tar, state, values, advance)

    def _take_tar(
        self, tar: Path, state: SourceState, values: ValueRange, advance: Callable[[int], None]
    ) -> None:
        self._writer.begin(state.name)
        told = 0

        def at(position: int) -> None:
            nonlocal told
            advance(position // _MB - told)
            told = position // _MB

        songs = read_tar(tar, known=self._writer, at=at)
        whole = True
        while True:
            try:
                song = next(songs, None)
            except InputError as error:
                self._report(LeftOut(str(tar), None, "damaged tar", str(error)))
                whole = False
                break
            if song is None:
                break
            left_out = self._take(song, values)
            if left_out is not None:
                self._report(left_out)
                self._writer.leave_out(left_out)
        if whole:
            self._writer.finish(state)
        else:
            self._writer.commit()
        advance(-(-state.size // _MB) - told)

    def take_folders(self, folders: Sequence[Path], values: ValueRange) -> None:
        """Add the songs of unpacked folders."""
        for name in dict.fromkeys(folder.parent.absolute().name for folder in folders):
            self._writer.begin(name)
        with self._listeners.progress(len(folders), "folders") as advance:
            for folder in folders:
                for song in read_folder(folder, known=self._writer):
                    left_out = self._take(song, values)
                    if left_out is not None:
                        self._report(left_out)
                advance(1)

    def _take(self, song: StoredMel | LeftOut, values: ValueRange) -> LeftOut | None:
        """Add a song; what to write down if that cannot be."""
        if isinstance(song, LeftOut):
            return song
        if song.id in self._writer:
            return None
        try:
            mel = song.array()
            self._writer.add(song.id, _half(to_decibels(mel[:, :N_FRAMES], values)))
        except UnusableSongError as error:
            return LeftOut(song.where, song.id, error.reason, str(error))
        self.prepared.cut += mel.shape[1] > N_FRAMES
        return None

    def take_recordings(
        self,
        sources: SoundSources,
        mels: Mels,
        configuration: MelConfiguration,
        from_s: float,
        length_s: float,
    ) -> None:
        """Add the log-mels of recordings, in their order."""
        for folder in sources.folders:
            self._writer.begin(folder.absolute().name)
        for unread in sources.unread:
            self._report(unread)
        to_do = [(song_id, path) for song_id, path in sources.files if song_id not in self._writer]
        begun: deque[tuple[str, Path, Callable[[], NDArray[np.float32]]]] = deque()
        coming = iter(to_do)
        with self._listeners.progress(len(to_do), "recordings") as advance:
            while True:
                for song_id, path in islice(coming, max(mels.ahead - len(begun), 0)):
                    making = mels.mel(path, configuration, from_s, length_s)
                    begun.append((song_id, path, making))
                if not begun:
                    break
                self._take_recording(*begun.popleft())
                advance(1)

    def _take_recording(
        self, song_id: str, path: Path, made: Callable[[], NDArray[np.float32]]
    ) -> None:
        try:
            mel = _half(made())
        except Exception as error:  # one bad recording must not stop the others
            reason = getattr(error, "reason", "no sound")
            self._report(LeftOut(str(path), song_id, reason, explain(error)))
        else:
            self._add_recording(song_id, path, mel)

    def _add_recording(self, song_id: str, path: Path, mel: NDArray[np.float16]) -> None:
        try:
            self._writer.add(song_id, mel)
        except UnusableSongError as error:
            self._report(LeftOut(str(path), song_id, error.reason, str(error)))

    def _report(self, song: LeftOut) -> None:
        self.prepared.left_out[song.reason] += 1
        self._listeners.left_out(song)


def part_of_recording(
    path: Path, configuration: MelConfiguration, from_s: float, length_s: float
) -> NDArray[np.float32]:
    """Log-mel (n_mels, n_frames) in dB of one part of a recording.

    Parameters
    ----------
    from_s, length_s
        The part in seconds; of a recording that ends before it does, the middle is
        taken, or all of one that is not longer than ``length_s``.

    Raises
    ------
    InputError
        If nothing can be decoded, or what can is silent.
    """
    rate = configuration.sample_rate
    heard = decode_part(path, start_s=0.0, length_s=from_s + length_s, sample_rate=rate).samples
    n_samples = round(length_s * rate)
    first = round(from_s * rate)
    if heard.size < first + n_samples:
        first = max(0, (heard.size - n_samples) // 2)
    return to_decibels(log_mel(heard[first : first + n_samples], configuration), OWN_DB)


def _range(sources: KakaoSources, store: Path, given: RangeName | None) -> DecidedRange:
    """How to read the values: as given, as in the store, or as the first songs tell."""
    if given is not None:
        return DecidedRange(RANGES[given])
    if store.exists():
        with MelStore(store) as opened:
            before = opened.provenance["content"].get("values")
        if before in RANGES:
            return DecidedRange(RANGES[before], by_store=True)
    problems: list[LeftOut] = []
    found = list(islice(_first_extremes(sources, problems), DECIDED_OVER))
    if not found:
        first = f"; the first: {problems[0].where}: {problems[0].error}" if problems else ""
        raise InputError(
            f"there is no usable song among the sources, of which {len(problems):,} were left "
            f"out{first}"
        )
    return decide(found)


def _first_extremes(
    sources: KakaoSources, problems: list[LeftOut]
) -> Iterator[tuple[float, float]]:
    songs = chain(
        chain.from_iterable(_undamaged(tar, problems) for tar in sources.tars),
        chain.from_iterable(read_folder(folder) for folder in sources.folders),
    )
    for song in songs:
        if isinstance(song, LeftOut):
            problems.append(song)
            continue
        try:
            yield extremes(song.array())
        except UnusableSongError as error:
            problems.append(LeftOut(song.where, song.id, error.reason, str(error)))


def _undamaged(tar: Path, problems: list[LeftOut]) -> Iterator[StoredMel | LeftOut]:
    try:
        yield from read_tar(tar)
    except InputError as error:
        problems.append(LeftOut(str(tar), None, "damaged tar", str(error)))


def _half(mel: NDArray[np.float32]) -> NDArray[np.float16]:
    """Half precision, 0.06 dB apart at 100 dB; by torch, which is 90 times as fast as numpy."""
    import torch

    half: NDArray[np.float16] = (
        torch.from_numpy(np.require(mel, requirements=["C", "W"])).to(torch.float16).numpy()
    )
    return half
