"""Fuzz: random inputs to every endpoint, damaged sound, and addresses that lead elsewhere.

``python -m benchmarks.service_fuzz --inputs 10000 --files 500`` starts a service as
``maeum serve`` runs it, in this process, and exits with 1 if anything is answered by a 5xx that
is not declared (busy, too slow), takes longer than ten seconds, or gives away a file that is not
the page's own.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import numpy as np

from benchmarks.measurement import SEED

LONGEST_S: Final = 10.0
MOST_TURNS: Final = 40
DECLARED: Final = {"busy", "too_slow"}
MARK: Final = "maeum-secret-0d9f1c"
"""Content of the file that must not be given away."""

_LISTS: Final = (
    b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
    b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:%SECRET%\n#EXT-X-ENDLIST\n",
    b"ffconcat version 1.0\nfile '%SECRET%'\n",
    b"[playlist]\nFile1=file:///etc/passwd\nNumberOfEntries=1\n",
    b"concat:/etc/passwd|/etc/hosts",
    b'<?xml version="1.0"?><MPD><Period><BaseURL>file:///etc/passwd</BaseURL></Period></MPD>',
)


@dataclass
class Findings:
    """What came back.

    Attributes
    ----------
    statuses
        How often each.
    problems
        What must not be, one line each.
    longest_s
        Of all answers.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def saw(self, what: str, status: int, content: bytes, seconds: float) -> None:
        """Look at an answer."""
        self.statuses[str(status)] += 1
        self.longest_s = max(self.longest_s, seconds)
        if status >= 500 and not any(f'"{code}"'.encode() in content for code in DECLARED):
            self.problems.append(f"{what}: {status} {content[:200]!r}")
        if seconds > LONGEST_S:
            self.problems.append(f"{what}: {seconds:.1f} s")
        if MARK.encode() in content or b"root:x:0:0" in content:
            self.problems.append(f"{what}: a file was given away")


