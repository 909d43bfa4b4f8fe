"""The HTTP interface: what it answers, what it refuses, and what is left behind."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.demo import DEMO_CATALOGUE
from app.feedback.store import FeedbackStore
from app.service.answers import Answers
from app.service.options import ServiceOptions, passwords_of
from data_prep.catalogue import Catalogue, Song, SongFile, StageVector
from data_prep.errors import CatalogueError, InputError
from data_prep.taxonomy import EMOTIONS
from tests.app.service.serving import serving

LISTENER = "listener-0000000001"
N_SONGS = 12


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "한 곡.wav"
    path.write_bytes(b"SOUND calm")
    return path


@pytest.fixture
def filled(place: str, recording: Path, tmp_path: Path, monkeypatch) -> str:
    """A catalogue in either database; the ids are anything that a table may hold.

    Temporary files go to a folder of the test's own, once the database is there.
    """
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    rng = np.random.default_rng(8)

    def stage() -> StageVector:
        return StageVector(rng.dirichlet(np.full(6, 0.5)).astype(np.float32), "test")

    songs = [
        Song(
            f"노래/{i} &?=%",
            title=f"Title {i}",
            artist="가수",
            year=2000 + i,
            genre="Pop" if i % 2 else "Rock",
            path=str(recording) if i == 1 else None,
            lyrics=stage(),
            audio=stage() if i % 3 else None,
        )
        for i in range(N_SONGS)
    ]
    with Catalogue.open(place, create=True) as catalogue:
        catalogue.upsert(songs)
        status = recording.stat()
        catalogue.keep_files(
            [SongFile("노래/1 &?=%", size=status.st_size, mtime_ns=status.st_mtime_ns)]
        )
    return place


@contextmanager
def client(filled: str, analyser, **options: Any) -> Iterator[httpx.Client]:
    answers = Answers(filled, analyser, analyser.settings)
    with serving(answers, ServiceOptions(**options)) as address:
        auth = options["passwords"][0] if options.get("passwords") else None
        with httpx.Client(base_url=address, auth=auth, timeout=30) as found:
            yield found


def refused(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    for word in words:
        assert word in error["message"]


def uploads() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("maeum-upload-*"))


def test_songs_are_found_judged_and_learned_from(filled: str, analyser) -> None:
    with client(filled, analyser) as api:
        asked = {"text": "오늘 너무 우울해", "count": 4, "listener": LISTENER}
        answer = api.post("/api/v1/recommend", json=asked).json()
        assert answer["query"]["top"] == "sadness"
        assert [found["rank"] for found in answer["results"]] == [1, 2, 3, 4]
        assert list(answer["results"][0]["fused"]) == list(EMOTIONS)
        worst = answer["results"][0]["id"]
        judged = {"list": answer["list"], "song": worst, "verdict": -1}
        assert api.post("/api/v1/feedback", json=judged).json() == {"song": worst, "verdict": -1}
        again = api.post("/api/v1/recommend", json=asked).json()
        assert worst not in [found["id"] for found in again["results"]]
        off = api.post("/api/v1/recommend", json=asked | {"learn": False}).json()
        assert [f["id"] for f in off["results"]] == [f["id"] for f in answer["results"]]
        (row,) = api.get("/api/v1/feedback", params={"listener": LISTENER}).json()["judgements"]
        assert (row["song"], row["verdict"], row["rank"], row["kind"]) == (worst, -1, 1, "mood")
        assert "우울" not in json.dumps(row, ensure_ascii=False)
        assert row["query"] == pytest.approx(answer["query"]["fused"], abs=1e-6)
        deleted = api.delete("/api/v1/feedback", params={"listener": LISTENER}).json()
        assert deleted == {"deleted": 1}
        assert api.post("/api/v1/recommend", json=asked).json()["results"] == off["results"]
    with FeedbackStore.open(filled) as store:
        assert store.count() == 0


def test_every_way_to_ask(filled: str, analyser, recording: Path) -> None:
    with client(filled, analyser, files=True) as api:
        one = {"joy": 1.0} | dict.fromkeys(EMOTIONS[1:], 0.0)
        listed = api.post("/api/v1/recommend", json={"emotions": one, "genre": "pop"}).json()
        assert listed["query"] == {"fused": one}
        assert listed["list"] is None
        song_id = "노래/1 &?=%"
        song = api.get("/api/v1/song", params={"id": song_id}).json()
        assert (song["title"], song["playable"]) == ("Title 1", True)
        assert "path" not in song
        similar = api.get("/api/v1/similar", params={"id": song_id, "count": 3}).json()
        assert similar["query"] == song
        assert song_id not in [found["id"] for found in similar["results"]]
        assert len(similar["results"]) == 3
        page = api.get("/api/v1/songs", params={"search": "title 1", "limit": 2}).json()
        assert page["total"] == N_SONGS
        assert [each["title"] for each in page["songs"]] == ["Title 1", "Title 10"]
        sound = api.get("/api/v1/audio", params={"id": song_id}, headers={"Range": "bytes=0-4"})
        assert (sound.status_code, sound.content) == (206, b"SOUND")
        ids = [found["id"] for found in similar["results"]]
        saved = api.get("/api/v1/playlist", params={"id": ids, "format": "jsonl"})
        assert [json.loads(line)["id"] for line in saved.text.splitlines()] == ids
        assert "attachment" in saved.headers["content-disposition"]
        playlist = api.get("/api/v1/playlist", params={"id": [song_id]}).text
        assert str(recording) in playlist
        points = api.get("/api/v1/map").json()
        assert (points["count"], points["shown"]) == (N_SONGS, N_SONGS)
        heard = api.post(
            "/api/v1/analyse",
            data={"text": "슬픔의 노래\n둘째 줄", "details": "true"},
            files={"audio": ("../x.wav", recording.read_bytes())},
        ).json()
        assert heard["audio"]["calm"] > 0.5
        assert heard["disagreement"] is not None
        assert api.post("/api/v1/analyse", data={"text": "기쁨"}).json()["top"] == "joy"
        assert api.get("/health").json()["status"] == "ok"
        assert api.get("/ready").json()["songs"] == N_SONGS
        metrics = api.get("/metrics").text
        assert 'maeum_requests_total{route="/api/v1/analyse",status="200"} 2.0' in metrics
        assert f"maeum_songs {N_SONGS}.0" in metrics
    assert uploads() == set()


def test_what_is_wrong_is_told_in_one_form(filled: str, analyser) -> None:
    with client(filled, analyser) as api:
        ask = "/api/v1/recommend"
        refused(api.post(ask, json={}), 422, "invalid", "text or emotions")
        refused(api.post(ask, json={"text": "x", "count": 51}), 422, "invalid", "count")
        refused(api.post(ask, json={"text": "x", "colour": 1}), 422, "invalid", "colour")
        refused(api.post(ask, content=b"{"), 422, "invalid")
        refused(api.post(ask, json={"text": "123"}), 422, "invalid", "no words")
        refused(api.post(ask, json={"text": "x" * 200_000}), 422, "invalid")
        refused(api.post(ask, json={"text": "x", "listener": "Kim"}), 422, "invalid", "listener")
        years = {"text": "x", "year_from": 2001, "year_to": 2000}
        refused(api.post(ask, json=years), 422, "invalid", "2001")
        off = dict.fromkeys(EMOTIONS, 0.5)
        refused(api.post(ask, json={"emotions": off}), 422, "invalid", "sum to 3")
        refused(api.get("/api/v1/song", params={"id": "none"}), 404, "unknown")
        refused(api.get("/api/v1/song", params={"id": "a\0b"}), 422, "invalid")
        refused(api.get("/api/v1/none"), 404, "unknown")
        refused(api.delete("/api/v1/song"), 405, "not_allowed")
        refused(api.get("/api/v1/audio", params={"id": "노래/1 &?=%"}), 404, "unknown")
        forged = {"list": "AAAA", "song": "x", "verdict": 1}
        refused(api.post("/api/v1/feedback", json=forged), 422, "invalid", "not known here")
        nothing = api.post("/api/v1/analyse", files={"audio": ("x.mp3", b"MZ")})
        refused(nothing, 422, "invalid", "cannot be decoded")
        assert tempfile.gettempdir() not in nothing.text
        refused(api.post("/api/v1/analyse"), 422, "invalid", "nothing to analyse")
    assert uploads() == set()


def test_paths_are_kept_back_where_files_are_not_served(
    filled: str, analyser, recording: Path
) -> None:
    with client(filled, analyser, files=False) as api:
        playlist = api.get("/api/v1/playlist", params={"id": ["노래/1 &?=%"]})
        assert str(recording.parent) not in playlist.text
        assert not api.get("/api/v1/song", params={"id": "노래/1 &?=%"}).json()["playable"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "x-real-ip", "Via"])
def test_who_comes_through_a_proxy_gets_no_files_unless_it_was_said(
    filled: str, analyser, recording: Path, header: str
) -> None:
    song, through = {"id": "노래/1 &?=%"}, {header: "for=192.0.2.7"}
    with client(filled, analyser, files=True) as api:
        assert api.get("/api/v1/audio", params=song).content == recording.read_bytes()
        refused(api.get("/api/v1/audio", params=song, headers=through), 404, "unknown")
        listed = api.get("/api/v1/playlist", params=song, headers=through).text
        assert str(recording.parent) not in listed
    with client(filled, analyser, files=True, files_through_proxy=True) as api:
        found = api.get("/api/v1/audio", params=song, headers=through)
        assert found.content == recording.read_bytes()


@pytest.mark.parametrize("change", ["content", "link", "gone"])
def test_another_file_in_the_place_of_a_recording_is_not_given_away(
    filled: str, analyser, recording: Path, change: str
) -> None:
    with client(filled, analyser, files=True) as api:
        get = {"params": {"id": "노래/1 &?=%"}}
        assert api.get("/api/v1/audio", **get).status_code == 200
        if change == "content":
            recording.write_bytes(b"something else")
        else:
            secret = recording.with_name("secret.txt")
            recording.rename(secret)
            if change == "link":
                recording.symlink_to(secret)
        refused(api.get("/api/v1/audio", **get), 404, "unknown")


def test_a_password_opens_everything_and_nothing_is_open_without(filled: str, analyser) -> None:
    from gradio_client import Client

    passwords = passwords_of(["mina:geheim:nis", "jun:열쇠"])
    with client(filled, analyser, passwords=passwords) as api:
        for path in ("/", "/api/v1/songs", "/config", "/metrics", "/openapi.json", "/theme.css"):
            assert api.get(path).status_code == 200
            answer = httpx.get(f"{api.base_url}{path}")
            refused(answer, 401, "unauthorised")
            assert answer.headers["www-authenticate"].startswith("Basic")
            for wrong in (("mina", "geheim"), ("jun", ""), ("", "열쇠")):
                assert httpx.get(str(answer.url), auth=wrong).status_code == 401
        assert httpx.get(f"{api.base_url}/health").status_code == 200
        assert api.get("/api/v1/songs", auth=("jun", "열쇠".encode())).status_code == 200
        headers = {"Authorization": httpx.BasicAuth("mina", "geheim:nis")._auth_header}
        found = Client(str(api.base_url), verbose=False, headers=headers)
        answer = found.predict(text="오늘 너무 우울해", count=2, api_name="/recommend")
        assert len(answer["results"]) == 2


def test_passwords_are_pairs() -> None:
    assert passwords_of(["a:b:c"]) == (("a", "b:c"),)
    for wrong in ("ab", ":b", "a:", ""):
        with pytest.raises(InputError, match="USER:PASSWORD") as caught:
            passwords_of([wrong])
        assert not wrong or wrong not in str(caught.value).replace("USER:PASSWORD", "")


def test_a_large_body_is_refused_while_it_comes(filled: str, analyser) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        head = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.mp3"\r\n\r\n'
        yield head
        for _ in range(200):
            sent += 1
            yield bytes(1_000_000)

    with client(filled, analyser, max_upload_mb=3) as api:
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        try:
            answer = api.post("/api/v1/analyse", content=endless(), headers=kind)
            refused(answer, 413, "too_large")
        except httpx.WriteError:
            pass  # it did not wait for the rest
        assert sent < 100
        connection = http.client.HTTPConnection(api.base_url.host, api.base_url.port)
        connection.putrequest("POST", "/api/v1/analyse")
        connection.putheader("Content-Length", "900000000")
        connection.endheaders()
        assert connection.getresponse().status == 413, "before anything of it is sent"
        connection.close()
        big = {"audio": ("a.wav", b"SOUND joy" + bytes(3_500_000))}
        refused(api.post("/api/v1/analyse", files=big), 413, "too_large")
        assert api.post("/api/v1/analyse", data={"text": "기쁨"}).status_code == 200
    assert uploads() == set()


def test_long_recordings_are_refused_before_they_are_read(
    filled: str, analyser, tmp_path: Path
) -> None:
    import soundfile

    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(8_000 * 90, np.int16), 8_000)
    with client(filled, analyser, max_minutes=1.0) as api:
        answer = api.post("/api/v1/analyse", files={"audio": ("a.flac", path.read_bytes())})
        refused(answer, 422, "invalid", "at most 1 are read")
    assert analyser.audio_predictor.asked == []
    assert uploads() == set()


def test_when_too_many_wait_further_ones_are_told_at_once(
    filled: str, analyser, monkeypatch
) -> None:
    go = threading.Event()
    read = analyser.lyric_predictor.read

    def slow(text: str, **how: Any) -> Any:
        go.wait(20)
        return read(text, **how)

    monkeypatch.setattr(analyser.lyric_predictor, "read", slow)
    statuses: list[httpx.Response] = []
    with client(filled, analyser, waiting=1) as api:

        def ask() -> None:
            statuses.append(
                httpx.post(f"{api.base_url}/api/v1/recommend", json={"text": "sad"}, timeout=30)
            )

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            if len(statuses) == 5:
                break
            time.sleep(0.05)
        assert len(statuses) == 5, "two are answered, one waits, five are told"
        for answer in statuses:
            refused(answer, 503, "busy")
            assert int(answer.headers["retry-after"]) > 0
        assert api.get("/health").status_code == 200
        go.set()
        for thread in threads:
            thread.join()
    assert sorted(answer.status_code for answer in statuses) == [200] * 3 + [503] * 5


def test_uploads_are_turned_away_before_they_are_received(
    filled: str, analyser, monkeypatch
) -> None:
    monkeypatch.setattr("app.service.http.UPLOADS_WAITING", 1)
    head = (
        b"POST /api/v1/analyse HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    with client(filled, analyser) as api, ExitStack() as opened:
        place = (api.base_url.host, api.base_url.port)
        for _ in range(2):  # two that began to send, and do not go on
            opened.enter_context(socket.create_connection(place)).sendall(head)
        for _ in range(200):
            third = opened.enter_context(socket.create_connection(place, timeout=0.5))
            third.sendall(head)
            with suppress(TimeoutError):
                answer = third.recv(4_096)
                break
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"busy" in answer
        found = api.post("/api/v1/recommend", json={"text": "sad", "count": 2})
        assert len(found.json()["results"]) == 2  # others are answered


def test_pages_elsewhere_may_ask_only_if_they_are_named(filled: str, analyser) -> None:
    friend, other = "https://friend.example", "https://other.example"
    with client(filled, analyser, origins=(friend,)) as api:
        for origin, allowed in ((friend, friend), (other, None)):
            answer = api.get("/api/v1/songs", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
    with client(filled, analyser) as api:
        answer = api.get("/api/v1/songs", headers={"Origin": friend})
        assert "access-control-allow-origin" not in answer.headers
        strange = api.get("/api/v1/songs", headers={"Host": "evil.example"})
        refused(strange, 421, "unknown_host")


def test_the_log_has_no_words_unless_they_are_asked_for(filled: str, analyser, caplog) -> None:
    for log_words in (False, True):
        caplog.clear()
        with (
            caplog.at_level(logging.INFO, logger="maeum.requests"),
            client(filled, analyser, log="json", log_words=log_words) as api,
        ):
            asked = {"text": "오늘 너무 우울해", "listener": LISTENER}
            api.post("/api/v1/recommend", json=asked)
            api.post("/api/v1/analyse", data={"text": "기쁨"})
        lines = [json.loads(record.message) for record in caplog.records]
        assert [line["route"] for line in lines][:2] == ["/api/v1/recommend", "/api/v1/analyse"]
        assert {"time", "id", "method", "status", "ms", "bytes"} <= lines[0].keys()
        assert ("우울해" in caplog.text) == log_words
        assert ("기쁨" in caplog.text) == log_words
        assert LISTENER not in caplog.text


def test_everything_is_described(filled: str, analyser) -> None:
    with client(filled, analyser) as api:
        described = api.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {path}"
            assert "503" in operation["responses"]
            assert "200" in operation["responses"]
    paths = {path.removeprefix("/api/v1") for path in described["paths"]}
    assert paths >= {"/analyse", "/recommend", "/similar", "/songs", "/feedback", "/map"}
    assert paths >= {"/health", "/ready", "/metrics"}


def test_tools_are_offered_where_they_are_asked_for(filled: str, analyser) -> None:
    pytest.importorskip("mcp")
    with client(filled, analyser, mcp=True) as api:
        schema = api.get("/gradio_api/mcp/schema")
        assert schema.status_code == 200
        assert {tool["name"].split("_")[-1] for tool in schema.json()} >= {"recommend", "analyse"}
    with client(filled, analyser) as api:
        assert api.get("/gradio_api/mcp/schema").status_code == 404


def test_songs_are_found_where_no_judgement_can_be_kept(
    tmp_path: Path, analyser, monkeypatch, caplog
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))  # no folder can be made there
    with client(str(DEMO_CATALOGUE), analyser) as asks:
        assert "judgements are not kept" in caplog.text
        asked = {"text": "오늘 너무 우울해", "listener": LISTENER, "count": 3}
        found = asks.post("/api/v1/recommend", json=asked).json()
        assert len(found["results"]) == 3
        assert found["list"] is None
        judged = {"list": "x" * 40, "song": found["results"][0]["id"], "verdict": 1}
        refused(asks.post("/api/v1/feedback", json=judged), 422, "invalid", "not kept here")
        of_mine = {"listener": LISTENER}
        assert asks.get("/api/v1/feedback", params=of_mine).json() == {"judgements": []}
        assert asks.delete("/api/v1/feedback", params=of_mine).json() == {"deleted": 0}


def test_songs_are_found_when_judgements_fail(filled: str, analyser, monkeypatch, caplog) -> None:
    def fail(*_: object) -> str:
        raise CatalogueError("the disk is full")

    monkeypatch.setattr(FeedbackStore, "token", fail)
    with client(filled, analyser) as asks:
        asked = {"text": "오늘 너무 우울해", "listener": LISTENER, "count": 3}
        found = asks.post("/api/v1/recommend", json=asked).json()
    assert len(found["results"]) == 3
    assert found["list"] is None
    assert "the disk is full" in caplog.text
