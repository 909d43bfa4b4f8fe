"""Figures of lists by hand, made-up branches, and the real models: fused beats either branch."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.data_folder import data_root
from data_prep.errors import InputError
from fusion.evaluation import paired_benchmark
from fusion.evaluation.paired_benchmark import Answered
from fusion.evaluation.recommend_evaluation import (
    FUSED,
    KINDS,
    POPULAR,
    RANDOM,
    ROWS,
    SOUND,
    WORDS,
    catalogue_figures,
    evaluate,
    intra_list_diversity,
    popular_order,
    queries_of,
    ranking_figures,
)
from fusion.evaluation.recommend_report import evaluate_recommendation
from fusion.settings import FusionSettings


def answered(seed: int, *, right: float, per_emotion: int = 60, union: bool = False) -> Answered:
    """Answers that lean to the label with some strength, and noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(6), per_emotion)
    logits = rng.normal(0, 1, (len(labels), 6))
    logits[np.arange(len(labels)), labels] += right
    powers = np.exp(logits)
    may_be = np.eye(6, dtype=bool)[labels]
    if union:
        may_be[labels == 1, 4] = True
    return Answered(
        answers=(powers / powers.sum(axis=1, keepdims=True)).astype(np.float32),
        may_be=may_be,
        folds=np.arange(len(labels)) % 5,
        groups=np.array([f"{seed}-{i}" for i in range(len(labels))]),
        sources=np.full(len(labels), "made up"),
    )


MOODS = np.random.default_rng(9).dirichlet(np.full(6, 0.4), size=300)
small = partial(evaluate, per_emotion=24, queries_per_emotion=8)


def test_figures_of_lists_by_hand():
    relevant = np.zeros((3, 12), dtype=bool)
    relevant[0, :10] = True  # all that count
    relevant[1, [1, 6]] = True
    found = ranking_figures(relevant)
    ideal = sum(1 / np.log2(rank + 1) for rank in range(1, 11))
    expected = (1 / np.log2(3) + 1 / np.log2(8)) / ideal
    np.testing.assert_allclose(found["ndcg"], [1.0, expected, 0.0])
    np.testing.assert_allclose(found["precision"], [1.0, 0.2, 0.0])
    np.testing.assert_allclose(found["mrr"], [1.0, 0.5, 0.0])


def test_diversity_of_lists_by_hand():
    vectors = np.eye(6, dtype=np.float32)
    assert intra_list_diversity(vectors, np.array([[0, 1, 2]])) == pytest.approx(1.0)
    alike = np.tile(vectors[:1] * 3, (3, 1))
    assert intra_list_diversity(alike, np.array([[0, 1, 2]])) == pytest.approx(0.0)
    corner = np.array([[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]], dtype=float)
    expected = 1 - np.sqrt(0.5)
    assert intra_list_diversity(corner, np.array([[0, 1]])) == pytest.approx(expected)
    assert intra_list_diversity(corner, np.array([[0], [1]])) == 0.0


def test_the_most_popular_are_those_that_moods_ask_for():
    vectors = np.vstack([np.eye(6), np.full((6, 6), 1 / 6)]).astype(np.float32)
    sad = np.tile(np.eye(6)[3], (20, 1))
    assert popular_order(vectors, sad)[0] == 0  # all ten nearest of twelve tie but for their order
    assert set(popular_order(vectors, sad)[:10]) >= {3, 6, 7, 8, 9, 10, 11}


def test_queries_are_of_their_fold_and_not_too_many():
    side = answered(1, right=2.0, union=True)
    queries = queries_of(side, 2, side.answers, most=5, seed=1)
    assert 6 * 5 >= len(queries.vectors) >= 20
    assert (queries.may_be.sum(axis=0) >= 5).all()
    folds = side.folds[[int(name.split("-")[1]) for name in queries.groups]]
    assert (folds == 2).all()


def test_fused_beats_both_branches_when_both_know_something():
    found = small(answered(1, right=1.5), answered(2, right=1.5), MOODS, FusionSettings())
    for kind in KINDS:
        rows, differences = found["kinds"][kind]["rows"], found["kinds"][kind]["ndcg_differences"]
        assert set(rows) == set(ROWS)
        assert differences[RANDOM]["interval"][0] > 0.1
        assert rows[RANDOM]["ndcg"]["mean"] == pytest.approx(1 / 6, abs=0.05)
        assert rows[POPULAR]["coverage"] < 0.1 < rows[FUSED]["coverage"]
    ndcg = {row: found["kinds"]["sentences"]["rows"][row]["ndcg"]["mean"] for row in ROWS}
    assert ndcg[FUSED] > max(ndcg[WORDS], ndcg[SOUND]) + 0.03


def test_branches_that_know_nothing_are_random():
    found = small(answered(1, right=0.0), answered(2, right=0.0), MOODS, FusionSettings())
    for kind in KINDS:
        low, high = found["kinds"][kind]["ndcg_differences"][RANDOM]["interval"]
        assert low < 0.05
        assert high > -0.05
        assert max(abs(low), abs(high)) < 0.12


