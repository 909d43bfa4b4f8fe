"""How alike the labels of a set are: the matrix S of the published similarity-weighted score.

S is computed from training data and has values from 0 to 1, ones on the diagonal;
it is symmetric. Rows are *not* scaled to sum to one: S says what an answer on
another label is worth, so that a certain and right answer scores 1 in every
label set, and a score is a share of the most that can be reached.

- Sets of which a text can have several labels, or shares of them (KOTE, KPoEM,
  GoEmotions; the six emotions that their labels are projected onto):
  *co-occurrence*, the cosine of two labels' columns of the training rows. Shares
  are non-negative, so the cosine is, too; two labels that never occur together
  have 0.
- Sets of which a text has one label (AI-Hub's): columns never meet, so *texts*
  are compared. A label is the mean of its texts, each a vector of hashed
  character n-grams of unit length, weighed by how few texts have an n-gram (idf);
  from it the mean of all labels is taken away, since all Korean text is alike;
  the cosine of what is left is cut off at 0.

A label that no training row has is like itself alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, MissingDataError
from data_prep.readers import goemotions, kote, kpoem
from data_prep.readers.labelled_table import SIX, LabelledTable, LabelSet, label_set_of
from data_prep.readers.row import TextRow
from data_prep.taxonomy import project
from lyrics_model.ngrams import ngram_ids
from lyrics_model.normalisation import normalise
from lyrics_model.specification import NgramSpecification

Method = Literal["co-occurrence", "texts"]

_NGRAMS: Final = NgramSpecification(buckets=32_768)
_VERSION: Final = 1


@dataclass(frozen=True, eq=False)
class LabelSimilarity:
    """S with where it comes from.

    Attributes
    ----------
    label_set
        Key of the native label set, or ``"six"``.
    labels
        In the order of the matrix.
    matrix
        (labels, labels), 0..1, symmetric, ones on the diagonal.
    method, source, rows
        How, from what, and from how many rows it was computed.
    """

    label_set: str
    labels: tuple[str, ...]
    matrix: NDArray[np.float64]
    method: Method
    source: str
    rows: int

    def __post_init__(self) -> None:
        n = len(self.labels)
        matrix = self.matrix
        if matrix.shape != (n, n):
            raise InputError(f"the similarity of {n} labels must be ({n}, {n}), got {matrix.shape}")
        if not (np.all(matrix >= 0) and np.all(matrix <= 1) and np.allclose(matrix, matrix.T)):
            raise InputError("a similarity of labels must be symmetric and from 0 to 1")
        if not np.allclose(np.diag(matrix), 1.0):
            raise InputError("a label's similarity to itself must be 1")
        if self.method not in get_args(Method):
            raise InputError(
                f"similarity method {self.method!r}: expected one of {', '.join(get_args(Method))}"
            )

    def save(self, path: Path) -> None:
        """Write as JSON."""
        content = {
            "version": _VERSION,
            "label_set": self.label_set,
            "method": self.method,
            "source": self.source,
            "rows": self.rows,
            "labels": list(self.labels),
            "matrix": [[round(float(value), 6) for value in row] for row in self.matrix],
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path, label_set: LabelSet) -> LabelSimilarity:
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If the file cannot be read, or is of other labels than ``label_set``.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = cls(
                label_set=content["label_set"],
                labels=tuple(content["labels"]),
                matrix=np.array(content["matrix"], dtype=np.float64),
                method=content["method"],
                source=content["source"],
                rows=int(content["rows"]),
            )
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} holds no label similarity: {error!r}") from error
        if (found.label_set, found.labels) != (label_set.name, label_set.labels):
            raise InputError(
                f"{path} is the similarity of {found.label_set!r} ({len(found.labels)} labels), "
                f"expected {label_set.name!r} ({len(label_set.labels)} labels)"
            )
        return found


def co_occurrence(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosine of labels' columns.

    Parameters
    ----------
    shares
        Training rows (rows, labels), non-negative.

    Returns
    -------
    (labels, labels).
    """
    columns = np.asarray(shares, dtype=np.float64)
    if columns.ndim != 2 or not len(columns) or columns.min() < 0:
        raise InputError(f"expected non-negative shares (rows, labels), got {columns.shape}")
    return _cosine(columns.T @ columns)


def text_likeness(
    texts: Sequence[str], labels: NDArray[np.integer], n_labels: int
) -> NDArray[np.float64]:
    """Cosine of labels' mean texts, less what all labels share; negative values are 0.

    Parameters
    ----------
    texts
        Training texts.
    labels
        Index of each text's label (texts,).

    Returns
    -------
    (labels, labels).
    """
    if not len(texts) or len(texts) != len(labels):
        raise InputError(f"expected as many labels as texts, got {len(labels)} and {len(texts)}")
    sums = np.zeros((n_labels, _NGRAMS.buckets))
    documents = np.zeros(_NGRAMS.buckets)
    for text, label in zip(texts, labels, strict=True):
        buckets, counts = np.unique(ngram_ids(normalise(text), _NGRAMS), return_counts=True)
        if len(buckets):
            sums[label, buckets] += counts / np.linalg.norm(counts)
            documents[buckets] += 1
    used = np.bincount(labels, minlength=n_labels)
    present = used > 0
    idf = np.log((1 + len(texts)) / (1 + documents)) + 1
    means = sums[present] / used[present, None] * idf
    means -= means.mean(axis=0)
    matrix = np.eye(n_labels)
    matrix[np.ix_(present, present)] = np.maximum(_cosine(means @ means.T), 0.0)
    return matrix


