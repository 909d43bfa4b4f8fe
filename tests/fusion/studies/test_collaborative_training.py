"""Learning from playlists whose answer is known, and what playlists add to emotion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("implicit", reason="implicit is in the extra `collaborative`")

from app.cli import app
from data_prep.errors import InputError
from data_prep.readers.arena_playlists import Playlists, read_playlists
from fusion.collaborative import CollaborativeModel
from fusion.evaluation.playlist_continuation import (
    EMOTION,
    MIXED,
    PLAYLISTS,
    POPULAR,
    RANDOM,
    Continuation,
    EmotionSpace,
)
from fusion.studies.collaborative_training import (
    CollaborativeSettings,
    fit,
    parts_of,
    split_of,
    tuned,
)
from tests.fusion.toy_playlists import CIRCLES, PER_CIRCLE, write_playlists, write_songs

SMALL = ("--factors", "16", "--iterations", "10")


def run(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    write_playlists(folder / "train.json")
    write_songs(folder / "songs.db")
    return folder


def where(folder: Path) -> tuple[object, ...]:
    return ("--playlists", folder / "train.json", "--catalogue", folder / "songs.db")


@pytest.fixture(scope="module")
def model_folder(folder: Path) -> Path:
    done = run("train", "collaborative", *where(folder), "--out", folder / "model", *SMALL)
    assert done.exit_code == 0, done.output
    assert "weight of playlists" in done.output
    return folder / "model"


@pytest.mark.parametrize("method", ["als", "bpr"])
def test_songs_of_one_circle_are_found(folder: Path, method: str) -> None:
    playlists = read_playlists(folder / "train.json")
    iterations = 20 if method == "als" else 200
    model = fit(playlists, CollaborativeSettings(method, 16, iterations))
    for circle in range(CIRCLES):
        given = [str(circle * PER_CIRCLE + i) for i in range(4)]
        scores = model.scores(given)
        assert scores is not None
        best = [int(model.ids[place]) for place in np.argsort(-scores)[:20]]
        assert np.mean([each // PER_CIRCLE == circle for each in best]) > 0.9
        assert not set(best) & set(map(int, given))


def test_the_same_playlists_give_the_same_model(folder: Path) -> None:
    playlists = read_playlists(folder / "train.json")
    settings = CollaborativeSettings(factors=8, iterations=3)
    np.testing.assert_array_equal(
        fit(playlists, settings).factors, fit(playlists, settings).factors
    )


def test_playlists_are_split_by_their_numbers_alone(folder: Path) -> None:
    playlists = read_playlists(folder / "train.json")
    tenths = split_of(playlists)
    backwards = playlists.chosen(np.arange(len(playlists))[::-1])
    assert split_of(backwards).tolist() == tenths[::-1].tolist()
    parts = parts_of(playlists)
    assert sum(map(len, parts.values())) == len(playlists)
    assert 0.7 < len(parts["train"]) / len(playlists) < 0.9
    seen = [set(part.ids.tolist()) for part in parts.values()]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]


def test_what_playlists_add_is_measured(folder: Path, model_folder: Path) -> None:
    out = folder / "out"
    done = run(
        "evaluate", "collaborative", *where(folder), "--model", model_folder, "--out", out, "--json"
    )
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content == json.loads((out / "collaborative.json").read_text(encoding="utf-8"))
    ndcg = {row: each["ndcg"]["mean"] for row, each in content["rows"].items()}
    # two circles share an emotion: it finds half of them, playlists find them all
    assert ndcg[RANDOM] < ndcg[EMOTION] < ndcg[PLAYLISTS]
    assert ndcg[MIXED] >= ndcg[PLAYLISTS] - 0.02
    assert content["ndcg_differences"][EMOTION]["interval"][0] > 0
    recall = {row: each["recall"]["mean"] for row, each in content["rows"].items()}
    assert recall[PLAYLISTS] > 0.95
    text = (out / "collaborative.md").read_text(encoding="utf-8")
    assert f"mixed is better than {EMOTION}" in text


def test_where_everybody_likes_the_same_popularity_wins(tmp_path: Path) -> None:
    write_playlists(tmp_path / "train.json", popular=True)
    write_songs(tmp_path / "songs.db")
    arguments = (*where(tmp_path), "--out", tmp_path / "model", *SMALL)
    assert run("train", "collaborative", *arguments).exit_code == 0
    done = run(
        "evaluate", "collaborative", *where(tmp_path), "--model", tmp_path / "model", "--out",
        tmp_path / "out", "--json",
    )  # fmt: skip
    rows = json.loads(done.stdout)["rows"]
    ndcg = {row: each["ndcg"]["mean"] for row, each in rows.items()}
    assert ndcg[POPULAR] > ndcg[PLAYLISTS] > ndcg[EMOTION]
    novelty = {row: each["novelty"]["mean"] for row, each in rows.items()}
    assert novelty[POPULAR] < novelty[RANDOM]


def test_the_study_looks_at_validation_playlists_alone(folder: Path) -> None:
    done = run(
        "study", "collaborative", *where(folder), "--out", folder / "study", *SMALL, "--json"
    )
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert set(content["curves"]) == {"als", "bpr"}
    assert content["curves"]["als"]["1"] > content["curves"]["als"]["0"]
    assert (folder / "study" / "collaborative_study.md").is_file()


def test_figures_by_hand() -> None:
    """Three songs are hidden; the model's vectors put two of them first and one last."""
    songs = np.arange(8)
    training = Playlists(np.array([0]), np.array([0, 2]), np.array([0, 1]))
    vectors = np.full((8, 6), np.nan, np.float32)
    space = EmotionSpace.of(songs, vectors, training)
    ids = np.array([b"%d" % i for i in range(8)], np.bytes_)
    factors = np.array([[9], [8], [7], [6], [5], [4], [3], [2]], np.float32)
    gram = factors.T.astype(float) @ factors
    model = CollaborativeModel(ids, factors, gram, "als", 2.0, 1.0, {})
    asked = Continuation([np.array([0])], [np.array([1, 2, 7])])
    (found,) = asked.figures(model, space, [1.0])
    gains = 1 / np.log2(np.arange(2, 9))
    # 4 to 7 lie below the median, score alike and stand in their order: 7 is the seventh
    assert found["ndcg"][0] == pytest.approx((gains[0] + gains[1] + gains[6]) / gains[:3].sum())
    assert found["recall"][0] == 1.0
    # of the seven recommended one is in the only playlist, the others count as half a playlist's
    assert found["novelty"][0] == pytest.approx(6 / 7)


