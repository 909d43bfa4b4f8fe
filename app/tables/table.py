"""Analysis of a whole table: one output row per input row, in order, in bounded memory.

Rows are read from disk and analysed a window at a time; the words of a window go
through the model together, in batches of similar length where the predictor can
(``read_many``). Each finished row is written to a file beside the output
(``OUT.part``), which becomes the output once every row is there. An interrupted
run goes on after the last row of that file, if it was made from the same table
with the same models and settings.

A quantised network's answer depends a little on what else is in its batch. So a
run that goes on within a window reads the words of the whole window again, and
its output is that of an uninterrupted run to the last digit.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from app.atomic_file import check_writable
from app.failure_log import FailureLog
from app.failures import Failure, explain
from app.library.lyric_files import read_lyric_file
from app.library.readers import ReadHere, SongPool
from app.progress import Progress
from app.reading_pool import outcome
from app.tables.files import ERROR_COLUMN, RESULT_COLUMNS, check_suffix
from app.tables.output import write_analysed
from app.tables.window_words import each_of_window, read_window
from data_prep.errors import InputError
from data_prep.lyrics_text import MAX_SEGMENT_CHARACTERS
from data_prep.readers.song_stream import SongStream, open_song_stream
from data_prep.readers.song_table import SongRecord, row_id
from data_prep.remote_file import SongPath, at_hand
from data_prep.taxonomy import EMOTIONS
from data_prep.timed_lyrics import has_times
from fusion.analysis import Analysis, SongAnalyser

if TYPE_CHECKING:
    from lyrics_model.predictor import LyricReading

ROWS_PER_WINDOW: Final = 64
CHARACTERS_PER_WINDOW: Final = 1_000_000
ROWS_PER_WRITE: Final = 16
WINDOWS_AHEAD: Final = 3
"""For each reader of a pool."""


@dataclass(frozen=True)
class TableReport:
    """What became of a table.

    Attributes
    ----------
    rows, analysed, resumed
        Rows of the table; rows with a result; rows an earlier run had done.
    failures
        The other rows, in order.
    renamed
        Columns of the table that a result column has the name of, and what they
        are called in the output.
    """

    rows: int
    analysed: int
    resumed: int
    failures: Sequence[Failure]
    renamed: Mapping[str, str]


@dataclass(frozen=True)
class _Item:
    """A row with its words in hand; ``error`` says why it cannot be analysed."""

    record: SongRecord
    text: str | None
    as_mood: bool
    error: str | None


def analyse_table(
    path: SongPath, out: Path, analyser: SongAnalyser, pool: SongPool | None = None
) -> TableReport:
    """Analyse every row of a table, wherever it is, and write the results.

    Parameters
    ----------
    path
        Table with ``id`` and one or more of ``text | lyrics | lyrics_path`` and
        ``audio_path``.
    out
        Where to; its ending says the format.
    analyser
        Fuses, and reads where there is no pool.
    pool
        Reads, with the same models as the analyser; left open.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, changes meanwhile, or ``out``
        cannot be written.
    ModelFolderError
        If a model that the table needs cannot be loaded.
    """
    check_suffix(out)
    check_writable(out)
    if isinstance(path, Path) and out.exists() and path.exists() and out.samefile(path):
        raise InputError(f"{out} is the table itself: give --out another name")
    with at_hand(path) as file:
        return _analysed(open_song_stream(file, path), out, analyser, pool)


def _analysed(
    table: SongStream, out: Path, analyser: SongAnalyser, pool: SongPool | None
) -> TableReport:
    finished = _FinishedRows(out.with_name(out.name + ".part"), _signature(table, analyser))
    resumed, window = finished.resume()
    _analyse_rows(table, analyser, finished, resumed, window, pool)
    renamed = {c: f"input_{c}" for c in table.columns if c in RESULT_COLUMNS}
    failures = FailureLog()
    write_analysed(out, table, renamed, _finished_rows(table, finished, failures))
    finished.remove()
    analysed = table.length - len(failures)
    return TableReport(table.length, analysed, resumed, failures, renamed)


def is_sentence(text: str) -> bool:
    """Whether a text is one segment of one line: read as a mood rather than as a song's words."""
    stripped = text.strip()
    is_one = "\n" not in stripped and len(stripped) <= MAX_SEGMENT_CHARACTERS
    return is_one and not has_times(stripped)


