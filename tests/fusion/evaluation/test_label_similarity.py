"""The label similarity: by hand on small sets, sensible on the real ones, kept in a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.data_folder import data_root
from data_prep.errors import InputError
from data_prep.readers.labelled_table import LabelSet, label_set_of, open_labelled_table
from fusion.evaluation.label_similarity import (
    LabelSimilarity,
    co_occurrence,
    similarities_for,
    similarities_of_table,
    similarity_of_rows,
    similarity_of_training_data,
    text_likeness,
)

ABC = LabelSet("abc", ("a", "b", "c"))


def test_co_occurrence_by_hand() -> None:
    shares = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0.5, 0, 0], [1, 1, 0, 1]])
    # a and b meet in rows 0 and 3: 2 / sqrt(3 · 2.25); a and d in one: 1 / sqrt(3 · 1).
    matrix = co_occurrence(shares)
    assert matrix[0, 1] == pytest.approx(2 / np.sqrt(3 * 2.25))
    assert matrix[0, 3] == pytest.approx(1 / np.sqrt(3))
    assert matrix[1, 3] == pytest.approx(1 / 1.5)
    assert matrix[2].tolist() == [0, 0, 1, 0]  # no row has it
    assert np.array_equal(matrix, matrix.T)
    assert np.diag(matrix).tolist() == [1, 1, 1, 1]


def test_labels_of_like_texts_are_alike() -> None:
    texts = ["so happy and glad", "glad, so happy", "happy and joyful", "joyful and glad"]
    texts += ["terribly angry now", "angry at it now", "the sky is grey", "grey is the sky"]
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    matrix = text_likeness(texts, labels, 5)
    others = matrix[np.triu_indices(5, 1)][1:]
    assert matrix[0, 1] > others.max()
    assert matrix[0, 1] > 0
    assert matrix[4].tolist() == [0, 0, 0, 0, 1]  # no text has it
    assert matrix.min() >= 0
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(np.diag(matrix), 1)
    order = np.random.default_rng(0).permutation(len(texts))
    again = text_likeness([texts[i] for i in order], labels[order], 5)
    assert again == pytest.approx(matrix)


def test_the_method_follows_the_labels() -> None:
    texts = ["one", "two", "three"]
    assert similarity_of_rows(ABC, texts, np.eye(3), "x").method == "texts"
    several = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]])
    found = similarity_of_rows(ABC, texts, several, "x")
    assert found.method == "co-occurrence"
    assert found.matrix[0, 1] == pytest.approx(1 / np.sqrt(2))
    with pytest.raises(InputError, match="x has no row"):
        similarity_of_rows(ABC, [], np.zeros((0, 3)), "x")


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    kept = LabelSimilarity(
        "abc", ABC.labels, np.array([[1, 0.25, 0], [0.25, 1, 0], [0, 0, 1.0]]), "texts", "mine", 7
    )
    path = tmp_path / "similarity.json"
    kept.save(path)
    loaded = LabelSimilarity.load(path, ABC)
    assert loaded.matrix.tolist() == kept.matrix.tolist()
    assert (loaded.method, loaded.source, loaded.rows) == ("texts", "mine", 7)
    with pytest.raises(InputError, match=r"similarity of 'abc' .3 labels., expected 'six'"):
        LabelSimilarity.load(path, label_set_of("six"))
    with pytest.raises(InputError, match="cannot be read"):
        LabelSimilarity.load(tmp_path / "none.json", ABC)
    for change, said in (
        ({"matrix": [[1, 2, 0], [2, 1, 0], [0, 0, 1]]}, "from 0 to 1"),
        ({"matrix": [[1, 0], [0, 1]]}, r"must be .3, 3."),
        ({"matrix": [[0.5, 0, 0], [0, 1, 0], [0, 0, 1]]}, "to itself"),
        ({"method": "guess"}, "guess"),
        ({"labels": None}, "no label similarity"),
    ):
        content = json.loads(path.read_text(encoding="utf-8")) | change
        (tmp_path / "bad.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(InputError, match=said):
            LabelSimilarity.load(tmp_path / "bad.json", ABC)
    (tmp_path / "bad.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="no label similarity"):
        LabelSimilarity.load(tmp_path / "bad.json", ABC)


def test_of_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    path.write_text("text,emotion\naa,joy|calm\nbb,joy\ncc,bliss\ndd,sadness\n", encoding="utf-8")
    table = open_labelled_table(
        path, label_set_of("six"), text_column="text", label_column="emotion"
    )
    (found,) = similarities_of_table(table)
    assert (found.rows, found.source) == (3, "training.csv")
    assert found.matrix[0, 2] == pytest.approx(1 / np.sqrt(2))
    path.write_text("text,emotion\naa,bliss\n", encoding="utf-8")
    table = open_labelled_table(
        path, label_set_of("six"), text_column="text", label_column="emotion"
    )
    with pytest.raises(InputError, match="no row"):
        similarities_of_table(table)


def test_where_it_is_taken_from(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path / "nowhere"))
    kote, said = label_set_of("kote"), list[str]()
    assert similarities_for(kote, say=said.append) == {}
    assert len(said) == 2
    assert "MAEUM_DATA" in said[0]
    path = tmp_path / "training.jsonl"
    values = [["기쁨", "행복"], ["슬픔"], ["행복", "안심/신뢰"], ["기쁨"]]
    lines = (json.dumps({"text": f"t{i}", "emotion": v}) for i, v in enumerate(values))
    path.write_text("\n".join(lines), encoding="utf-8")
    table = open_labelled_table(path, kote, text_column="text", label_column="emotion")
    found = similarities_for(kote, training=table, say=said.append)
    assert (set(found), len(said)) == ({"kote", "six"}, 2)
    joy, happy = (kote.labels.index(label) for label in ("기쁨", "행복"))
    assert found["kote"].matrix[joy, happy] == pytest.approx(0.5)
    # Projected: joy, sadness, half joy and half calm, joy.
    assert found["six"].matrix[0, 2] == pytest.approx(0.25 / np.sqrt(2.25 * 0.25))
    LabelSimilarity("kote", kote.labels, np.eye(44), "texts", "mine", 1).save(tmp_path / "s.json")
    found = similarities_for(kote, file=tmp_path / "s.json", training=table, say=said.append)
    assert found["kote"].source == "mine"
    assert found["six"].rows == 4
    similarities_for(label_set_of("aihub-7"), say=said.append)
    assert "--training-table" in said[2]


@pytest.mark.skipif(not data_root().is_dir(), reason="MAEUM_DATA is not there")
def test_real_labels_lie_as_their_meaning_says() -> None:
    kote = similarity_of_training_data(label_set_of("kote"))
    assert kote is not None

    def of(a: str, b: str) -> float:
        return kote.matrix[kote.labels.index(a), kote.labels.index(b)]

    assert of("기쁨", "행복") > 0.6 > of("기쁨", "슬픔")
    assert of("화남/분노", "짜증") > of("화남/분노", "편안/쾌적")
    six = similarity_of_training_data(label_set_of("six"))
    assert six is not None
    joy, calm, anger = (label_set_of("six").labels.index(n) for n in ("joy", "calm", "anger"))
    assert six.matrix[joy, calm] > six.matrix[joy, anger]
    assert similarity_of_training_data(label_set_of("aihub-7")) is None
