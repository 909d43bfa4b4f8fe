"""What Korean words mean before any text is read: a start for the embeddings of the pieces.

A small encoder pretrained for an hour learns which words are frequent; what they
mean takes far more text. Kiwi's language model (``kiwipiepy``, Apache-2.0, trained on
the Sejong and NIKL corpora) has a vector for each of 70,000 Korean morphemes.

1. Kiwi tells cosines, not vectors. Cosines to some hundreds of anchors determine
   the vectors up to a rotation, which is all that an embedding needs
   (:func:`vectors_from_cosines`).
2. A Korean word's vector is the sum of its morphemes', endings and particles less.
3. Where the encoder starts from a published English one, Korean vectors are mapped
   into the space of its embeddings, so that a sentence and its translation lie close
   (:func:`translation_map`).
4. Pieces get the vectors whose sums over the pieces of each word come nearest to the
   words' vectors (ridge regression weighted by the root of the word's count).

Kiwi is not needed to serve.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from tokenizers import Tokenizer

from data_prep.errors import InputError, MissingExtraError

N_ANCHORS: Final = 700
SPREAD: Final = 0.04
"""Standard deviation of the table: that of an embedding that has been trained a little."""

_KIWI_SIZE: Final = 256
_FUNCTION_WEIGHT: Final = 0.3  # of particles, endings and suffixes beside content words
_FUNCTION_TAGS: Final = ("J", "E", "XS", "VCP", "SF", "SP")
_COUNT_LIMIT: Final = 10_000
_RIDGE: Final = 1.0
_MAP_RIDGE: Final = 100.0


@dataclass(frozen=True)
class PieceVectors:
    """A start for the embeddings.

    Attributes
    ----------
    table
        (vocab_size, dimensions) float32, mean zero and standard deviation
        :data:`SPREAD` over the known pieces; random where nothing is known.
    known
        (vocab_size,) whether any word with a vector holds the piece.
    words
        ``ko``: Korean words whose vectors it rests on; ``en``: English pieces copied.
    """

    table: NDArray[np.float32]
    known: NDArray[np.bool_]
    words: dict[str, int]

    def save(self, path: Path) -> None:
        """Write as ``.npz``."""
        np.savez(path, table=self.table, known=self.known, words=json.dumps(self.words))

    @classmethod
    def load(cls, path: Path) -> PieceVectors:
        """Read what :meth:`save` wrote."""
        with np.load(path) as content:
            return cls(content["table"], content["known"], json.loads(str(content["words"])))


@dataclass(frozen=True)
class PublishedVectors:
    """Word embeddings of a published encoder: (pieces, dimensions) and the row of each piece."""

    table: NDArray[np.float32]
    rows: Mapping[str, int]


def vectors_from_cosines(
    cosines: NDArray[np.floating], anchors: Sequence[int], dimensions: int
) -> NDArray[np.float64]:
    """Unit vectors (n, dimensions), up to a rotation, from their cosines to some of them.

    Parameters
    ----------
    cosines
        Array (n, n_anchors).
    anchors
        Rows of the anchors; more than ``dimensions``.

    Raises
    ------
    InputError
        If the anchors do not span that many dimensions.
    """
    gram = cosines[list(anchors)].astype(np.float64)
    values, axes = np.linalg.eigh((gram + gram.T) / 2)
    values, axes = values[::-1][:dimensions], axes[:, ::-1][:, :dimensions]
    if len(values) < dimensions or values[-1] <= 1e-6:
        raise InputError(
            f"{len(anchors)} anchors do not span {dimensions} dimensions: expected more anchors"
        )
    found: NDArray[np.float64] = cosines @ axes / np.sqrt(values)
    return found


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Centred, then of length one: what all have in common says nothing."""
    centred = vectors - vectors.mean(axis=0)
    unit: NDArray[np.float64] = centred / np.maximum(
        np.linalg.norm(centred, axis=1, keepdims=True), 1e-9
    )
    return unit


def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise MissingExtraError("the vectors of Korean words (kiwipiepy)") from error
    return Kiwi(num_workers=1)