def is_mood(text: str | None, audio: object | None) -> bool:
    """Whether words are read as a mood: one sentence, and no recording that they belong to."""
    return text is not None and audio is None and is_sentence(text)


def flat_result(analysis: Analysis) -> dict[str, Any]:
    """One analysis as the result columns of a table, without ``error``."""
    content = analysis.to_json()
    flat: dict[str, Any] = {}
    for branch in ("lyrics", "audio", "fused"):
        emotions = content[branch] or dict.fromkeys(EMOTIONS)
        for name in EMOTIONS:
            value = emotions[name]
            flat[f"{branch}_{name}"] = None if value is None else round(value, 6)
    return flat | {
        "top": content["top"],
        "confidence": round(content["confidence"], 6),
        "abstain": content["abstain"],
        "detected_language": content["language"],
        "notes": content["notes"],
    }


def _analyse_rows(
    table: SongStream,
    analyser: SongAnalyser,
    finished: _FinishedRows,
    done: int,
    window: int,
    pool: SongPool | None,
) -> None:
    """Analyse what follows ``done`` rows, of which the last lay in a window that begins there."""
    progress = Progress(table.length, "rows", done=done)
    reader = pool if pool is not None else ReadHere(analyser)
    begun: deque[_Window] = deque()

    def finish(one: _Window) -> None:
        for item, result in zip(one.items, one.results(analyser, done), strict=True):
            if item.record.row > done:
                finished.add(item.record.row, one.items[0].record.row, result)
                progress.advance(failed=ERROR_COLUMN in result)

    try:
        with finished.appending():
            for items in _windows(table.records(after=window - 1)):
                begun.append(_Window(items, reader, done))
                while len(begun) > WINDOWS_AHEAD * (pool.workers if pool is not None else 0):
                    finish(begun.popleft())
            while begun:
                finish(begun.popleft())
    except KeyboardInterrupt:
        progress.close()
        print(
            f"the rows done so far are kept in {finished.path}: "
            "run the same command again to go on",
            file=sys.stderr,
        )
        raise
    finally:
        progress.close()


class _Window:
    """Rows that are being read: their words together, each recording by itself."""

    def __init__(self, items: list[_Item], reader: ReadHere | SongPool, done: int) -> None:
        self.items = items
        self._asked = [item for item in items if item.error is None and item.text is not None]
        if items[-1].record.row <= done:
            self._asked = []
        texts = [(item.text or "", item.as_mood) for item in self._asked]
        first = sum(item.record.row <= done for item in self._asked)
        read: Callable[..., Iterable[LyricReading | Exception | None]] = read_window
        if isinstance(reader, ReadHere):  # one after the other, as the rows are finished
            read = each_of_window
        self._words = reader.run(read, texts, first) if texts else None
        self._sound = {
            item.record.row: reader.sound(item.record.audio_path)
            for item in items
            if item.record.row > done and item.error is None and item.record.audio_path is not None
        }

    def results(self, analyser: SongAnalyser, done: int) -> Iterator[dict[str, Any]]:
        """Result columns of each row, or its error; nothing for one that is done."""
        words = iter(self._read_words())
        asked = {item.record.row for item in self._asked}
        for item in self.items:
            own = next(words) if item.record.row in asked else None
            yield {} if item.record.row <= done else self._result(item, own, analyser)

    def _read_words(self) -> Iterable[LyricReading | Exception | None]:
        if self._words is None:
            return []
        try:
            return outcome(self._words)
        except InputError as error:  # they took too long, or crashed what reads
            return [error] * len(self._asked)

    def _result(
        self, item: _Item, words: LyricReading | Exception | None, analyser: SongAnalyser
    ) -> dict[str, Any]:
        if item.error is not None:
            return {ERROR_COLUMN: item.error}
        try:
            if isinstance(words, Exception):
                raise words
            pending = self._sound.get(item.record.row)
            sound = None if pending is None else outcome(pending)
            return flat_result(analyser.combine(words, sound, as_mood=item.as_mood))
        except Exception as error:  # one bad row must not stop the others
            return {ERROR_COLUMN: explain(error)}  # lets pass what concerns the whole run


