"""The pretraining corpus: reviews and the label sets' training texts as word pieces.

Test texts never enter it, not even without their labels. Made once into
``work/corpus``: the tokenizer, the flat piece ids with row offsets, a rating per
row (0 = none), and vectors that the embeddings of the pieces start from. With a
published English encoder to start from, also its lower layers, and the sentences of
which we have translations with the vectors it gives them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from data_prep.errors import MissingDataError
from data_prep.readers import goemotions, kote, kpoem, nsmc
from lyrics_model.moods import read_moods
from lyrics_model.normalisation import normalise
from lyrics_model.published_start import PublishedEncoder, bilingual_tokenizer, english_pieces
from lyrics_model.specification import EncoderSpecification
from lyrics_model.tokens import encode, load_tokenizer, train_tokenizer
from lyrics_model.translations import Translations
from lyrics_model.word_vectors import PieceVectors, PublishedVectors, starting_vectors

FOLDER: Final = "corpus"
_TOKENIZER: Final = "tokenizer.json"
_ARRAYS: Final = "pieces.npz"
_SPECIFICATION: Final = "specification.json"
_VECTORS: Final = "vectors.npz"
_TRANSLATIONS: Final = "translations.npz"
_START: Final = "start.safetensors"
_ENCODE_AT_ONCE: Final = 20_000
_SHORTEST: Final = 4
ENGLISH_COPIES: Final = 3
_ENGLISH_PIECES: Final = 8_300
ENGLISH_COPIES_IN_VOCABULARY: Final = 8
_REVIEWS_IN_VOCABULARY: Final = 3


@dataclass(frozen=True)
class Corpus:
    """Rows of word pieces.

    Attributes
    ----------
    pieces
        All rows behind each other, uint16.
    offsets
        (rows + 1,) starts of the rows.
    ratings
        (rows,) 1..10, or 0 where a text has none.
    specification
        The encoder the pieces were cut for.
    vectors
        What its embeddings start from.
    translations
        Sentences in both languages, where a published encoder has read them.
    state
        Weights of that encoder that ours starts from, by the names of ours.
    """

    pieces: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    ratings: NDArray[np.int64]
    specification: EncoderSpecification
    vectors: PieceVectors
    translations: Translations | None = None
    state: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.ratings)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(rows,) pieces per row, special tokens included."""
        return np.diff(self.offsets)

    def row(self, index: int) -> NDArray[np.int32]:
        """Piece ids of one row."""
        return self.pieces[self.offsets[index] : self.offsets[index + 1]].astype(np.int32)


def label_texts(english_copies: int) -> Iterator[str]:
    """Training and validation texts of the label sets; English ones several times.

    English is a twentieth of the texts, so it is repeated to be learned at all,
    and more often still where the vocabulary is made, or its words fall apart.
    """
    for split in ("train", "validation"):
        for row in chain(
            kote.read(split), kpoem.read(split), goemotions.read(split, language="ko")
        ):
            yield row.text
        for row in goemotions.read(split, language="en"):
            for _ in range(english_copies):
                yield row.text
    for mood in read_moods("train"):
        yield mood.text


def _translations() -> Iterator[tuple[str, str]]:
    english = {row.id: row.text for row in goemotions.read("train", language="en")}
    for row in goemotions.read("train", language="ko"):
        if row.id in english:
            yield normalise(english[row.id]), normalise(row.text)


