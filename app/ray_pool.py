"""Reading words and sound on the machines of a Ray cluster.

The same questions as :class:`app.reading_pool.ReadingPool` answers, for who indexes: what is
read where does not change what is read, so a catalogue is the same, row for row, whichever of
them reads. This process keeps what waits; each reader, one for each core of the cluster, has a
model loaded once and two questions at most. What a reader was reading when its machine went
away is read again by another; machines that come are used.

A reader takes a recording from its own disk where a file of the same place, size and time is
there, as on shared drives; else this process sends it.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from app.reading_pool import TIMEOUT_S, Pending, TooSlowError, read_each
from data_prep.errors import InputError, MissingExtraError, ModelFolderError
from data_prep.onnx_network import GPU, execution_providers
from data_prep.remote_file import SongPath, told_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fusion.analysis import AudioReading, LyricReading, SongAnalyser

_T = TypeVar("_T")

EACH: Final = 2
"""Questions that a reader has: one that it answers, and the next."""

MOST_CRASHES: Final = 2
"""Readers that a question may crash before its input is given up."""

START_S: Final = 120.0
"""Seconds in which a cluster must answer, and a first reader begin."""

_LOOK_S: Final = 2.0
_WAIT_S: Final = 0.05
_KNOCK_S: Final = 10.0

_CRASHED: Final = "what reads it crashed on it: the file is damaged"


class _NotHereError(Exception):
    """The recording is not on the machine that should read it."""


@dataclass(eq=False)
class _Question:
    """What is to be read, and who waits for it."""

    method: str
    arguments: tuple[Any, ...]
    answer: Future[Any] = field(default_factory=Future)
    crashes: int = 0


@dataclass(eq=False)
class _Reader:
    """An actor, and what it was asked; the first is being answered."""

    actor: Any
    hello: Any
    has_gpu: bool = False
    node: str | None = None
    asked: dict[Any, _Question] = field(default_factory=dict)
    since: float = 0.0


class RayPool:
    """Reads on a Ray cluster. A context manager that ends its readers.

    Parameters
    ----------
    address
        Of the cluster's head, ``HOST:PORT``, or ``auto`` for the one of this machine; ``None``
        starts Ray on this machine alone, and ends it.
    workers
        Most readers; one for each core of the cluster if ``None``.
    lyrics_folder, audio_folder
        Model folders, on every machine; ``None`` is the embedded one.
    with_gpus
        Whether networks run on graphics cards, one for each reader, as far as there are any.
    timeout_s
        Seconds for one recording or one list of texts, counted from when its reading begins.
    say
        Receives what is to be known of the cluster.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    InputError
        If no cluster answers.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        *,
        lyrics_folder: Path | None = None,
        audio_folder: Path | None = None,
        with_gpus: bool = False,
        timeout_s: float = TIMEOUT_S,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._with_gpus = with_gpus
        self._ray = _started(address, workers)
        self._most = workers
        self._folders = (lyrics_folder, audio_folder)
        self._models = _models_of(*self._folders)
        self.timeout_s = timeout_s
        self._say = say
        self._lock = threading.Lock()
        self._waiting: deque[_Question] = deque()
        self._readers: list[_Reader] = []
        self._failure: Exception | None = None
        self._told = (0, 0)
        self._looked = 0.0
        self._ends = threading.Event()
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maeum-ray", daemon=True)
        self._thread.start()
        if not self._has_begun.wait(START_S) or self._failure is not None:
            self.close()
            raise self._failure or InputError(
                f"no reader could begin on the cluster in {START_S:.0f} s: has it a free core?"
            )

    @property
    def workers(self) -> int:
        """Readers that have begun; 1 at least."""
        with self._lock:
            return max(sum(reader.node is not None for reader in self._readers), 1)

    def sound(self, path: SongPath) -> Pending[AudioReading]:
        """Read a recording."""
        return self.on_file(_read_sound, path)

    def on_file(self, function: Callable[..., _T], path: SongPath, *arguments: Any) -> Pending[_T]:
        """Have a function of a module called, with a reader's analyser, a file, and then these.

        One on another file system is fetched by who reads it.
        """
        if not isinstance(path, Path):
            return self._ask("run", function, (path, *arguments))
        try:
            status = path.stat()
        except OSError as error:
            answer: Future[_T] = Future()
            reason = error.strerror or error
            answer.set_exception(InputError(f"{path} cannot be read: {reason}"))
            return answer
        found = str(path.absolute()), status.st_size, status.st_mtime_ns
        return self._ask("on_file", *found, None, function, arguments)

    def log_mel(self, log_mel: NDArray[np.floating]) -> Pending[AudioReading]:
        """Read a recording of which only the log-mel (n_mels, n_frames) in dB is there."""
        return self._ask("log_mel", log_mel)

    def words(
        self, texts: Sequence[str], *, as_mood: bool = False
    ) -> Pending[list[LyricReading | InputError]]:
        """Read texts: for each its reading, or what is wrong with it."""
        return self._ask("words", list(texts), as_mood)

    def run(self, function: Callable[..., _T], *arguments: Any) -> Pending[_T]:
        """Have a function of a module called, with a reader's analyser and then these."""
        return self._ask("run", function, arguments)

    def close(self) -> None:
        """End the readers, and Ray where it was started here."""
        self._ends.set()
        self._thread.join(30.0)
        for reader in self._readers:
            self._ray.kill(reader.actor)
        self._readers = []
        self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, method: str, *arguments: Any) -> Future[Any]:
        question = _Question(method, arguments)
        with self._lock:
            if self._failure is not None:
                question.answer.set_exception(self._failure)
            else:
                self._waiting.append(question)
        return question.answer

    # All below is done by one thread.

    def _run(self) -> None:
        try:
            while not self._ends.is_set():
                if time.monotonic() - self._looked > _LOOK_S:
                    self._look()
                self._hand_out()
                self._collect()
                self._end_slow()
        except Exception as error:  # of Ray, of several layers: everybody who waits is told
            self._fail(error)

    def _look(self) -> None:
        """Have a reader for each core that there is."""
        self._looked = time.monotonic()
        there = self._ray.cluster_resources()
        cores, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
        wanted = cores if self._most is None else min(cores, self._most)
        free = gpus - sum(reader.has_gpu for reader in self._readers) if self._with_gpus else 0
        for number in range(wanted - len(self._readers)):
            has_gpu = number < free
            on_gpu: dict[str, Any] = {"num_gpus": 1, "runtime_env": {"env_vars": {GPU: "1"}}}
            kind = self._ray.remote(_Answering).options(num_cpus=1, **(on_gpu if has_gpu else {}))
            actor = kind.remote(*self._folders)
            reader = _Reader(actor, actor.hello.remote(), has_gpu)
            with self._lock:
                self._readers.append(reader)
        ready = [reader.node for reader in self._readers if reader.node is not None]
        now = (len(set(ready)), len(ready))
        if now != self._told and ready:
            self._told = now
            machines = "1 machine" if now[0] == 1 else f"{now[0]} machines"
            self._say(f"reading on {machines}, {now[1]} songs at once")

    def _hand_out(self) -> None:
        for turn in range(EACH):  # everybody has one before anybody has two
            for reader in self._readers:
                if reader.node is None or len(reader.asked) > turn:
                    continue
                with self._lock:
                    question = self._waiting.popleft() if self._waiting else None
                if question is None:
                    return
                ref = getattr(reader.actor, question.method).remote(*question.arguments)
                if not reader.asked:
                    reader.since = time.monotonic()
                reader.asked[ref] = question

    def _collect(self) -> None:
        by_ref = {ref: reader for reader in self._readers for ref in reader.asked}
        by_ref |= {reader.hello: reader for reader in self._readers if reader.node is None}
        refs = list(by_ref)
        if not refs:
            time.sleep(_WAIT_S)
            return
        self._ray.wait(refs, num_returns=1, timeout=_WAIT_S)
        done, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        for ref in done:
            reader = by_ref[ref]
            if reader not in self._readers:
                continue  # it was lost with another of its answers
            if ref is reader.hello:
                self._greeted(reader)
            else:
                self._answered(reader, ref)

    def _greeted(self, reader: _Reader) -> None:
        try:
            node, models = self._ray.get(reader.hello)
        except self._ray.exceptions.RayActorError:
            self._lose(reader)
            return
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        if models != self._models:
            raise ModelFolderError(
                "a machine of the cluster has another version of maeum or other models: install "
                "the same on all of them"
            )
        with self._lock:
            reader.node = node
        self._has_begun.set()

    def _answered(self, reader: _Reader, ref: Any) -> None:
        try:
            found = self._ray.get(ref)
        except self._ray.exceptions.RayActorError:
            self._lose(reader)
            return
        except self._ray.exceptions.RayTaskError as error:
            question = reader.asked.pop(ref)
            reader.since = time.monotonic()
            if isinstance(error.cause, _NotHereError):
                self._send_content(question)
            else:
                question.answer.set_exception(error.cause)
            return
        reader.since = time.monotonic()
        reader.asked.pop(ref).answer.set_result(found)

    def _send_content(self, question: _Question) -> None:
        path, size, time_ns, _, *rest = question.arguments
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            reason = error.strerror or error
            question.answer.set_exception(InputError(f"{path} cannot be read: {reason}"))
            return
        question.arguments = (path, size, time_ns, self._ray.put(content), *rest)
        with self._lock:
            self._waiting.appendleft(question)

    def _lose(self, reader: _Reader) -> None:
        """A reader is gone, or its machine."""
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        asked = list(reader.asked.values())
        if asked and reader.node in alive:  # it crashed, and not its machine
            asked[0].crashes += 1
            if asked[0].crashes >= MOST_CRASHES:
                asked.pop(0).answer.set_exception(InputError(_CRASHED))
        self._ask_again(reader, asked)

    def _ask_again(self, reader: _Reader, questions: list[_Question]) -> None:
        """Without a reader: others are asked first what it was asked, and another is started."""
        with self._lock:
            self._readers.remove(reader)
            self._waiting.extendleft(reversed(questions))
        self._looked = 0.0

    def _end_slow(self) -> None:
        for reader in list(self._readers):
            if not reader.asked or time.monotonic() - reader.since < self.timeout_s:
                continue
            slow = next(iter(reader.asked))
            reader.asked.pop(slow).answer.set_exception(
                TooSlowError("reading it took too long and was given up")
            )
            self._ray.kill(reader.actor)
            self._ask_again(reader, list(reader.asked.values()))

    def _fail(self, error: Exception) -> None:
        expected = isinstance(error, (ModelFolderError, InputError))
        told = error if expected else InputError(f"the cluster does not answer any more: {error}")
        with self._lock:
            self._failure = told
            waiting = [*self._waiting, *(q for r in self._readers for q in r.asked.values())]
            self._waiting.clear()
        for question in waiting:
            if not question.answer.done():
                question.answer.set_exception(told)
        self._has_begun.set()