def similarity_of_rows(
    label_set: LabelSet, texts: Sequence[str], shares: NDArray[np.floating], source: str
) -> LabelSimilarity:
    """S of training rows, by the method that fits them.

    Parameters
    ----------
    texts, shares
        Training texts, and their labels (texts, labels).
    source
        What the rows are, for the file.

    Raises
    ------
    InputError
        If there are no rows.
    """
    if not len(texts):
        raise InputError(f"{source} has no row to compute the label similarity from")
    single = bool((np.count_nonzero(shares, axis=1) == 1).all())
    matrix = (
        text_likeness(texts, shares.argmax(axis=1), len(label_set.labels))
        if single
        else co_occurrence(shares)
    )
    method: Method = "texts" if single else "co-occurrence"
    return LabelSimilarity(label_set.name, label_set.labels, matrix, method, source, len(texts))


def similarities_of_table(table: LabelledTable) -> list[LabelSimilarity]:
    """S of a user's own labelled training table, and of the six its labels are projected onto.

    Rows that cannot be used are passed over.

    Raises
    ------
    InputError
        If none can be used.
    """
    rows = [row for row in table.rows() if row.shares is not None]
    texts = [row.text for row in rows]
    shares = np.array([row.shares for row in rows]).reshape(len(rows), len(table.label_set.labels))
    found = [similarity_of_rows(table.label_set, texts, shares, table.name)]
    if table.label_set.name != SIX:
        six = project(table.label_set.name, shares)
        mapped = np.flatnonzero(six.any(axis=1))
        if len(mapped):
            source = f"{table.name}, projected onto the six"
            texts = [texts[i] for i in mapped]
            found.append(similarity_of_rows(label_set_of(SIX), texts, six[mapped], source))
    return found


def similarity_of_training_data(label_set: LabelSet) -> LabelSimilarity | None:
    """S of the training splits in the data folder; ``None`` for a set that none of them has.

    Raises
    ------
    MissingDataError
        If they are not there.
    """
    poems, comments = "KOTE and KPoEM, training splits", "GoEmotions, training split"
    if label_set.name == SIX:
        shares = [
            project("kote", _korean_shares()),
            project("goemotions", _stacked(goemotions.read("train", language="en"))),
        ]
        six = np.concatenate(shares)
        six = six[six.any(axis=1)]
        source = f"{poems}, and {comments}, projected onto the six"
        matrix = co_occurrence(six)
        return LabelSimilarity(
            label_set.name, label_set.labels, matrix, "co-occurrence", source, len(six)
        )
    if label_set.name == kote.LABEL_SET:
        shares_of_set, source = _korean_shares(), poems
    elif label_set.name == goemotions.LABEL_SET:
        shares_of_set, source = _stacked(goemotions.read("train", language="en")), comments
    else:
        return None
    matrix = co_occurrence(shares_of_set)
    return LabelSimilarity(
        label_set.name, label_set.labels, matrix, "co-occurrence", source, len(shares_of_set)
    )


def similarities_for(
    label_set: LabelSet,
    *,
    file: Path | None = None,
    training: LabelledTable | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, LabelSimilarity]:
    """S of a label set, and of the six it is projected onto: from where it can be had.

    Parameters
    ----------
    file
        What :meth:`LabelSimilarity.save` wrote, for ``label_set``.
    training
        A labelled training table with labels of ``label_set``.
    say
        Told what could not be computed, and what to give.

    Returns
    -------
    Key of a label set → S; without those that cannot be had.

    Raises
    ------
    InputError
        If the file or the table cannot be used.
    """
    found: dict[str, LabelSimilarity] = {}
    if training is not None:
        found |= {s.label_set: s for s in similarities_of_table(training)}
    if file is not None:
        found[label_set.name] = LabelSimilarity.load(file, label_set)
    for wanted in (label_set, label_set_of(SIX)):
        if wanted.name in found:
            continue
        try:
            computed = similarity_of_training_data(wanted)
        except MissingDataError as error:
            say(f"no similarity-weighted score of {wanted.name}: {error}")
            continue
        if computed is None:
            say(
                f"no similarity-weighted score of {wanted.name}: "
                "its training texts are yours, give them with --training-table"
            )
        else:
            found[wanted.name] = computed
    return found


def _korean_shares() -> NDArray[np.float32]:
    return np.concatenate([_stacked(kote.read("train")), _stacked(list(kpoem.read("train")))])


def _stacked(rows: Sequence[TextRow]) -> NDArray[np.float32]:
    return np.stack([row.shares for row in rows])


def _cosine(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines from inner products (n, n); exact ones on the diagonal, 0 beside an empty vector."""
    norms = np.sqrt(np.diag(products))
    scale = np.outer(norms, norms)
    cosine: NDArray[np.float64] = np.zeros_like(products)
    np.divide(products, scale, out=cosine, where=scale > 0)
    cosine = np.clip((cosine + cosine.T) / 2, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    return cosine
