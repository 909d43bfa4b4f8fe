"""Serving of a lyric model folder: text → emotion distribution, by onnxruntime alone.

Two kinds of network are served. One with n-grams takes ``input_ids``,
``ngram_ids`` and ``ngram_weights`` (the embedded one); one without takes
``input_ids`` and ``attention_mask``, and its tokenizer.json says how texts are
cut, whatever encoder it was made for.

A song's lyrics are cleaned, cut into segments of four lines, and read segment by
segment; the song's distribution is the mean over segments, weighted by their
number of words that say something: syllables ("la la la") weigh nothing, and a
chorus counts once (:mod:`data_prep.lyric_preparation`). Everyday mood text is read
as one segment. The distribution is
the model's own, before calibration, which belongs to fusion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from data_prep.errors import InputError, ModelFolderError
from data_prep.language import detect_language
from data_prep.lyric_preparation import MAEUM, DroppedLyrics, WeightedSegments, prepare
from data_prep.model_folder import (
    NETWORK_NAME,
    TOKENIZER_NAME,
    ModelCard,
    configuration_hash,
    folder_hash,
    read_card,
)
from data_prep.onnx_network import open_network
from data_prep.taxonomy import N_EMOTIONS, native_label_set
from lyrics_model.ngrams import ngram_batch, ngram_ids
from lyrics_model.normalisation import normalise
from lyrics_model.specification import NgramSpecification
from lyrics_model.text_encoding import TextEncoding, padded
from lyrics_model.tokens import encode, load_tokenizer, pad
from lyrics_model.tuning_specification import activation_of

MAX_CHARACTERS: Final = 100_000
EMBEDDED: Final = Path(__file__).parent / "embedded"
RULES: Final = 2
"""Raised whenever code changes what is read of a text: part of the hash of an answer, so that
a catalogue knows which songs to read again."""
_TOKEN_BUDGET: Final = 256
"""Padded tokens of one run. More makes it slower: what lies between two layers no longer
fits the processor's cache (one thread: 256 is 1.25 times as fast as 1,024)."""


@dataclass(frozen=True)
class SegmentReading:
    """One segment: its text, its distribution (6,), and its weight in the song's mean."""

    text: str
    distribution: NDArray[np.float32]
    weight: float


@dataclass(frozen=True)
class LyricReading:
    """What the words of one text say.

    Attributes
    ----------
    distribution
        (6,) float32 that sums to one, or ``None`` with a ``reason``.
    language
        ``"ko"`` or ``"en"``; ``None`` where neither.
    notes
        Remarks for the user that are no failure.
    segments
        Per segment, in order.
    """

    distribution: NDArray[np.float32] | None
    language: str | None
    reason: str | None
    notes: tuple[str, ...] = ()
    segments: tuple[SegmentReading, ...] = ()


Feed = Callable[[Sequence[int]], dict[str, NDArray[Any]]]
"""Positions of some prepared texts → what the network takes for them."""