def korean_words(
    words: Sequence[str], *, most: int | None = None, say: Callable[[str], None] = print
) -> dict[str, NDArray[np.float64]]:
    """Vectors (256,) of Korean words: of those that hold a morpheme Kiwi knows.

    Parameters
    ----------
    words
        As they are written.
    most
        Only the so many most frequent morphemes; all if not given.

    Raises
    ------
    MissingExtraError
        If kiwipiepy is not installed.
    """
    kiwi = _kiwi()
    every = kiwi.most_similar_morphemes(kiwi.tokenize("슬프다")[0].id, top_n=10**6)
    identities = sorted(morpheme.id for morpheme in every)[:most]
    tags = {morpheme.id: morpheme.tag for morpheme in every}
    random = np.random.default_rng(0)
    # low numbers are frequent morphemes, whose vectors are sure
    anchors = sorted(random.choice(len(identities) // 2, N_ANCHORS, replace=False).tolist())
    cosines = np.empty((len(identities), N_ANCHORS), dtype=np.float32)
    for column, anchor in enumerate(anchors):
        other = identities[anchor]
        cosines[:, column] = [kiwi.morpheme_similarity(one, other) for one in identities]
        cosines[anchor, column] = 1.0
        if column % 100 == 99:
            say(f"vectors of {len(identities):,} morphemes: {column + 1} of {N_ANCHORS} anchors")
    vectors = _unit(vectors_from_cosines(cosines, anchors, _KIWI_SIZE))
    row = {identity: n for n, identity in enumerate(identities)}
    light = [tags[identity].startswith(_FUNCTION_TAGS) for identity in identities]
    vectors *= np.where(light, _FUNCTION_WEIGHT, 1.0)[:, None]
    found = {}
    for word, morphemes in zip(words, kiwi.tokenize(list(words)), strict=True):
        known = [row[morpheme.id] for morpheme in morphemes if morpheme.id in row]
        if known:
            found[word] = vectors[known].sum(axis=0)
    return found


def translation_map(
    english: Mapping[str, NDArray[np.floating]],
    korean: Mapping[str, NDArray[np.float64]],
    translations: Iterable[tuple[Sequence[str], Sequence[str]]],
    counts: Mapping[str, int],
) -> NDArray[np.float64]:
    """Matrix (korean size, english size) that brings sentences near their translations.

    Parameters
    ----------
    english
        Centred vectors of English words.
    translations
        Words of an English sentence, and of the same sentence in Korean.
    counts
        How often each word occurs; a sentence is the mean of its words' vectors,
        frequent ones less (inverse log frequency).

    Raises
    ------
    InputError
        If no pair has vectors in both languages.
    """
    total = sum(counts.values())

    def mean(
        words: Sequence[str], vectors: Mapping[str, NDArray[np.floating]]
    ) -> NDArray[np.float64] | None:
        rows = [
            vectors[word] * np.log(total / (counts.get(word, 0) + 5))
            for word in words
            if word in vectors
        ]
        return np.mean(rows, axis=0) if rows else None

    pairs = [(mean(one, english), mean(other, korean)) for one, other in translations]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not both:
        raise InputError("no translated sentence has vectors in both languages")
    wanted, given = (np.stack([pair[side] for pair in both]) for side in (0, 1))
    wanted, given = wanted - wanted.mean(axis=0), given - given.mean(axis=0)
    normal = given.T @ given + _MAP_RIDGE * np.eye(given.shape[1])
    found: NDArray[np.float64] = np.linalg.solve(normal, given.T @ wanted)
    return found


def piece_vectors(
    tokenizer: Tokenizer,
    words: Mapping[str, NDArray[np.float64]],
    counts: Mapping[str, int],
    dimensions: int,
    *,
    seed: int = 0,
) -> PieceVectors:
    """Vectors of pieces whose sums come nearest to the vectors of words.

    Parameters
    ----------
    words
        Normalised words and their vectors, all of one size.
    counts
        Occurrences; a word counts by the root of them.
    dimensions
        Of the embedding: vectors are cut to their principal axes, or widened by zeros.
    """
    names = list(words)
    wanted = np.stack([words[name] for name in names])
    cut = tokenizer.encode_batch(names, add_special_tokens=False)
    rows = np.repeat(np.arange(len(names)), [len(item.ids) for item in cut])
    columns = np.concatenate([item.ids for item in cut])
    shape = (len(names), tokenizer.get_vocab_size())
    pieces = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    weight = np.sqrt(np.minimum([counts.get(name, 1) for name in names], _COUNT_LIMIT))
    weighted = sparse.diags_array(weight) @ pieces
    normal = (pieces.T @ weighted + _RIDGE * sparse.eye_array(shape[1])).tocsr()
    solved = _solve(normal, weighted.T @ wanted)
    known = np.asarray(pieces.sum(axis=0)).ravel() > 0
    centred = solved[known] - solved[known].mean(axis=0)
    if dimensions < centred.shape[1]:
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        centred = centred @ axes[:dimensions].T
    table = np.random.default_rng(seed).normal(scale=SPREAD / 2, size=(shape[1], dimensions))
    table[known] = 0.0
    table[known, : centred.shape[1]] = centred * (SPREAD / centred.std())
    return PieceVectors(table.astype(np.float32), known, {"ko": len(names), "en": 0})


def _solve(
    normal: sparse.csr_matrix[Any], right: NDArray[np.float64], tolerance: float = 1e-4
) -> NDArray[np.float64]:
    """Conjugate gradients on all columns at once, scaled by the diagonal."""
    diagonal = normal.diagonal()[:, None]
    solution = np.zeros_like(right)
    residual = right.copy()
    step = residual / diagonal
    along = (residual * step).sum(axis=0)
    for _ in range(500):
        if np.linalg.norm(residual) <= tolerance * np.linalg.norm(right):
            break
        image = normal @ step
        length = along / np.maximum((step * image).sum(axis=0), 1e-30)
        solution += step * length
        residual -= image * length
        scaled = residual / diagonal
        following = (residual * scaled).sum(axis=0)
        step = scaled + step * (following / np.maximum(along, 1e-30))
        along = following
    return solution


def starting_vectors(
    tokenizer: Tokenizer,
    texts: Iterable[str],
    translations: Iterable[tuple[str, str]],
    english: PublishedVectors | None,
    dimensions: int,
    *,
    say: Callable[[str], None] = print,
) -> PieceVectors:
    """A start for the embeddings of a vocabulary.

    Parameters
    ----------
    texts
        Normalised texts, for the words and their counts.
    translations
        Normalised sentences, English and Korean.
    english
        Pieces of a published English encoder, taken as they are; Korean vectors are
        mapped into their space. ``None`` leaves English pieces random.
    """

    def split(text: str) -> list[str]:
        return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    counts = Counter(word for text in texts for word in split(text))
    often = [word for word, n in counts.items() if n > 1 and _is_korean(word)]
    words = korean_words(often, say=say)
    say(f"vectors of {len(words):,} Korean words")
    if english is None:
        return piece_vectors(tokenizer, words, counts, dimensions)
    centre = english.table.mean(axis=0)
    known = {
        word: english.table[row] - centre
        for word, row in english.rows.items()
        if word.isalpha() and word in counts
    }
    pairs = ((split(one), split(other)) for one, other in translations)
    mapping = translation_map(known, words, pairs, counts)
    mapped = {word: vector @ mapping for word, vector in words.items()}
    found = piece_vectors(tokenizer, mapped, counts, dimensions)
    spread = float((english.table - centre).std())
    table = found.table * (spread / SPREAD) + centre.astype(np.float32)
    copied = 0
    for piece, number in tokenizer.get_vocab().items():
        if piece in english.rows and not found.known[number]:
            table[number] = english.table[english.rows[piece]]
            found.known[number] = True
            copied += 1
    say(f"{int(found.known.sum()):,} of {len(found.known):,} pieces start from what they mean")
    return PieceVectors(table, found.known, {"ko": len(words), "en": copied})


def _is_korean(word: str) -> bool:
    return any("가" <= letter <= "힣" or "ㄱ" <= letter <= "ㅣ" for letter in word)
