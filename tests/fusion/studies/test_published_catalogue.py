"""The published catalogue under corrections: a made-up one that is sad throughout, and the real."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.data_folder import VARIABLE, data_root
from data_prep.errors import InputError
from fusion.studies import published_catalogue
from fusion.studies.published_catalogue import (
    OURS,
    PUBLISHED,
    System,
    asked,
    check_published_rule,
    constant_and_model,
    systems,
)
from fusion.studies.published_figures import PublishedVectors
from fusion.studies.published_words import SADNESS
from tests.fusion.toy_published import N_SONGS, sad_vectors, save_vectors


def moods(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(6, 0.5), n)


@pytest.fixture(scope="module")
def placed() -> list[System]:
    return systems(sad_vectors(), moods(300, 1))


def test_every_system_places_every_song(placed) -> None:
    names = [system.name for system in placed]
    assert names[0] == PUBLISHED
    assert names[-1] == OURS
    assert len(set(names)) == 7
    for system in placed:
        assert system.vectors.shape == (N_SONGS, 6)
        np.testing.assert_allclose(system.vectors.sum(axis=1), 1.0, atol=1e-4)
    vectors = sad_vectors()
    np.testing.assert_allclose(placed[0].vectors, (vectors.words + vectors.sound) / 2, atol=1e-6)


def test_corrections_take_sadness_back(placed) -> None:
    figures = {system.name: system.figures() for system in placed}
    sad = {name: own["strongest"][SADNESS] for name, own in figures.items()}
    assert sad[PUBLISHED] > 0.9
    assert sad["prior by EM"] > 0.9  # it believes that the songs are sad
    for name in ("known prior", "average answer"):
        assert sad[name] < sad[PUBLISHED], name
    assert sad["balanced"] < 0.4
    assert sad[OURS] < 0.3
    assert min(figures[OURS]["strongest"]) > 0.05
    assert min(figures[PUBLISHED]["strongest"]) == 0
    # a sad song's neighbourhood empties, and every emotion has a song that is near it
    near = "within_0.9_of_sadness"
    assert figures[OURS][near] < figures[PUBLISHED][near]
    assert min(figures[OURS]["best_cosine"]) > min(figures[PUBLISHED]["best_cosine"]) + 0.1


def test_balanced_answers_are_alike_on_average() -> None:
    vectors = sad_vectors()
    twin = PublishedVectors(vectors.words, vectors.words)  # the mean of both is either
    (balanced,) = [s for s in systems(twin, moods(50, 1)) if s.name == "balanced"]
    np.testing.assert_allclose(balanced.vectors.mean(axis=0), 1 / 6, atol=1e-3)


def test_figures_of_songs_by_hand() -> None:
    half = [0.5, 0.5, 0, 0, 0, 0]
    system = System("x", "y", np.array([[0, 0, 0, 1, 0, 0], half], dtype=np.float32))
    found = system.figures()
    assert found["strongest"] == [0.5, 0, 0, 0.5, 0, 0]
    assert found["entropy_bits"] == pytest.approx(0.5)  # none, and one bit
    assert found["best_cosine"] == pytest.approx([np.sqrt(0.5)] * 2 + [0, 1, 0, 0])
    assert found["within_0.9_of_sadness"] == 0.5


def test_more_songs_are_ever_found(placed, monkeypatch) -> None:
    monkeypatch.setattr(published_catalogue, "N_MOODS", 200)
    said: list[str] = []
    kinds = {"moods": lambda seed: moods(200, seed), "sad": lambda seed: np.eye(6)[[SADNESS] * 5]}
    found = asked([placed[0], placed[-1]], kinds, said.append)
    assert list(found) == [PUBLISHED, OURS]
    assert said[0] == f"{PUBLISHED}: 3 × 2 × 200 queries"
    published, ours = (found[name]["moods"] for name in (PUBLISHED, OURS))
    assert ours["reached"]["mean"] > 1.5 * published["reached"]["mean"]
    assert ours["gini"]["mean"] < published["gini"]["mean"]
    assert ours["most"]["mean"] < published["most"]["mean"]
    for figures in (published, ours):
        for figure in figures.values():
            assert figure["range"][0] <= figure["mean"] <= figure["range"][1]
    # one query, however often and by whatever seed, has one list of ten
    assert found[OURS]["sad"]["reached"] == {"mean": 10, "range": [10, 10]}
    assert found[OURS]["sad"]["most"]["mean"] == 5


def test_the_published_rule_is_checked(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    vectors = sad_vectors(30)
    save_vectors(tmp_path, vectors)
    assert check_published_rule(vectors) < 1e-6
    path = tmp_path / "published_vectors" / "2015lyric_mel.npy"
    fused = np.load(path)
    fused[3] = np.eye(6)[0]
    np.save(path, fused)
    expected = np.abs((vectors.words[3] + vectors.sound[3]) / 2 - np.eye(6)[0]).max()
    assert check_published_rule(vectors) == pytest.approx(expected, abs=1e-6)
    np.save(path, fused[:20])
    with pytest.raises(InputError, match="fused ones of 20 songs, words of 30"):
        check_published_rule(vectors)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="2015lyric_mel"):
        check_published_rule(vectors)


def test_the_published_table_to_four_digits() -> None:
    if not (data_root() / "published_vectors").is_dir():
        pytest.skip("published_vectors is not in the data folder (MAEUM_DATA)")
    found = constant_and_model(PublishedVectors.read())
    assert found["songs"] == 42_839
    rows = {
        row: [round(found[row][figure], 4) for figure in ("top1", "top2", "top3")]
        for row in ("constant", "model")
    }
    assert rows == {"constant": [0.7840, 0.1895, 0.4045], "model": [0.7847, 0.3407, 0.4255]}
    assert found["model"]["top3"] * 42_839 == pytest.approx(18_230)  # no two emotions are equal
    assert found["difference_from_half_of_each"] < 1e-6
