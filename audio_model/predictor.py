"""From a recording to an emotion distribution, with onnxruntime and numpy alone.

decode → mono 16 kHz → log-mel and notes → windows of ten seconds → network → six. The
network holds several members (cross-fitted in training); a window's answer is
the mean of theirs, a recording's answer the mean over its windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import numpy as np
import soxr
from numpy.typing import NDArray

from audio_model import windows
from audio_model.decode import decode_excerpts
from audio_model.heads import SIX, head_slices, probabilities, served_six
from audio_model.log_mel import MelConfiguration
from audio_model.pitch import PitchConfiguration
from audio_model.tag_embedding import embed, embedding_configuration, spread_patches
from audio_model.windows import FrontEnd, WindowConfiguration, Windows
from data_prep.errors import InputError, ModelFolderError
from data_prep.model_folder import (
    CARD_NAME,
    EMBEDDING_NAME,
    NETWORK_NAME,
    ModelCard,
    folder_hash,
    read_card,
)
from data_prep.onnx_network import open_network
from data_prep.taxonomy import N_EMOTIONS

if TYPE_CHECKING:
    import onnxruntime

EMBEDDED: Final = Path(__file__).resolve().parent / "embedded"
"""The model folder that comes with the package."""

SHORTEST_S: Final = 0.5
"""A recording shorter than this, in seconds, is not read."""

_C = TypeVar("_C", MelConfiguration, PitchConfiguration, WindowConfiguration)

_SHORT_S: Final = 3.0
_SILENCE: Final = 2e-4  # peak to peak: below this there is nothing but dither and offset
_SILENCE_DB: Final = 0.5  # the same of a log-mel


@dataclass(frozen=True, eq=False)
class AudioReading:
    """What was heard in one recording.

    Attributes
    ----------
    distribution
        Array (6,), before calibration; ``None`` if there is nothing to hear.
    reason
        Why there is no distribution.
    notes
        Remarks for the user: cut off, very short, only a part was read.
    windows
        Array (n_windows, 6): the distribution of each window, in order.
    duration_s
        Length of the whole recording in seconds.
    """

    distribution: NDArray[np.float32] | None
    reason: str | None
    notes: tuple[str, ...]
    windows: NDArray[np.float32]
    duration_s: float


class AudioPredictor:
    """A loaded audio model.

    Attributes
    ----------
    folder
        The model folder.
    card
        Its card.
    model_hash
        Hash of what decides the answers; kept beside them in a catalogue.
    n_members
        Members of the network.
    """

    def __init__(
        self,
        folder: Path,
        card: ModelCard,
        session: onnxruntime.InferenceSession,
        embedding: onnxruntime.InferenceSession | None = None,
    ) -> None:
        self.folder = folder
        self.card = card
        self.model_hash = folder_hash(folder)
        self.front_end = _front_end(card, folder)
        self._rate = self.front_end.log_mel.sample_rate
        self._session = session
        self._embedding = embedding
        self._slices = head_slices(card.labels)
        n_logits = sum(len(labels) for labels in card.labels.values())
        given = {one.name: tuple(one.shape[1:]) for one in session.get_inputs()}
        wanted = self.front_end.input_shapes
        made = [one.shape for one in session.get_outputs()]
        if given != wanted or [shape[2:] for shape in made] != [[n_logits]]:
            raise ModelFolderError(
                f"{folder / NETWORK_NAME} does not fit its card: inputs {given} and outputs "
                f"{made}, expected {wanted} and [batch, members, {n_logits}]; export the model "
                "again"
            )
        self.n_members = int(made[0][1])

    @classmethod
    def load(cls, folder: Path | None = None, *, threads: int = 1) -> Self:
        """Load a model folder.

        Parameters
        ----------
        folder
            A folder made by ``maeum export-model audio``; the embedded one if
            ``None``.
        threads
            Threads within one operation of the network.

        Raises
        ------
        ModelFolderError
            If the folder is incomplete, damaged, of the other branch, or does not
            fit this version.
        """
        folder = EMBEDDED if folder is None else Path(folder)
        card = read_card(folder, "audio")
        embedding = None
        if card.features.get("embedding") is not None:
            if not (folder / EMBEDDING_NAME).is_file():
                raise ModelFolderError(
                    f"{folder / EMBEDDING_NAME} is missing: the model hears recordings with it; "
                    "export the model again"
                )
            embedding = open_network(folder / EMBEDDING_NAME, threads)
        return cls(folder, card, open_network(folder / NETWORK_NAME, threads), embedding)

    def read_file(self, path: Path | str) -> AudioReading:
        """Hear a sound file of any length.

        Raises
        ------
        InputError
            If the file is missing, or nothing in it can be decoded.
        """
        c = self.front_end
        excerpts = decode_excerpts(
            path, length_s=c.window_s, at_most=c.windows.at_most, sample_rate=self._rate
        )
        return self._read(excerpts.pieces, excerpts.duration_s, excerpts.notes)

    def read_log_mel(self, log_mel: NDArray[np.floating]) -> AudioReading:
        """Hear a recording of which only the log-mel is there.

        Parameters
        ----------
        log_mel
            Array (n_mels, n_frames) in dB, of the model's own configuration.

        Raises
        ------
        InputError
            If the model hears more of a recording than that, or shape or values make no
            sense.
        """
        c = self.front_end
        if log_mels_read(c) is None:
            raise InputError(f"the sound model {self.card.name!r} needs the recording itself")
        if log_mel.ndim != 2 or log_mel.shape[0] != c.log_mel.n_mels or not log_mel.shape[1]:
            raise InputError(
                f"a log-mel of shape {log_mel.shape}: expected ({c.log_mel.n_mels}, frames)"
            )
        if not np.isfinite(log_mel).all():
            raise InputError("a log-mel with values that are no numbers: expected dB")
        duration_s = log_mel.shape[1] / c.log_mel.frames_per_second
        if duration_s < SHORTEST_S:
            return _too_short(duration_s, ())
        if float(np.ptp(log_mel)) < _SILENCE_DB:
            return _nothing("the recording is silent", (), duration_s)
        spectra = windows.Spectra.without_notes(log_mel.astype(np.float32))
        return self._answered(windows.cut(windows.levelled([spectra], c), c), (), duration_s)

    def read_waveform(self, samples: NDArray[Any], sample_rate: int) -> AudioReading:
        """Hear a waveform.

        Parameters
        ----------
        samples
            Array (n_samples,) or (n_samples, n_channels); floats with full scale
            ±1, or signed integers, or unsigned 8 bits, with their own.
        sample_rate
            In Hz.

        Raises
        ------
        InputError
            If there is no sample, or shape, type or rate make no sense.
        """
        if not 1_000 <= sample_rate <= 1_000_000:
            raise InputError(f"a sample rate of {sample_rate} Hz: expected 1,000 to 1,000,000")
        mono, n_replaced = _mono(np.asarray(samples))
        notes = []
        if n_replaced:
            notes.append(f"{n_replaced} samples were not numbers and were read as silence")
        duration_s = mono.size / sample_rate
        c, length = self.front_end.windows, int(self.front_end.window_s * sample_rate)
        pieces = [mono]
        if mono.size > c.at_most * length:
            starts = np.linspace(0, mono.size - length, c.at_most).astype(int)
            pieces = [mono[start : start + length] for start in starts]
            notes.append(f"{c.at_most} windows spread over {duration_s:.0f} s were read")
        if sample_rate != self._rate:
            pieces = [soxr.resample(piece, sample_rate, self._rate) for piece in pieces]
        return self._read(pieces, duration_s, tuple(notes))

    def windows(self, pieces: Sequence[NDArray[np.float32]]) -> Windows:
        """What the network sees of one recording.

        Parameters
        ----------
        pieces
            Mono waveforms at the model's rate: the whole recording, or excerpts.
        """
        # the embedding takes about as long as all the rest: beside it, not after it
        with ThreadPoolExecutor(max_workers=1) as beside:
            embeddings = beside.submit(self.patch_embeddings, pieces)
            levelled = windows.levelled(windows.spectra(pieces, self.front_end), self.front_end)
            found = windows.cut(levelled, self.front_end)
            vectors = embeddings.result()
        return found.of_recording(vectors.mean(axis=0)) if len(vectors) else found

    def patch_embeddings(self, pieces: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """What the model's embedding network makes of patches of one recording.

        Parameters
        ----------
        pieces
            As for :meth:`windows`.

        Returns
        -------
        Array (n_patches, size), whose mean stands for the recording; (0, 0) if the
        model has no such network.
        """
        c = self.front_end.embedding
        if c is None or self._embedding is None:
            return np.zeros((0, 0), dtype=np.float32)
        return embed(self._embedding, spread_patches(pieces, c))

    def read_members(self, window: Windows) -> NDArray[np.float32]:
        """Probabilities of all heads by every member.

        Parameters
        ----------
        window
            As :func:`audio_model.windows.cut` gives them.

        Returns
        -------
        Array (n_windows, n_members, n_logits); the heads lie as in the card.
        """
        # one window at a time is faster than a batch: its maps stay in cache
        inputs = {name: getattr(window, name) for name in self.front_end.input_shapes}
        logits = [
            self._session.run(None, {name: part[i : i + 1] for name, part in inputs.items()})[0]
            for i in range(len(window.log_mel))
        ]
        return probabilities(np.concatenate(logits), self._slices)

    def six(self, member_probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """The served six: (..., n_members, n_logits) → (..., 6), mean of the members."""
        six = served_six(member_probabilities, self.card.labels, self.card.head_weights[SIX])
        mean: NDArray[np.float32] = six.mean(axis=-2)
        return mean

    def _read(
        self,
        pieces: Sequence[NDArray[np.float32]],
        duration_s: float,
        notes: tuple[str, ...],
    ) -> AudioReading:
        if duration_s < SHORTEST_S:
            return _too_short(duration_s, notes)
        if max(float(np.ptp(piece)) for piece in pieces if piece.size) < _SILENCE:
            return _nothing("the recording is silent", notes, duration_s)
        return self._answered(self.windows(pieces), notes, duration_s)

    def _answered(self, found: Windows, notes: tuple[str, ...], duration_s: float) -> AudioReading:
        if duration_s < _SHORT_S:
            notes = (*notes, f"only {duration_s:.1f} s of sound: the answer is uncertain")
        six = self.six(self.read_members(found))
        distribution = six.mean(axis=0, dtype=np.float64)
        distribution = (distribution / distribution.sum()).astype(np.float32)
        return AudioReading(distribution, None, notes, six, duration_s)


def log_mels_read(front_end: FrontEnd) -> MelConfiguration | None:
    """The log-mels that are all a front end needs of a recording; ``None`` if it needs more."""
    if front_end.pitch is not None or front_end.embedding is not None:
        return None
    return front_end.log_mel


def log_mels_read_by(folder: Path | None = None) -> MelConfiguration | None:
    """The same of a model, told by its card alone.

    Parameters
    ----------
    folder
        Model folder; the embedded one if ``None``.

    Raises
    ------
    ModelFolderError
        If the card cannot be read.
    """
    folder = EMBEDDED if folder is None else folder
    return log_mels_read(_front_end(read_card(folder, "audio"), folder))


def _too_short(duration_s: float, notes: tuple[str, ...]) -> AudioReading:
    reason = f"the recording is too short: {duration_s:.2f} s, at least {SHORTEST_S} s"
    return _nothing(reason, notes, duration_s)


def _nothing(reason: str, notes: tuple[str, ...], duration_s: float) -> AudioReading:
    no_windows = np.zeros((0, N_EMOTIONS), dtype=np.float32)
    return AudioReading(None, reason, notes, no_windows, duration_s)


def _front_end(card: ModelCard, folder: Path) -> FrontEnd:
    log_mel = _configuration(MelConfiguration, card, "log_mel", folder)
    pitch = None
    if card.features.get("pitch") is not None:
        pitch = _configuration(PitchConfiguration, card, "pitch", folder)
    cut = _configuration(WindowConfiguration, card, "windows", folder)
    try:
        embedding = embedding_configuration(card.features.get("embedding"))
        return FrontEnd(log_mel, pitch, cut, embedding)
    except (KeyError, TypeError) as error:
        raise ModelFolderError(
            f"{folder / CARD_NAME}: features['embedding'] does not fit this version ({error}); "
            "export the model again"
        ) from error
    except InputError as error:
        raise ModelFolderError(f"{folder / CARD_NAME}: {error}") from error


def _configuration(kind: type[_C], card: ModelCard, key: str, folder: Path) -> _C:
    """One of the card's feature configurations; every field must be there."""
    stored = card.features.get(key)
    expected = {field.name for field in fields(kind)}
    if not isinstance(stored, dict) or set(stored) != expected:
        raise ModelFolderError(
            f"{folder / CARD_NAME}: features[{key!r}] does not fit this version, which expects "
            f"{', '.join(sorted(expected))}; export the model again"
        )
    try:
        return kind(**stored)
    except (InputError, TypeError) as error:
        raise ModelFolderError(f"{folder / CARD_NAME}: features[{key!r}]: {error}") from error


def _mono(samples: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """Mean of the channels as float32 in ±1, and how many values were not numbers."""
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise InputError(
            "expected a waveform (n_samples,) or (n_samples, n_channels) with samples in it, "
            f"got shape {samples.shape}"
        )
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128.0) / np.float32(128.0)
    elif np.issubdtype(samples.dtype, np.signedinteger):
        samples = samples.astype(np.float32) / np.float32(-float(np.iinfo(samples.dtype).min))
    elif not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"expected samples as floats or integers, got {samples.dtype}")
    waveform = samples.astype(np.float32)
    if waveform.ndim == 2:
        n_channels = waveform.shape[1]
        waveform = waveform @ np.full(n_channels, 1.0 / n_channels, dtype=np.float32)
    bad = ~np.isfinite(waveform)
    n_replaced = int(bad.sum())
    if n_replaced:
        waveform[bad] = 0.0
    return np.ascontiguousarray(waveform), n_replaced
