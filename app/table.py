"""Analysis of a whole table: one output row per input row, in order.

Finished rows are kept in a file beside the output (``OUT.part``) until the whole
output is written, so that an interrupted run goes on where it was. They count
only for the same table, models and settings.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.atomic_file import check_writable
from app.failures import Failure, explain
from app.lyric_files import read_lyric_file
from app.progress import Progress
from app.table_files import ERROR_COLUMN, RESULT_COLUMNS, check_suffix, write_table
from data_prep.errors import InputError
from data_prep.lyrics_text import MAX_SEGMENT_CHARACTERS
from data_prep.readers.song_table import SongRecord, SongTable, read_song_table
from data_prep.taxonomy import EMOTIONS
from fusion.analysis import Analysis, SongAnalyser

ROWS_PER_WRITE: Final = 16


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
    failures: tuple[Failure, ...]
    renamed: Mapping[str, str]


def analyse_table(path: Path, out: Path, analyser: SongAnalyser) -> TableReport:
    """Analyse every row of a table and write the results.

    Parameters
    ----------
    path
        Table with ``id`` and one or more of ``text | lyrics | lyrics_path`` and
        ``audio_path``.
    out
        Where to; its ending says the format.
    analyser
        Reads the rows.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, or ``out`` cannot be written.
    ModelFolderError
        If a model that the table needs cannot be loaded.
    """
    check_suffix(out)
    check_writable(out)
    if out.exists() and path.exists() and out.samefile(path):
        raise InputError(f"{out} is the table itself: give --out another name")
    table = read_song_table(path)
    finished = _FinishedRows(out.with_name(out.name + ".part"), _signature(table, analyser))
    resumed = finished.read()
    _analyse_rows(table, analyser, finished, resumed)
    renamed = {c: f"input_{c}" for c in table.columns if c in RESULT_COLUMNS}
    results = dict(finished.results())
    write_table(out, table, renamed, (results.get(record.row, {}) for record in table.records))
    finished.remove()
    failures = tuple(
        Failure(f"{path}, row {record.row}", record.id or None, str(error))
        for record in table.records
        if (error := results.get(record.row, {}).get(ERROR_COLUMN)) is not None
    )
    rows = len(table.records)
    return TableReport(rows, rows - len(failures), len(resumed), failures, renamed)


def is_sentence(text: str) -> bool:
    """Whether a text is one segment of one line: read as a mood rather than as a song's words."""
    stripped = text.strip()
    return "\n" not in stripped and len(stripped) <= MAX_SEGMENT_CHARACTERS


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
    table: SongTable, analyser: SongAnalyser, finished: _FinishedRows, done: set[int]
) -> None:
    progress = Progress(len(table.records), "rows", done=len(done))
    try:
        with finished:
            for record in table.records:
                if record.row in done:
                    continue
                result = _result(record, analyser)
                finished.add(record.row, result)
                progress.advance(failed=ERROR_COLUMN in result)
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


def _result(record: SongRecord, analyser: SongAnalyser) -> dict[str, Any]:
    if record.problem is not None:
        return {ERROR_COLUMN: record.problem}
    try:
        text = record.text
        if text is None and record.lyrics_path is not None:
            text = read_lyric_file(record.lyrics_path)
        as_mood = record.audio_path is None and _plain_text(record) and is_sentence(text or "")
        return flat_result(analyser.analyse(text, record.audio_path, as_mood=as_mood))
    except Exception as error:  # one bad row must not stop the others; explain() lets big ones pass
        return {ERROR_COLUMN: explain(error)}


def _plain_text(record: SongRecord) -> bool:
    """Whether the words come from the column ``text``, which need not be a song's."""
    return record.text is not None and any(
        name.strip().lower() == "text" and value == record.text
        for name, value in record.values.items()
    )


def _signature(table: SongTable, analyser: SongAnalyser) -> dict[str, str]:
    """What the results depend on; loads the models that the table needs."""
    names = {column.strip().lower() for column in table.columns}
    settings = json.dumps(analyser.settings.to_dict(), sort_keys=True)
    signature = {
        "table": hashlib.sha256(table.path.read_bytes()).hexdigest(),
        "settings": hashlib.sha256(settings.encode("utf-8")).hexdigest(),
    }
    if names & {"text", "lyrics", "lyrics_path"}:
        signature["lyrics_model"] = analyser.lyric_predictor.model_hash
    if "audio_path" in names:
        signature["audio_model"] = analyser.audio_predictor.model_hash
    return signature


class _FinishedRows:
    """The ``.part`` file: a line with the signature, then one line per finished row."""

    def __init__(self, path: Path, signature: Mapping[str, str]) -> None:
        self.path = path
        self._signature = dict(signature)
        self._waiting: list[str] = []

    def read(self) -> set[int]:
        """Rows an earlier run finished; none, and a fresh file, if it was another run's."""
        rows = {row for row, _ in self.results()}
        if not rows:
            text = json.dumps({"signature": self._signature}) + "\n"
            self.path.write_text(text, encoding="utf-8")
        elif not self.path.read_bytes().endswith(b"\n"):
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write("\n")  # ends the line that the interruption cut
        return rows

    def results(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Finished rows with their results; a line that was cut off is left out."""
        try:
            lines = self.path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with lines:
            if _parsed(lines.readline()).get("signature") != self._signature:
                return
            for line in lines:
                content = _parsed(line)
                if "row" in content and "result" in content:
                    yield content["row"], content["result"]

    def add(self, row: int, result: Mapping[str, Any]) -> None:
        self._waiting.append(json.dumps({"row": row, "result": result}))
        if len(self._waiting) >= ROWS_PER_WRITE:
            self._flush()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        with self.path.open("a", encoding="utf-8") as lines:
            lines.writelines(f"{line}\n" for line in self._waiting)
        self._waiting.clear()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._flush()


def _parsed(line: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
