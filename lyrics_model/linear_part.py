"""The wide part: a logistic regression on hashed character n-grams, of the six emotions alone.

It is fitted by itself and has a share in the network's answer, so that the two err
in different places. Learned together with the encoder by gradient, the same
n-grams added nothing: the encoder answers for the training texts, and nothing is
left for them to learn. On validation texts the encoder alone has a macro-F1 of 0.423
on KOTE, 0.369 on KPoEM, and 0.645 and 0.560 on GoEmotions in English and Korean; with a
third of the answer from the regression 0.450, 0.392, 0.641 and 0.565. Mood sentences
gain in Korean (0.780 to 0.877) and lose in English (0.930 to 0.846). With fewer
buckets, which n-grams share, the gain is less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, MissingDataError, ModelFolderError
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from lyrics_model.ngrams import ngram_ids
from lyrics_model.specification import NgramSpecification

FILE: Final = "linear.npz"
SHARE: Final = 1 / 3  # of the answer on the six emotions, before softmax
_STRENGTH: Final = 0.1  # C of scikit-learn's logistic regression
_ITERATIONS: Final = 200
_FEWEST: Final = 2  # texts that an n-gram stands in


@dataclass(frozen=True)
class LinearPart:
    """What every n-gram says.

    Attributes
    ----------
    table
        (buckets, 6) float32; row 0, padding, is zero.
    bias
        (6,) float32.
    """

    table: NDArray[np.float32]
    bias: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, table=self.table, bias=self.bias)

    @classmethod
    def load(cls, path: Path) -> LinearPart:
        """Read what :meth:`save` wrote.

        Raises
        ------
        MissingDataError
            If there is no such file.
        ModelFolderError
            If it is not such a file.
        """
        if not path.is_file():
            raise MissingDataError(f"{path} is missing: run `maeum train lyrics` first")
        try:
            with np.load(path) as content:
                return cls(content["table"], content["bias"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelFolderError(f"{path} holds no linear part: {error}") from error


def fit(
    texts: Sequence[str],
    emotions: NDArray[np.int64],
    weights: NDArray[np.float32],
    specification: NgramSpecification,
) -> LinearPart:
    """Fit on normalised texts, every emotion counting the same in all.

    An n-gram's value is weighted by its inverse document frequency, which ends in
    the table, so that nothing but the table is needed to answer.

    Parameters
    ----------
    emotions
        (texts,) index of each text's emotion.
    weights
        (texts,) how much each text counts.

    Raises
    ------
    InputError
        If an emotion has no text.
    """
    from scipy.sparse import csr_matrix, diags
    from sklearn.linear_model import LogisticRegression

    empty = [EMOTIONS[i] for i in range(N_EMOTIONS) if not (emotions == i).any()]
    if empty:
        raise InputError(
            f"no text has the emotion {', '.join(empty)}: nothing can be learned of it"
        )
    rows = [ngram_ids(text, specification) for text in texts]
    counts = np.array([len(row) for row in rows])
    values = np.repeat(1.0 / np.sqrt(np.maximum(counts, 1)), counts)
    edges = np.concatenate([[0], np.cumsum(counts)])
    shape = (len(texts), specification.buckets)
    given = csr_matrix((values, np.concatenate(rows), edges), shape=shape)
    given.sum_duplicates()
    documents = np.bincount(given.indices, minlength=specification.buckets)
    rarity = np.log((1 + len(texts)) / (1 + documents)) + 1.0
    rarity[documents < _FEWEST] = 0.0
    model = LogisticRegression(
        C=_STRENGTH, class_weight="balanced", max_iter=_ITERATIONS, tol=1e-3
    ).fit(given @ diags(rarity), emotions, sample_weight=weights)
    table = (model.coef_ * rarity).T.astype(np.float32)  # (buckets, 6)
    table[0] = 0.0
    return LinearPart(table, model.intercept_.astype(np.float32))