def test_a_label_that_allows_two_emotions_counts_both():
    lines, clips = answered(1, right=3.0), answered(2, right=3.0, union=True)
    one = small(lines, answered(2, right=3.0), MOODS, FusionSettings())["kinds"]["clips"]
    two = small(lines, clips, MOODS, FusionSettings())["kinds"]["clips"]
    assert two["rows"][RANDOM]["ndcg"]["mean"] > one["rows"][RANDOM]["ndcg"]["mean"]


def test_the_same_again():
    lines, clips = answered(1, right=1.0), answered(2, right=1.0)
    first = small(lines, clips, MOODS, FusionSettings())
    assert small(lines, clips, MOODS, FusionSettings()) == first


def test_sizes_that_make_no_sense_are_refused():
    lines, clips = answered(1, right=1.0), answered(2, right=1.0)
    with pytest.raises(InputError, match="multiple of 4"):
        evaluate(lines, clips, MOODS, FusionSettings(), per_emotion=25)
    with pytest.raises(InputError, match="0 queries"):
        evaluate(lines, clips, MOODS, FusionSettings(), queries_per_emotion=0)


def test_years_of_songs_alike_by_hand():
    vectors = np.repeat(np.eye(6), 12, axis=0) + 1e-3 * np.random.default_rng(0).random((72, 6))
    years = np.repeat(1950.0 + 10 * np.arange(6), 12)
    found = catalogue_figures(vectors.astype(np.float32), years, MOODS)["distance_in_years"]
    assert found["mean"] == pytest.approx(0.0)  # eleven others of its emotion, all of its year
    assert found["at_random"] > 15
    every = np.abs(years[:, None] - years[None, :])
    assert found["at_random"] == pytest.approx(every.sum() / (len(years) * (len(years) - 1)))
    years[:] = np.nan
    assert catalogue_figures(vectors, years, MOODS)["distance_in_years"] is None


def test_a_report_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("fusion.evaluation.recommend_report.fitting_moods", lambda *_: MOODS)
    vectors = np.random.default_rng(3).dirichlet(np.ones(6), size=30).astype(np.float32)
    with Catalogue.open(tmp_path / "songs.db", create=True) as catalogue:
        with pytest.raises(InputError, match="no analysed song"):
            evaluate_recommendation(
                tmp_path, answered(1, right=1.0), answered(2, right=1.0), None, FusionSettings(),
                catalogue,
            )  # fmt: skip
        catalogue.upsert(
            Song(id=f"{i:02}", year=1990 + i, audio=StageVector(v, "sound"))
            for i, v in enumerate(vectors)
        )
        content = evaluate_recommendation(
            tmp_path,
            answered(1, right=1.0),
            answered(2, right=1.0),
            None,
            FusionSettings(),
            catalogue,
            per_emotion=24,
            queries_per_emotion=8,
        )
    text = (tmp_path / "recommend.md").read_text(encoding="utf-8")
    fused = content["kinds"]["sentences"]["rows"][FUSED]["ndcg"]["mean"]
    assert f"{fused:.3f}" in text
    assert "30 songs, asked 300 everyday moods" in text
    assert (tmp_path / "recommend.json").is_file()
    assert (tmp_path / "recommend_counts.png").stat().st_size > 1_000
    assert (tmp_path / "recommend_songs.png").stat().st_size > 1_000


@pytest.mark.skipif(not data_root().is_dir(), reason="MAEUM_DATA is not there")
def test_the_embedded_models_recommend_better_together(tmp_path):
    """A small version of ``maeum evaluate recommend``, with a fifth of the lines.

    Fails if songs placed by both branches are found worse than by either alone.
    """
    from data_prep.readers import ravdess_song
    from fusion.evaluation.listening import Listener
    from fusion.evaluation.mood_texts import fitting_moods
    from lyrics_model.predictor import LyricPredictor

    predictor, settings = LyricPredictor.load(), FusionSettings.load()
    lines = paired_benchmark.held_out_lines(predictor, every=5)
    rows = ravdess_song.read()
    some = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))[: len(rows) // 4]]
    clips = paired_benchmark.held_out_clips(Listener.load(), {"ravdess_song": some})
    moods = fitting_moods(predictor, settings)[::7]
    found = evaluate(
        lines, clips, moods, settings, per_emotion=40, queries_per_emotion=30
    )["kinds"]  # fmt: skip
    for kind in KINDS:
        ndcg = {row: found[kind]["rows"][row]["ndcg"]["mean"] for row in ROWS}
        assert ndcg[FUSED] > ndcg[WORDS], kind
        assert ndcg[FUSED] > ndcg[SOUND], kind
        assert ndcg[FUSED] > 2 * ndcg[RANDOM], kind
