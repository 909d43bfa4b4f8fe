"""The recordings of a training: ours by name, and a user's own from a store of mels.

A user's own are named by a table: the id of a song in the store, its labels, and
perhaps what must stay together in a split. Their spectrograms are read when a batch
needs them, and not kept. What a training learned from is written beside its weights,
so that exporting finds the same recordings again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audio_model import input_cache
from audio_model.heads import DATASET_HEADS, SCALES, SIX
from audio_model.log_mel import KAKAO, MelConfiguration
from audio_model.recording import Recording, StoredRecording
from data_prep.errors import InputError, MissingDataError
from data_prep.model_folder import configuration_hash
from data_prep.readers.labelled_table import label_set_of, open_recording_table

if TYPE_CHECKING:
    from data_prep.mel_store import MelStore

RECORDINGS_NAME: Final = "recordings.json"
_SHOWN: Final = 3


@dataclass(frozen=True)
class RecordingSources:
    """What a training learns from.

    Attributes
    ----------
    datasets
        Some of ours, by name.
    store, table
        A store of mels and the labels of its songs; both or neither.
    label_set
        Of the table.
    id_column, label_column, group_column
        Of the table; a column per label, and every song by itself, if not given.
    """

    datasets: tuple[str, ...] = tuple(DATASET_HEADS)
    store: str | None = None
    table: str | None = None
    label_set: str = SIX
    id_column: str = "id"
    label_column: str | None = None
    group_column: str | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.datasets if name not in DATASET_HEADS]
        if unknown:
            raise InputError(
                f"unknown data set {unknown[0]!r}: expected some of {', '.join(DATASET_HEADS)}"
            )
        if (self.store is None) != (self.table is None):
            raise InputError(
                "a store and a table go together: the mels of recordings, and their labels"
            )
        if not self.datasets and self.store is None:
            raise InputError("there is no recording to learn from: name a data set or a store")
        if self.own in DATASET_HEADS:
            raise InputError(f"{self.table} is called as one of our data sets is: rename it")

    @property
    def own(self) -> str:
        """Name of the user's recordings; empty if there are none."""
        return "" if self.table is None else Path(self.table).stem

    @property
    def label_sets(self) -> dict[str, str]:
        """Data set → label set."""
        found = {name: DATASET_HEADS[name] for name in self.datasets}
        return found | ({self.own: self.label_set} if self.own else {})

    def log_mel(self) -> MelConfiguration:
        """What the log-mels of the recordings were made with.

        Raises
        ------
        InputError
            If the store cannot be read, or differs from our data sets' log-mels.
        """
        if self.store is None:
            return KAKAO
        from data_prep.mel_store import MelStore

        configuration = configuration_of(MelStore(self.store))
        if self.datasets and configuration != KAKAO:
            raise InputError(
                f"{self.store} holds log-mels of {configuration}, and {', '.join(self.datasets)} "
                f"are of {KAKAO}: they cannot be learned from together"
            )
        return configuration

    def load(self, work: Path, say: Callable[[str], None] = print) -> list[Recording]:
        """The recordings.

        Raises
        ------
        MissingDataError, InputError
            If the cache, the store or the table is not there or cannot be used.
        """
        found: list[Recording] = []
        for name in self.datasets:
            found.extend(input_cache.load(work, name))
        if self.store is not None and self.table is not None:
            found.extend(self._own(Path(self.store), Path(self.table), say))
        return found

    def _own(self, store: Path, table: Path, say: Callable[[str], None]) -> list[StoredRecording]:
        from data_prep.mel_store import MelStore

        opened = MelStore(store)
        configuration = configuration_of(opened)
        labelled = open_recording_table(
            table,
            label_set_of(self.label_set),
            audio_column=self.id_column,
            label_column=self.label_column,
            group_column=self.group_column,
            as_paths=False,
        )
        found: list[StoredRecording] = []
        problems: list[str] = []
        counts: Counter[str] = Counter()
        for row in labelled.rows():
            reason, problem = row.reason, row.problem
            if row.shares is not None and row.text not in opened:
                reason, problem = "no recording", f"{row.text!r} is not in {store}"
            elif row.shares is not None and self.label_set in SCALES and row.shares.max() > 1.0:
                reason, problem = "malformed row", f"ratings of {self.label_set} go from 0 to 1"
            if row.shares is None or reason is not None:
                counts[str(reason)] += 1
                problems.append(f"row {row.number}: {problem}")
                continue
            shares = row.shares
            if self.label_set not in SCALES:
                shares = shares / shares.sum()
            found.append(
                StoredRecording(self.own, row.text, opened, configuration, row.group or "", shares)
            )
        if problems:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in counts.most_common())
            say(f"{table}: {len(problems):,} rows left out ({reasons}):")
            for line in problems[:_SHOWN]:
                say(f"  {line}")
        if not found:
            raise InputError(f"{table} has no row with labels of a song in {store}")
        return found

    @property
    def hash(self) -> str:
        """Hash of what is learned from, by name and place."""
        content = asdict(self)
        for name in ("store", "table"):
            content[name] = content[name] and str(Path(content[name]).resolve())
        return configuration_hash(content)

    def write(self, folder: Path) -> None:
        """Write it down beside a training."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"
        (folder / RECORDINGS_NAME).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> RecordingSources:
        """What :meth:`write` wrote.

        Raises
        ------
        MissingDataError
            If there is no such training.
        """
        path = folder / RECORDINGS_NAME
        if not path.is_file():
            raise MissingDataError(f"{path} is missing: run `maeum train audio` first")
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**content | {"datasets": tuple(content["datasets"])})


def configuration_of(store: MelStore) -> MelConfiguration:
    """The log-mel configuration of a store's songs.

    Raises
    ------
    InputError
        If this version makes no such log-mels.
    """
    try:
        return MelConfiguration(**store.features)
    except TypeError as error:
        raise InputError(
            f"{store.path} holds log-mels that this version does not make ({error}): make it anew "
            "with `maeum prepare mels`"
        ) from error