class WordsAndNgrams:
    """Texts as the embedded model reads them: word pieces and character n-grams."""

    names: Final = frozenset({"input_ids", "ngram_ids", "ngram_weights"})

    def __init__(self, tokenizer: Tokenizer, ngrams: NgramSpecification, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._ngrams = ngrams
        self._max_tokens = max_tokens

    def prepare(self, texts: Sequence[str]) -> tuple[list[int], Feed]:
        """Tokens of each text, and what gives the network's inputs."""
        folded = [normalise(text) for text in texts]
        pieces = encode(self._tokenizer, folded, self._max_tokens)

        def feed(items: Sequence[int]) -> dict[str, NDArray[Any]]:
            ids, weights = ngram_batch([ngram_ids(folded[i], self._ngrams) for i in items])
            return {
                "input_ids": pad([pieces[i] for i in items]),
                "ngram_ids": ids,
                "ngram_weights": weights,
            }

        return [len(row) for row in pieces], feed


class _WordsAlone:
    """Texts as any tuned encoder reads them."""

    names: Final = frozenset({"input_ids", "attention_mask"})

    def __init__(self, encoding: TextEncoding) -> None:
        self._encoding = encoding

    def prepare(self, texts: Sequence[str]) -> tuple[list[int], Feed]:
        """Tokens of each text, and what gives the network's inputs."""
        pieces = self._encoding.rows(texts)

        def feed(items: Sequence[int]) -> dict[str, NDArray[Any]]:
            ids, mask = padded([pieces[i] for i in items], self._encoding.pad_id)
            return {"input_ids": ids, "attention_mask": mask}

        return [len(row) for row in pieces], feed


class LyricPredictor:
    """A loaded lyric model; make one with :meth:`load` and share it between threads."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self.folder: Path = folder
        self.card: ModelCard = read_card(folder, "lyrics")
        self.model_hash: str = configuration_hash(
            {"folder": folder_hash(folder), "preparation": asdict(MAEUM), "rules": RULES}
        )
        tokenizer = load_tokenizer(folder / TOKENIZER_NAME)
        features = self.card.features
        self._input: WordsAndNgrams | _WordsAlone
        try:
            max_tokens = int(features["max_tokens"])
            if features["ngrams"] is None:
                encoding = TextEncoding(
                    tokenizer, features["normalisation"], max_tokens, int(features["pad_id"])
                )
                self._input = _WordsAlone(encoding)
            else:
                ngrams = NgramSpecification.of_card(features["ngrams"])
                self._input = WordsAndNgrams(tokenizer, ngrams, max_tokens)
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(
                f"{folder}: the features of the card do not describe a lyric model: {error}"
            ) from error
        self._session = open_network(folder / NETWORK_NAME, threads or 0)
        inputs = {entry.name for entry in self._session.get_inputs()}
        if inputs != self._input.names:
            raise ModelFolderError(
                f"{folder}: the network takes {', '.join(sorted(inputs))}, the card's features "
                f"give {', '.join(sorted(self._input.names))}"
            )
        self._columns: dict[str, slice] = {}
        self._outputs = 0
        for name, labels in self.card.labels.items():
            self._columns[name] = slice(self._outputs, self._outputs + len(labels))
            self._outputs += len(labels)
        width = self._session.get_outputs()[0].shape[-1]
        if width != self._outputs:
            raise ModelFolderError(
                f"{folder}: the network gives {width} outputs, the card's labels are "
                f"{self._outputs}"
            )
        self._projections: dict[str, NDArray[np.float32]] = {
            name: np.eye(N_EMOTIONS, dtype=np.float32)
            if name == "six"
            else native_label_set(name).projection()
            for name in self.card.labels
        }

    @classmethod
    def load(cls, folder: Path | None = None, *, threads: int | None = None) -> LyricPredictor:
        """Load a model folder; the embedded one if ``None``.

        Parameters
        ----------
        threads
            Of the network's runs; as many as the machine has cores if ``None``.

        Raises
        ------
        ModelFolderError
            If a file is missing or the labels or features do not fit.
        """
        return cls(folder or EMBEDDED, threads=threads)

    def native(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Probabilities of every native head.

        Parameters
        ----------
        texts
            Read as they are: no cleaning, no language gate, no segments.

        Returns
        -------
        Head name → (texts, labels) float32.
        """
        lengths, feed = self._input.prepare(texts)
        if len(texts) == 1:
            logits: NDArray[np.float32] = self._session.run(None, feed([0]))[0]
        else:
            logits = np.zeros((len(texts), self._outputs), dtype=np.float32)
            for items in _token_batches(lengths):
                logits[items] = self._session.run(None, feed(items))[0]
        return {
            name: activation_of(name)(logits[:, columns]) for name, columns in self._columns.items()
        }

    def distributions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, 6): the card's weighted mixture of the heads, each projected onto the six."""
        mixture = np.zeros((len(texts), N_EMOTIONS), dtype=np.float32)
        for name, native in self.native(texts).items():
            weight = self.card.head_weights[name]
            if weight > 0:
                six = native @ self._projections[name]
                mixture += weight * six / six.sum(axis=1, keepdims=True)
        mixture /= mixture.sum(axis=1, keepdims=True)
        return mixture

    def read(self, text: str, *, as_mood: bool = False) -> LyricReading:
        """Read one text.

        Parameters
        ----------
        text
            Lyrics, or everyday words; at most ``MAX_CHARACTERS`` long.
        as_mood
            Read the whole as one segment, without lyric cleaning.

        Raises
        ------
        InputError
            If the text is empty or too long.
        """
        return self.read_many([text], as_mood=as_mood)[0]

    def read_many(self, texts: Sequence[str], *, as_mood: bool = False) -> list[LyricReading]:
        """Read several texts in few network runs; as :meth:`read` for each."""
        prepared = [self._prepare(text, as_mood) for text in texts]
        flat = [text for segments, _, _ in prepared if segments for text in segments.segments]
        distributions = self.distributions(flat) if flat else np.zeros((0, N_EMOTIONS))
        readings = []
        start = 0
        for segments, language, reason in prepared:
            if segments is None:
                readings.append(LyricReading(None, language, reason))
                continue
            own = distributions[start : start + len(segments.segments)]
            start += len(segments.segments)
            mean = segments.mean(own)
            readings.append(
                LyricReading(
                    distribution=mean / mean.sum(),
                    language=language,
                    reason=None,
                    segments=tuple(
                        SegmentReading(segment, distribution.astype(np.float32), float(weight))
                        for segment, distribution, weight in zip(
                            segments.segments, own, segments.weights, strict=True
                        )
                    ),
                )
            )
        return readings

    def _prepare(
        self, text: str, as_mood: bool
    ) -> tuple[WeightedSegments | None, str | None, str | None]:
        """Segments to read, the language, and the reason why there is nothing to read."""
        if not text.strip():
            raise InputError("the text is empty: expected words in Korean or English")
        if len(text) > MAX_CHARACTERS:
            raise InputError(
                f"the text has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read: "
                "give one song at a time"
            )
        verdict = detect_language(text)
        if verdict.language is None:
            return None, None, verdict.reason
        if as_mood:
            whole = WeightedSegments((text.strip(),), np.ones(1, dtype=np.float32))
            return whole, verdict.language, None
        prepared = prepare(text)
        if isinstance(prepared, DroppedLyrics):
            return None, verdict.language, prepared.reason
        return prepared.segments, verdict.language, None


def _token_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Indices in batches of similar length whose padded size stays within the budget."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        batch = batches[-1] if batches else None
        if batch is not None and lengths[index] * (len(batch) + 1) <= _TOKEN_BUDGET:
            batch.append(index)
        else:
            batches.append([index])
    return batches