def _finished_rows(
    table: SongStream, finished: _FinishedRows, failures: FailureLog
) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Each row as it stood with its result, in order; notes the failures on the way."""
    for row, result in zip(table.table.rows(), finished.results(), strict=True):
        error = result.get(ERROR_COLUMN)
        if error is not None:
            where = f"{table.place}, row {row.number}"
            failures.add(Failure(where, row_id(row) or None, str(error)))
        yield row.values, result


def _windows(records: Iterator[SongRecord]) -> Iterator[list[_Item]]:
    """Rows with their words, as many at a time as may be in memory together."""
    window: list[_Item] = []
    characters = 0
    for record in records:
        item = _item(record)
        window.append(item)
        characters += len(item.text or "")
        if len(window) >= ROWS_PER_WINDOW or characters >= CHARACTERS_PER_WINDOW:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _item(record: SongRecord) -> _Item:
    if record.problem is not None:
        return _Item(record, None, False, record.problem)
    text = record.text
    try:
        if text is None and record.lyrics_path is not None:
            text = read_lyric_file(record.lyrics_path)
    except Exception as error:  # one bad file must not stop the others
        return _Item(record, None, False, explain(error))
    as_mood = record.audio_path is None and _plain_text(record) and is_sentence(text or "")
    return _Item(record, text, as_mood, None)


def _plain_text(record: SongRecord) -> bool:
    """Whether the words come from the column ``text``, which need not be a song's."""
    return record.text is not None and any(
        name.strip().lower() == "text" and value == record.text
        for name, value in record.values.items()
    )


def _signature(table: SongStream, analyser: SongAnalyser) -> dict[str, str]:
    """What the results depend on; loads the models that the table needs."""
    names = {column.strip().lower() for column in table.columns}
    settings = json.dumps(analyser.settings.to_dict(), sort_keys=True)
    signature = {
        "table": table.table.content_hash,
        "settings": sha256(settings.encode("utf-8")).hexdigest(),
    }
    if names & {"text", "lyrics", "lyrics_path"}:
        signature["lyrics_model"] = analyser.lyric_predictor.model_hash
    if "audio_path" in names:
        signature["audio_model"] = analyser.audio_predictor.model_hash
    return signature


class _FinishedRows:
    """The ``.part`` file: a line with the signature, then one line per row, in order."""

    def __init__(self, path: Path, signature: Mapping[str, str]) -> None:
        self.path = path
        self._signature = dict(signature)
        self._file: IO[bytes] | None = None
        self._waiting: list[bytes] = []

    def resume(self) -> tuple[int, int]:
        """Rows that an earlier run finished, and the first row of the window the last lay in.

        None, and a fresh file, if it was another run's. What follows the last whole
        line is cut off: an interruption may have fallen into the middle of one.
        """
        done, window, end = 0, 1, 0
        if self.path.is_file():
            with self.path.open("rb") as lines:
                first = lines.readline()
                if _parsed(first).get("signature") == self._signature:
                    end = len(first)
                    for line in lines:
                        content = _parsed(line)
                        if content.get("row") != done + 1 or not {"window", "result"} <= set(
                            content
                        ):
                            break
                        done, window = content["row"], content["window"]
                        end += len(line)
        if done:
            with self.path.open("r+b") as lines:
                lines.truncate(end)
        else:
            self.path.write_bytes(json.dumps({"signature": self._signature}).encode() + b"\n")
        return done, window

    def results(self) -> Iterator[dict[str, Any]]:
        """Results of all rows, in order."""
        with self.path.open("rb") as lines:
            lines.readline()
            for line in lines:
                yield _parsed(line)["result"]

    def add(self, row: int, window: int, result: Mapping[str, Any]) -> None:
        """Append one row of a window; it is on disk after a few more."""
        content = {"row": row, "window": window, "result": result}
        line = json.dumps(content, ensure_ascii=False) + "\n"
        self._waiting.append(line.encode("utf-8", "replace"))
        if len(self._waiting) >= ROWS_PER_WRITE:
            self._flush()

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Within it rows can be added; at its end, also by an error, all of them are on disk."""
        with self.path.open("ab") as self._file:
            try:
                yield
            finally:
                self._flush()

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        assert self._file is not None, "rows are added within appending()"
        self._file.write(b"".join(self._waiting))
        self._file.flush()
        self._waiting.clear()


def _parsed(line: bytes) -> dict[str, Any]:
    """A whole line's content; nothing for a line that was cut."""
    if not line.endswith(b"\n"):
        return {}
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