class _Answering:
    """An actor: reads with models that it loads once."""

    def __init__(self, lyrics_folder: Path | None, audio_folder: Path | None) -> None:
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
        from fusion.analysis import SongAnalyser

        self._folders = (lyrics_folder, audio_folder)
        self._analyser = SongAnalyser(
            lyrics_folder=lyrics_folder, audio_folder=audio_folder, threads=1
        )

    def hello(self) -> tuple[str, tuple[str, ...]]:
        """Machine that it is on, and what it reads with."""
        import ray

        execution_providers()  # that one is asked for which is not there is told at once
        return ray.get_runtime_context().get_node_id(), _models_of(*self._folders)

    def words(self, texts: list[str], as_mood: bool) -> list[LyricReading | InputError]:
        """As the pool's."""
        return read_each(self._analyser, texts, as_mood=as_mood)

    def on_file(
        self,
        path: str,
        size: int,
        time_ns: int,
        content: bytes | None,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> Any:
        """As the pool's; ``content`` where the file is not here."""
        place = Path(path)
        if content is None:
            try:
                status = place.stat()
            except OSError:
                raise _NotHereError from None
            if (status.st_size, status.st_mtime_ns) != (size, time_ns):
                raise _NotHereError
            return function(self._analyser, place, *arguments)
        with tempfile.TemporaryDirectory(prefix="maeum-ray-") as folder:
            copy = Path(folder) / f"recording{place.suffix}"
            copy.write_bytes(content)
            with told_of(path, copy):
                return function(self._analyser, copy, *arguments)

    def run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """As the pool's."""
        return function(self._analyser, *arguments)

    def log_mel(self, log_mel: NDArray[np.floating]) -> AudioReading:
        """As the pool's."""
        return self._analyser.read_log_mel(log_mel)


def _read_sound(analyser: SongAnalyser, path: SongPath) -> AudioReading:
    return analyser.read_sound(path)


def _models_of(lyrics_folder: Path | None, audio_folder: Path | None) -> tuple[str, ...]:
    """What tells the same installation and models from others."""
    from data_prep.model_folder import folder_hash

    given = (("lyrics_model", lyrics_folder), ("audio_model", audio_folder))
    folders = [folder or Path(str(files(house))) / "embedded" for house, folder in given]
    return (version("maeum"), *map(folder_hash, folders))


def _started(address: str | None, workers: int | None) -> Any:
    # read by Ray when it is imported: nothing is reported to its makers
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("reading on a cluster", "cluster") from error
    import logging

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            from app.reading_pool import usable_cores

            ray.init(num_cpus=workers or usable_cores(), include_dashboard=False, **quiet)
        else:
            _knock(address)
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        place = address or "this machine"
        raise InputError(
            f"no Ray cluster answers at {place}: {error}; where it has a token, "
            "RAY_AUTH_MODE=token and the token have to be set here as well"
        ) from error
    return ray


def _knock(address: str) -> None:
    """Whether somebody is there at all: Ray itself asks for more than a minute."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
        except (OSError, OverflowError) as error:
            raise ConnectionError(str(error)) from error