def prepare(
    work: Path,
    specification: EncoderSpecification | None = None,
    *,
    start: Path | None = None,
) -> Path:
    """Train the tokenizer and write the corpus under ``work/corpus``.

    Parameters
    ----------
    specification
        Dimensions; those of width come from the published encoder if there is one.
    start
        Folder of a published English encoder (:mod:`lyrics_model.published_start`) that
        ours starts from; without it, all but the Korean pieces start at random.

    Raises
    ------
    InputError
        If ``start`` holds no such encoder.
    MissingDataError
        If a data set is not there.
    MissingExtraError
        If kiwipiepy is not installed.
    """
    specification = specification or EncoderSpecification()
    published = PublishedEncoder.load(start) if start is not None else None
    if published is not None:
        specification = published.specification(
            specification.layers, specification.vocab_size, specification.max_tokens
        )
    folder = work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    rated = [(normalise(text), rating) for rating, text in nsmc.iter_reviews()]
    if not rated:
        raise MissingDataError("the NSMC reviews are empty: expected lines of `rating<TAB>text`")
    print(f"{len(rated):,} reviews; training a vocabulary of {specification.vocab_size:,} pieces")
    reviews = [text for text, _ in rated[::_REVIEWS_IN_VOCABULARY]]
    if published is None:
        tokenizer = train_tokenizer(
            chain(reviews, label_texts(ENGLISH_COPIES_IN_VOCABULARY)), specification.vocab_size
        )
    else:
        tokenizer = _published_vocabulary(published, reviews, specification.vocab_size)
    tokenizer.save(str(folder / _TOKENIZER))
    copies = ENGLISH_COPIES if published is None else 1
    rated += [(normalise(text), 0) for text in label_texts(copies)]
    pieces: list[NDArray[np.uint16]] = []
    lengths: list[int] = []
    ratings: list[int] = []
    for first in range(0, len(rated), _ENCODE_AT_ONCE):
        part = rated[first : first + _ENCODE_AT_ONCE]
        rows = encode(tokenizer, [text for text, _ in part], specification.max_tokens)
        for row, (_, rating) in zip(rows, part, strict=True):
            if len(row) >= _SHORTEST:
                pieces.append(row.astype(np.uint16))
                lengths.append(len(row))
                ratings.append(rating)
    np.savez(
        folder / _ARRAYS,
        pieces=np.concatenate(pieces),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        ratings=np.array(ratings, dtype=np.int64),
    )
    translations = list(_translations()) if published is not None else []
    vectors = starting_vectors(
        tokenizer,
        (text for text, _ in rated),
        translations,
        PublishedVectors(published.table, published.tokenizer.get_vocab()) if published else None,
        specification.hidden_size,
    )
    vectors.save(folder / _VECTORS)
    if published is not None:
        print(f"{len(translations):,} English sentences are read by the published encoder")
        save_file(published.state(specification), folder / _START)
        english, korean = ([pair[side] for pair in translations] for side in (0, 1))
        Translations(
            encode(tokenizer, english, specification.max_tokens),
            encode(tokenizer, korean, specification.max_tokens),
            published.vectors(english),
        ).save(folder / _TRANSLATIONS)
    (folder / _SPECIFICATION).write_text(json.dumps(asdict(specification)), encoding="utf-8")
    print(f"{sum(lengths):,} pieces in {len(lengths):,} rows → {folder}")
    return folder


def _published_vocabulary(
    published: PublishedEncoder, reviews: Sequence[str], vocab_size: int
) -> Tokenizer:
    """English pieces of the published encoder beside Korean ones made for our texts."""
    texts = [normalise(text) for text in label_texts(1)]
    korean = train_tokenizer(
        chain(reviews, (text for text in texts if not text.isascii())), vocab_size
    )
    english = english_pieces(
        published,
        [text for text in texts if text.isascii()],
        min(_ENGLISH_PIECES, vocab_size // 2),
    )
    return bilingual_tokenizer(english, korean, vocab_size)


def load_corpus(work: Path) -> Corpus:
    """Read what :func:`prepare` wrote; :class:`MissingDataError` if it is not there."""
    folder = work / FOLDER
    if not (folder / _SPECIFICATION).is_file():
        raise MissingDataError(f"{folder} holds no corpus: run `maeum prepare lyrics` first")
    load_tokenizer(folder / _TOKENIZER)
    with np.load(folder / _ARRAYS) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    settings = json.loads((folder / _SPECIFICATION).read_text(encoding="utf-8"))
    started = (folder / _START).is_file()
    return Corpus(
        specification=EncoderSpecification(**settings),
        vectors=PieceVectors.load(folder / _VECTORS),
        translations=Translations.load(folder / _TRANSLATIONS) if started else None,
        state=load_file(folder / _START) if started else None,
        **content,
    )


def load_vectors(work: Path) -> PieceVectors:
    """The vectors of a corpus, without its texts."""
    return PieceVectors.load(work / FOLDER / _VECTORS)


def tokenizer_path(work: Path) -> Path:
    """Where :func:`prepare` put the tokenizer."""
    return work / FOLDER / _TOKENIZER
