"""Judgements: kept, replaced, taken back, forgotten, in either database; tokens that hold."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from app.demo import DEMO_CATALOGUE
from app.feedback.listening import taste_of
from app.feedback.shown_list import ShownList
from app.feedback.store import FeedbackStore
from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.errors import InputError
from fusion.catalogue_shelf import CatalogueShelf
from fusion.settings import FusionSettings
from tests.data_prep.old_catalogue import write_old_catalogue
from tests.postgresql_server import new_database

LISTENER, OTHER = "a" * 16, "b" * 20
QUERY = np.array([0.1, 0.1, 0.1, 0.5, 0.1, 0.1], dtype=np.float32)


def shown(listener: str = LISTENER, songs: tuple[str, ...] = ("1", "2", "노래")) -> ShownList:
    return ShownList(listener, "mood", QUERY, "fusion-1", songs)


@pytest.fixture
def filled(place: str) -> str:
    with Catalogue.open(place, create=True) as catalogue:
        vector = StageVector(QUERY, "test")
        catalogue.upsert([Song(i, lyrics=vector) for i in ("1", "2", "노래")])
    return place


@pytest.fixture
def store(filled: str):
    with FeedbackStore.open(filled) as opened:
        yield opened


def test_judgements_are_kept_replaced_and_taken_back(store: FeedbackStore, filled: str) -> None:
    with Catalogue.open(filled, read_only=True) as catalogue:
        revision = catalogue.revision()
        token = store.token(shown())
        store.judge(token, "노래", 1)
        store.judge(token, "1", -1)
        assert [(v.song, v.sign) for v in store.verdicts(LISTENER)] == [("1", -1), ("노래", 1)]
        store.judge(token, "노래", -1)
        (row,) = [row for row in store.rows(LISTENER) if row["song"] == "노래"]
        assert (row["verdict"], row["rank"], row["kind"]) == (-1, 3, "mood")
        assert row["songs"] == ["1", "2", "노래"]
        assert row["query"]["sadness"] == pytest.approx(0.5)
        assert row["fusion"] == "fusion-1"
        store.judge(token, "노래", 0)
        assert store.count() == 1
        assert catalogue.revision() == revision, "no song is read again for it"
        assert catalogue.count() == 3


def test_listeners_are_apart_and_forgotten(store: FeedbackStore) -> None:
    for listener in (LISTENER, OTHER):
        token = store.token(shown(listener))
        store.judge(token, "1", 1)
        store.judge(token, "2", -1)
    assert store.forget(LISTENER) == 2
    assert store.verdicts(LISTENER) == []
    assert store.count(OTHER) == 2
    assert store.forget() == 2
    assert list(store.rows()) == []


def test_nothing_is_there_before_the_first_judgement(store: FeedbackStore) -> None:
    assert store.count() == 0
    assert store.verdicts(LISTENER) == []
    assert list(store.rows()) == []
    assert store.forget() == 0


def test_a_token_is_good_after_a_restart_and_nowhere_else(
    store: FeedbackStore, filled: str, tmp_path: Path
) -> None:
    token = store.token(shown())
    with FeedbackStore.open(filled) as again:
        again.judge(token, "1", 1)
    other = tmp_path / "other.db"
    Catalogue.open(other, create=True).close()
    with FeedbackStore.open(str(other)) as elsewhere, pytest.raises(InputError, match="not known"):
        elsewhere.judge(token, "1", 1)


def test_a_token_that_was_changed_is_refused(store: FeedbackStore) -> None:
    token = store.token(shown())
    wrong = [
        "", "x", token[:-2], token[1:], token + "AAAA", "é" * 40, "A" * 100_000,
        token[:20] + ("A" if token[20] != "A" else "B") + token[21:],
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(InputError, match="not known here"):
            store.judge(each, "1", 1)
    with pytest.raises(InputError, match="not in the list"):
        store.judge(token, "4", 1)
    with pytest.raises(InputError, match="verdict 2"):
        store.judge(token, "1", 2)
    assert store.count() == 0


def test_many_judge_at_once(store: FeedbackStore) -> None:
    failures: list[Exception] = []

    def judge(number: int) -> None:
        try:
            token = store.token(shown(f"listener-{number:08}"))
            for song in ("1", "2"):
                store.judge(token, song, 1)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=judge, args=[i]) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.count() == 100


def test_the_demo_is_never_written_to(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    before = DEMO_CATALOGUE.read_bytes()
    with FeedbackStore.open(str(DEMO_CATALOGUE)) as store:
        store.judge(store.token(shown()), "1", 1)
        assert Path(store.name) == tmp_path / "maeum" / "feedback.db"
        assert store.count() == 1
    assert DEMO_CATALOGUE.read_bytes() == before


def test_a_taste_is_made_of_the_last_word_on_each_song(store: FeedbackStore, filled: str) -> None:
    first, second = store.token(shown()), store.token(shown(songs=("1", "gone")))
    store.judge(first, "1", 1)
    store.judge(first, "2", -1)
    store.judge(second, "gone", 1)
    with Catalogue.open(filled, read_only=True) as catalogue:
        shelf = CatalogueShelf(catalogue, FusionSettings.load())
        taste = taste_of(store, LISTENER, shelf)
    assert taste.disliked == {"2"}
    assert sorted(each.is_liked for each in taste.judged) == [False, True]


def test_nothing_that_a_person_wrote_is_in_the_database(store: FeedbackStore) -> None:
    store.judge(store.token(shown()), "1", 1)
    (row,) = store.rows()
    assert row.keys() == {
        "judged_at", "listener", "kind", "verdict", "rank", "song", "songs", "query", "fusion",
        "version", "list",
    }  # fmt: skip
    json.dumps(row)


def test_a_list_is_judged_once_however_its_token_is_spelt(store: FeedbackStore) -> None:
    tokens = (store.token(shown(f"listener-{i:08}")) for i in range(500))
    token = next(each for each in tokens if {"-", "_"} & set(each[:16]))
    store.judge(token, "1", 1)
    with pytest.raises(InputError, match="not known here"):
        store.judge(token.replace("-", "+").replace("_", "/"), "1", 1)
    assert store.count() == 1


def test_a_judgement_that_is_replaced_is_of_the_version_then(
    store: FeedbackStore, monkeypatch
) -> None:
    token = store.token(shown())
    for release, verdict in (("1", 1), ("2", -1)):
        monkeypatch.setattr("app.feedback.store.version", lambda _, release=release: release)
        store.judge(token, "1", verdict)
    (row,) = store.rows()
    assert (row["version"], row["verdict"]) == ("2", -1)


def test_judgements_survive_a_migration(place: str, execute) -> None:
    write_old_catalogue(execute, [Song("1", lyrics=StageVector(QUERY, "test"))], {})
    with FeedbackStore.open(place) as store:
        token = store.token(shown())
        store.judge(token, "1", 1)
    Catalogue.open(place).close()
    with FeedbackStore.open(place) as store:
        store.judge(token, "2", -1)
        assert [(v.song, v.sign) for v in store.verdicts(LISTENER)] == [("1", 1), ("2", -1)]


def test_a_catalogue_is_made_beside_judgements(place: str) -> None:
    if "://" not in place:
        Path(place).touch()
    with FeedbackStore.open(place) as store:
        store.judge(store.token(shown()), "1", 1)
    with Catalogue.open(place, create=True) as catalogue:
        assert catalogue.count() == 0
    with FeedbackStore.open(place) as store:
        assert store.count() == 1


def test_who_may_only_read_a_server_keeps_judgements_at_home(
    server: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    place = new_database(server)
    Catalogue.open(place, create=True).close()
    engine = sa.create_engine(place)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        reader = sa.make_url(place).set(username="reader").render_as_string(hide_password=False)
        with FeedbackStore.open(reader) as store:
            store.judge(store.token(shown()), "1", 1)
            assert Path(store.name).parent == tmp_path / "maeum"
            assert Path(store.name).name.startswith("feedback-")
        with FeedbackStore.open(place) as store:
            assert store.count() == 0
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY reader")
            connection.exec_driver_sql("DROP ROLE reader")
        engine.dispose()