def test_a_cold_playlist_is_continued_by_emotion(folder: Path) -> None:
    songs = np.arange(20)
    rng = np.random.default_rng(0)
    vectors = rng.dirichlet(np.ones(6), size=20).astype(np.float32)
    training = Playlists(np.array([0]), np.array([0, 1]), np.array([500]))
    space = EmotionSpace.of(songs, vectors, training)
    model = CollaborativeModel(
        np.array([b"500"], np.bytes_), np.ones((1, 2), np.float32), np.eye(2), "als", 2.0, 0.9, {}
    )
    held_out = Playlists(np.array([5]), np.array([0, 6]), np.arange(6))
    asked = Continuation.of(held_out, space, most=10)
    (mixed,) = asked.figures(model, space, [0.9])
    (alone,) = asked.figures(None, space, [0.0])
    assert mixed["ndcg"].tolist() == alone["ndcg"].tolist()


def test_the_weight_is_the_best_on_validation_playlists(folder: Path) -> None:
    playlists = read_playlists(folder / "train.json")
    parts = parts_of(playlists)
    songs = np.arange(CIRCLES * PER_CIRCLE)
    noise = np.random.default_rng(3).dirichlet(np.ones(6), size=len(songs)).astype(np.float32)
    space = EmotionSpace.of(songs, noise, parts["train"])
    model = fit(parts["train"], CollaborativeSettings(factors=16, iterations=10))
    found, curve = tuned(model, parts["validation"], space, most=50)
    assert curve[f"{found.weight:g}"] == max(curve.values()) >= curve["1"]
    assert curve["0"] < 0.5 * curve["1"]


def test_recommendations_beside_playlists(folder: Path, model_folder: Path) -> None:
    asked = (
        "recommend",
        "--like",
        "3",
        "--like",
        "5",
        "--catalogue",
        folder / "songs.db",
        "--json",
    )
    mixed = json.loads(run(*asked, "-k", 20, "--collaborative", model_folder).stdout)["results"]
    alone = json.loads(run(*asked, "-k", 20).stdout)["results"]

    def of_circle(results: list[dict]) -> float:
        return float(np.mean([r["id"].isdigit() and int(r["id"]) < PER_CIRCLE for r in results]))

    assert of_circle(mixed) > 0.9 > of_circle(alone) + 0.2
    assert not {"3", "5"} & {r["id"] for r in mixed}


def test_refusals(folder: Path, model_folder: Path, tmp_path: Path) -> None:
    def refused(words: str, *arguments: object) -> None:
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        assert words in done.output

    place = ("--catalogue", folder / "songs.db")
    refused("goes with --like", "recommend", "sad", "--collaborative", model_folder, *place)
    refused("goes with --collaborative", "recommend", "--like", "3", "--playlist-weight", 1, *place)
    refused("is no index", "recommend", "--like", "3", "--collaborative", tmp_path, *place)
    train = ("train", "collaborative", "--out", tmp_path / "m", *place)
    refused("cannot be read", *train, "--playlists", tmp_path / "none.json")
    taken = ("train", "collaborative", "--playlists", folder / "train.json", *place)
    refused("expected a new folder", *taken, "--out", folder / "train.json")
    refused("there is no folder", *taken, "--out", tmp_path / "none" / "model")
    refused("expected one of als, bpr", *train, "--playlists", "x", "--method", "svd")
    (tmp_path / "few.json").write_text('[{"id": 1, "songs": [1, 2]}]', encoding="utf-8")
    refused("expected 20 or more", *train, "--playlists", tmp_path / "few.json")
    write_playlists(tmp_path / "other.json", seed=9, first_id=10_000)
    refused(
        "was not learned from these", "evaluate", "collaborative", "--playlists",
        tmp_path / "other.json", *place, "--model", model_folder, "--out", tmp_path / "out",
    )  # fmt: skip
    none = Playlists(np.array([1]), np.array([0, 2]), np.array([7, 8]))
    space = EmotionSpace.of(np.arange(3), np.full((3, 6), 1 / 6, np.float32), none)
    with pytest.raises(InputError, match="no held-out playlist has 4 songs"):
        Continuation.of(none, space, most=5)