def fuzz_inputs(address: str, inputs: int) -> Findings:
    """Inputs that Schemathesis makes from the OpenAPI description, valid and not."""
    import schemathesis

    findings = Findings()
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    # Some endpoints have few inputs to choose from: the others make up for it.
    for turn in range(MOST_TURNS):
        missing = inputs - sum(findings.statuses.values())
        if missing <= 0:
            break
        each = -(-missing // (len(operations) * len(modes)))
        for operation in operations:
            for mode in modes:
                _fuzz_operation(operation, mode, each, SEED + turn, address, findings)
    return findings


def _fuzz_operation(
    operation: Any, mode: Any, each: int, number: int, address: str, findings: Findings
) -> None:
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis.errors import Unsatisfiable

    try:
        cases = operation.as_strategy(generation_mode=mode)
    except Exception:  # there is nothing wrong to be made for an endpoint without inputs
        return

    @seed(number)
    @settings(
        max_examples=each,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        start = time.perf_counter()
        answer = case.call(base_url=address)
        took = time.perf_counter() - start
        what = f"{case.method} {case.path} {str(case.query)[:80]} {str(case.body)[:80]}"
        findings.saw(what, answer.status_code, answer.content, took)

    try:
        ask()
    except Unsatisfiable:
        return
    except Exception as error:
        findings.problems.append(f"{operation.label}: {error!r}"[:300])


def fuzz_files(address: str, files: int, secret: Path) -> Findings:
    """Damaged and hostile uploads."""
    findings = Findings()
    with httpx.Client(timeout=4 * LONGEST_S) as client:
        for number, (name, content) in enumerate(hostile_files(files, secret)):
            start = time.perf_counter()
            answer = client.post(
                f"{address}/api/v1/analyse", files={"audio": (name, content, "audio/mpeg")}
            )
            took = time.perf_counter() - start
            findings.saw(f"file {number} {name[:40]!r}", answer.status_code, answer.content, took)
    return findings


def hostile_files(count: int, secret: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of uploads: whole files cut, flipped, mixed up and lied about."""
    rng = random.Random(SEED)
    good = _good_files()
    names = (
        "song.mp3", "../../etc/passwd.mp3", "/etc/passwd", "a" * 300 + ".flac", "노래.ogg",
        "song.mp3\x00.wav", "..\\..\\x.wav", "song", ".mp3", "con.m3u8", "song.exe",
    )  # fmt: skip
    for number in range(count):
        kind = rng.choice(list(good))
        content = bytearray(good[kind])
        way = number % 9
        if way == 0:
            content = content[: rng.randrange(len(content))]
        elif way == 1:
            for _ in range(rng.randrange(1, 200)):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        elif way == 2:
            head = good[rng.choice(list(good))][: rng.randrange(4, 512)]
            content[: len(head)] = head
        elif way == 3:  # sizes that are not true
            at = rng.randrange(0, min(len(content) - 4, 4096))
            content[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF)))
        elif way == 4:
            at, length = rng.randrange(len(content)), rng.randrange(1, 5000)
            content[at : at + length] = rng.randbytes(length)
        elif way == 5:
            content = bytearray(rng.randbytes(rng.randrange(0, 20_000)))
        elif way == 6:
            text = rng.choice(_LISTS).replace(b"%SECRET%", str(secret).encode())
            content = bytearray(text)
        elif way == 7:
            start = rng.randrange(len(content))
            content = content[start:] + content[:start]
        else:
            content = content * rng.randrange(2, 6)
        yield rng.choice(names), bytes(content)


def _good_files() -> dict[str, bytes]:
    """Short recordings of several kinds, and a quarter of an hour of silence in a few bytes."""
    import soundfile

    rng = np.random.default_rng(SEED)
    t = np.arange(4 * 16_000) / 16_000
    wave = (0.2 * np.sin(2 * np.pi * 220 * t) + 0.02 * rng.normal(size=t.size)).astype(np.float32)
    made: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("wav", "flac", "ogg", "mp3"):
            path = Path(folder) / f"a.{suffix}"
            soundfile.write(path, wave, 16_000)
            made[suffix] = path.read_bytes()
        path = Path(folder) / "long.flac"
        soundfile.write(path, np.zeros(900 * 8_000, np.int16), 8_000)
        made["long"] = path.read_bytes()
    return made


def fuzz_places(address: str, secret: Path) -> Findings:
    """Addresses that would lead out of the page's own files."""
    findings = Findings()
    up = "../" * 8
    targets = [str(secret), "/etc/passwd", f"{up}etc/passwd", "~/.bashrc", "file:///etc/passwd"]
    ways = [
        "/file={}", "/gradio_api/file={}", "/gradio_api/stream/{}", "/static/{}", "/assets/{}",
        "/theme.css/{}", "/svelte/{}", "/custom_component/x/component/{}", "/{}",
        "/api/v1/audio?id={}", "/api/v1/song?id={}", "/gradio_api/proxy={}",
        "/gradio_api/deep_link?session_hash={}", "/gradio_api/reload/{}",
    ]  # fmt: skip
    with httpx.Client(timeout=4 * LONGEST_S) as client:
        for target in targets:
            spellings = {
                target,
                quote(target, safe=""),
                quote(quote(target, safe=""), safe=""),
                target.replace("/", "%5c"),
                target.replace("../", "..;/"),
                target.replace("..", "%2e%2e"),
                target + "%00.css",
            }
            for way in ways:
                for spelling in spellings:
                    place = way.format(spelling)
                    try:
                        url = httpx.URL(f"{address}{place}")
                        start = time.perf_counter()
                        answer = client.get(url)
                    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                        continue
                    except httpx.TransportError as error:
                        findings.problems.append(f"{place[:80]}: no answer ({error!r})")
                        continue
                    took = time.perf_counter() - start
                    findings.saw(place[:80], answer.status_code, answer.content, took)
        for value in (str(secret), f"file://{secret}", "/etc/passwd"):
            data = {"path": value, "meta": {"_type": "gradio.FileData"}}
            start = time.perf_counter()
            answer = client.post(f"{address}/gradio_api/call/analyse", json={"data": [data, ""]})
            findings.saw("analyse of a path", answer.status_code, b"", time.perf_counter() - start)
            if answer.status_code == 200:
                event = answer.json()["event_id"]
                told = client.get(f"{address}/gradio_api/call/analyse/{event}")
                findings.saw("its event", told.status_code, told.content, 0.0)
                if "event: complete" in told.text:
                    findings.problems.append(f"a path of this machine was read: {value}")
    return findings


@contextmanager
def target() -> Iterator[tuple[str, Path]]:
    """The service over a catalogue of its own: address, and a file beside it."""
    from app.page.mounting import mount_page
    from app.reading_pool import PooledSound, ReadingPool
    from app.service.answers import Answers
    from app.service.http import create_api
    from app.service.options import ServiceOptions
    from data_prep.catalogue import Catalogue, Song, SongFile, StageVector
    from fusion.analysis import SongAnalyser
    from tests.app.service.serving import listening

    options = ServiceOptions(files=True)
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder, ReadingPool(1, timeout_s=9.0) as pool:
        secret, link = Path(folder) / "secret.txt", Path(folder) / "link.mp3"
        secret.write_text(MARK)
        link.symlink_to(secret)
        place = Path(folder) / "songs.db"
        status = secret.stat()
        with Catalogue.open(place, create=True) as catalogue:
            vector = StageVector(rng.dirichlet(np.ones(6)).astype(np.float32), "test")
            paths = {
                "0": str(link),
                "1": str(secret),
                "2": "/etc/passwd",
                "3": f"{folder}/none.mp3",
            }
            catalogue.upsert(
                [
                    Song(str(i), title=f"T{i}", lyrics=vector, path=paths.get(str(i)))
                    for i in range(30)
                ]
            )
            catalogue.keep_files(
                [SongFile(i, size=status.st_size, mtime_ns=status.st_mtime_ns) for i in paths]
            )
        analyser = SongAnalyser(audio_predictor=PooledSound(pool, "sound"), threads=1)
        answers = Answers(str(place), analyser, check_every_s=0.5)
        answers.warm_up()
        app = create_api(answers, options)
        mount_page(app, answers, options)
        with listening(app) as address:
            for song in paths:
                answer = httpx.get(f"{address}/api/v1/audio", params={"id": song})
                assert answer.status_code == 404, f"song {song} is given away: {answer.text[:80]}"
            yield address, secret


def main() -> None:
    """Fuzz a service and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=500)
    options = parser.parse_args()
    problems = []
    with target() as (address, secret):
        for name, look in (
            ("addresses", lambda: fuzz_places(address, secret)),
            ("files", lambda: fuzz_files(address, options.files, secret)),
            ("inputs", lambda: fuzz_inputs(address, options.inputs)),
        ):
            found = look()
            total = sum(found.statuses.values())
            counts = dict(sorted(found.statuses.items()))
            print(
                f"{name}: {total:,} answers {counts}, longest {found.longest_s:.1f} s", flush=True
            )
            problems += found.problems
    for problem in problems[:20]:
        print(f"  {problem}")
    print(f"{len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
