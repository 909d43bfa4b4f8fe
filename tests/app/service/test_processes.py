"""A service of several processes answers as one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from app.service.same_process import COOKIE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be copied here")


@dataclass
class Service:
    process: subprocess.Popen[str]
    address: str
    folder: Path

    def workers(self) -> list[int]:
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(one) for one in listed.split()]

    def all_there(self) -> list[int]:
        """Its two processes, of which one comes a moment after the other."""
        for _ in range(100):
            found = self.workers()
            if len(found) == 2:
                return found
            time.sleep(0.1)
        raise AssertionError(f"there are {len(found)} processes")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def started(folder: Path, port: int, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "XDG_DATA_HOME": str(folder), "TMPDIR": str(folder)}
    environment.pop("MAEUM_CATALOGUE", None)
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--processes", "2", *more],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for(address: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{address}/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the service does not answer")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="maeum-") as name:  # short, for sockets
        folder, port = Path(name), free_port()
        process = started(folder, port)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(address)
            begun = Service(process, address, folder)
            begun.all_there()
            yield begun
        finally:
            process.terminate()
            process.wait(30)


def cookies(address: str, wanted: int = 2) -> set[str]:
    """Names of processes that answered, until there are so many, or after long."""
    found: set[str] = set()
    for _ in range(400):
        found.add(httpx.get(address).cookies[COOKIE])
        if len(found) >= wanted:
            break
    return found


def test_each_process_answers_some(service):
    assert len(service.workers()) == 2
    assert len(cookies(service.address)) == 2


def test_the_counters_are_those_of_all(service):
    def counted() -> float:
        text = httpx.get(f"{service.address}/metrics").text
        found = re.search(r'maeum_requests_total{route="/health",status="200"} (\S+)', text)
        return float(found[1]) if found else 0.0

    before = counted()
    for _ in range(30):
        httpx.get(f"{service.address}/health")
    for _ in range(10):  # whichever process is asked
        assert counted() == before + 30


def test_the_memory_is_that_of_all(service):
    text = httpx.get(f"{service.address}/metrics").text
    found = re.search(r"^maeum_memory_bytes ([\d.e+]+)$", text, re.MULTILINE)
    assert found is not None
    assert 1e8 < float(found[1]) < 2e9


def test_pages_keep_what_they_show(service):
    clients = [Client(service.address, verbose=False) for _ in range(4)]
    assert all(client.cookies[COOKIE] for client in clients)
    for client in clients:
        for _ in range(4):
            answer = client.predict("오늘 너무 우울해", 3, api_name="/recommend")
            assert len(answer["results"]) == 3


def test_scripts_without_cookies_are_answered(service):
    for _ in range(8):
        call = f"{service.address}/gradio_api/call/recommend"
        data = {"data": ["I feel happy", 2, None, None, None, None]}
        event = httpx.post(call, json=data).json()["event_id"]
        told = httpx.get(f"{call}/{event}", timeout=30).text
        assert told.startswith("event: complete"), told[:200]


def test_recommendations_are_the_same_from_each(service):
    body = {"text": "비 오는 날 혼자 걷고 싶다", "count": 5}
    answers = [
        httpx.post(f"{service.address}/api/v1/recommend", json=body).json()["results"]
        for _ in range(12)
    ]
    assert all(answer == answers[0] for answer in answers)


def test_judgements_of_one_process_are_known_to_the_others(service):
    listener = "listener-of-two-processes"
    body = {"text": "기쁘다", "count": 3, "listener": listener}
    listed = httpx.post(f"{service.address}/api/v1/recommend", json=body).json()
    judgement = {"list": listed["list"], "song": listed["results"][0]["id"], "verdict": 1}
    for _ in range(6):
        kept = httpx.post(f"{service.address}/api/v1/feedback", json=judgement)
        assert kept.status_code == 200, kept.text
    for _ in range(6):
        url = f"{service.address}/api/v1/feedback?listener={listener}"
        assert len(httpx.get(url).json()["judgements"]) == 1


def test_a_process_that_is_killed_is_replaced(service):
    before = set(service.workers())
    os.kill(min(before), signal.SIGKILL)
    for _ in range(300):
        now = set(service.workers())
        if len(now) == 2 and now != before:
            break
        time.sleep(0.1)
    assert min(before) not in service.workers()
    wait_for(service.address)
    for _ in range(20):
        assert httpx.get(f"{service.address}/ready").status_code == 200


def test_all_are_replaced_when_it_is_asked_for(service):
    before = set(service.workers())
    service.process.send_signal(signal.SIGHUP)
    for _ in range(300):
        now = set(service.workers())
        if len(now) == 2 and not now & before:
            break
        time.sleep(0.1)
    assert not before & set(service.workers())
    assert len(service.workers()) == 2
    wait_for(service.address)
    assert len(cookies(service.address)) == 2


def test_an_address_that_is_taken_is_named(service):
    port = int(service.address.rpartition(":")[2])
    with tempfile.TemporaryDirectory() as folder:
        second = started(Path(folder), port)
        told, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"127.0.0.1:{port} cannot be used" in told
    assert "Traceback" not in told


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_nothing_is_left_when_all_is_killed_but_the_processes():
    with tempfile.TemporaryDirectory(prefix="maeum-") as name:
        folder, port = Path(name), free_port()
        process = started(folder, port)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(address)
            left = Service(process, address, folder).all_there()
        finally:
            process.kill()
            process.wait(10)
        for _ in range(150):
            if not any(map(is_running, left)):
                break
            time.sleep(0.1)
        assert not any(map(is_running, left))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_and_leaves_nothing(how):
    with tempfile.TemporaryDirectory(prefix="maeum-") as name:
        folder, port = Path(name), free_port()
        process = started(folder, port)
        try:
            wait_for(f"http://127.0.0.1:{port}")
            body = {"text": "기쁘다", "listener": "somebody-or-other"}
            httpx.post(f"http://127.0.0.1:{port}/api/v1/recommend", json=body)
            process.send_signal(how)
            told, _ = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == 0, told
        assert told.splitlines() == [f"maeum: http://127.0.0.1:{port}  (Ctrl+C ends it)"]
        assert not list(folder.glob("maeum-serve-*"))
