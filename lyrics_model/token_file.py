"""A text file as word pieces on disk: streamed once, resumable, read through a memory map.

The text file holds one text per line (UTF-8). Each becomes its pieces followed by
the separator, one behind the other in ``training.bin`` or ``held_out.bin`` (uint16
where the vocabulary allows, else uint32). Which of the two is decided by a hash of
the text and the seed, so the same text is on the same side in every file, however
often it occurs and wherever a run was interrupted.

Memory is bounded by the chunk, whatever the file's size and however long its lines:
a line longer than 1 MiB is cut between two words.
"""

from __future__ import annotations

import json
import os
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from data_prep.errors import InputError

CHUNK_BYTES: Final = 8 << 20
LONGEST_LINE: Final = 1 << 20
_LINES_NAMED: Final = 20
_TEXTS_AT_ONCE: Final = 4_096
_ENDS_SAMPLED: Final = 1 << 20
_TRAINING: Final = "training.bin"
_HELD_OUT: Final = "held_out.bin"
_STATE: Final = "state.json"


@dataclass(frozen=True)
class TextCounts:
    """What a text file holds, and how far it has been read.

    Attributes
    ----------
    offset, lines
        Bytes and lines read.
    texts, held_out_texts
        Training and held-out texts; a line over 1 MiB counts once per part.
    tokens, held_out_tokens
        Pieces, separators included.
    unknown
        Pieces among both that the vocabulary does not know.
    blank, malformed
        Lines without text, and lines that are not UTF-8 (left out).
    malformed_lines
        Numbers, from 1, of the first twenty of these.
    """

    offset: int = 0
    lines: int = 0
    texts: int = 0
    held_out_texts: int = 0
    tokens: int = 0
    held_out_tokens: int = 0
    unknown: int = 0
    blank: int = 0
    malformed: int = 0
    malformed_lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class TokenFile:
    """Pieces of one text file.

    Attributes
    ----------
    training, held_out
        Flat piece ids, memory-mapped; texts end with the separator.
    counts
        How many of what.
    """

    training: NDArray[np.unsignedinteger[Any]]
    held_out: NDArray[np.unsignedinteger[Any]]
    counts: TextCounts

    @property
    def unknown_share(self) -> float:
        """Of all pieces, that the vocabulary does not know."""
        return self.counts.unknown / (self.counts.tokens + self.counts.held_out_tokens)


def tokenise_file(
    path: Path,
    folder: Path,
    tokenizer: Any,
    *,
    held_out_share: float,
    seed: int,
    chunk_bytes: int = CHUNK_BYTES,
    say: Callable[[str], None] = print,
) -> TokenFile:
    """Cut a text file into pieces, or go on with or reuse what an earlier run did.

    Parameters
    ----------
    path
        One text per line, UTF-8. Blank lines are skipped; lines that are not UTF-8
        are left out, counted and reported.
    folder
        For the result; what lies there from another text file, vocabulary, seed or
        share is replaced.
    tokenizer
        transformers tokenizer.
    held_out_share
        Share of texts that is kept for evaluation, 0 to 1.

    Raises
    ------
    InputError
        If the file is missing or holds no text.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such text file")
    pieces = PieceCutter(tokenizer)
    identity = {
        "text": file_identity(path),
        "tokenizer": pieces.identity,
        "held_out_share": held_out_share,
        "seed": seed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    counts = _earlier_counts(folder, identity)
    size = path.stat().st_size
    if counts.offset < size:
        counts = _read_on(path, folder, pieces, counts, identity, chunk_bytes, say)
    if not counts.tokens + counts.held_out_tokens:
        raise InputError(
            f"{path} holds no text: expected UTF-8, one text per line"
            + (f"; {counts.malformed:,} lines are not UTF-8" if counts.malformed else "")
        )
    if counts.malformed:
        named = ", ".join(str(number) for number in counts.malformed_lines)
        more = ", …" if counts.malformed > len(counts.malformed_lines) else ""
        say(
            f"{path.name}: {counts.malformed:,} of {counts.lines:,} lines are not UTF-8 and "
            f"were left out (lines {named}{more})"
        )
    return TokenFile(
        training=_mapped(folder / _TRAINING, pieces.dtype, counts.tokens),
        held_out=_mapped(folder / _HELD_OUT, pieces.dtype, counts.held_out_tokens),
        counts=counts,
    )


class PieceCutter:
    """Cuts texts into pieces, each text followed by the separator.

    Works on a copy of the tokenizer without truncation and padding.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._separator = int(tokenizer.sep_token_id)
        self.unknown = tokenizer.unk_token_id
        self.dtype: type[np.unsignedinteger[Any]] = (
            np.uint16 if len(tokenizer) <= np.iinfo(np.uint16).max + 1 else np.uint32
        )
        self._backend: Tokenizer | None = None
        written = json.dumps(tokenizer.get_vocab(), sort_keys=True)
        if getattr(tokenizer, "backend_tokenizer", None) is not None:
            written = tokenizer.backend_tokenizer.to_str()
            self._backend = Tokenizer.from_str(written)
            self._backend.no_truncation()
            self._backend.no_padding()
            written = self._backend.to_str()
        self.identity = blake2b(written.encode(), digest_size=16).hexdigest()

    def cut(self, texts: list[str]) -> NDArray[np.unsignedinteger[Any]]:
        """All texts behind each other."""
        rows: list[NDArray[np.unsignedinteger[Any]]] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = texts[start : start + _TEXTS_AT_ONCE]
            if self._backend is not None:
                encoded = self._backend.encode_batch_fast(part, add_special_tokens=False)
                ids = [item.ids for item in encoded]
            else:
                ids = self._tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]
            rows.extend(np.array([*row, self._separator], dtype=self.dtype) for row in ids if row)
        return np.concatenate(rows) if rows else np.zeros(0, dtype=self.dtype)


def file_identity(path: Path) -> str:
    """Size and a hash of both ends of a file: cheap for a gigabyte, kept by a copy."""
    size = path.stat().st_size
    digest = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as content:
        digest.update(content.read(_ENDS_SAMPLED))
        content.seek(max(size - _ENDS_SAMPLED, 0))
        digest.update(content.read(_ENDS_SAMPLED))
    return digest.hexdigest()


def read_lines(source: BinaryIO, longest: int = LONGEST_LINE) -> Iterator[tuple[bytes, bool]]:
    """Lines of a binary file, and whether each ends there; longer ones in parts.

    A part ends after its last space, or else between two UTF-8 characters.
    """
    while line := source.readline(longest):
        ends = line.endswith(b"\n") or len(line) < longest
        if not ends:
            cut = line.rfind(b" ") + 1 or _character_boundary(line)
            source.seek(cut - len(line), os.SEEK_CUR)
            line = line[:cut]
        yield line, ends


def decode_line(line: bytes) -> str | None:
    """Text of a line (NFC, without blanks around); ``None`` if it is not UTF-8 text."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    return unicodedata.normalize("NFC", text).replace("\ufeff", "").strip()


def is_held_out(text: str, share: float, seed: int) -> bool:
    """Whether a text is kept for evaluation: depends on nothing but text, share and seed."""
    digest = blake2b(text.encode(), digest_size=8, salt=str(seed).encode()[:16]).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def time_left(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3 h 05 min``."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that an interrupted write leaves the earlier file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _read_on(
    path: Path,
    folder: Path,
    pieces: PieceCutter,
    counts: TextCounts,
    identity: dict[str, Any],
    chunk_bytes: int,
    say: Callable[[str], None],
) -> TextCounts:
    size, first = path.stat().st_size, counts.offset
    started = time.monotonic()
    width = np.dtype(pieces.dtype).itemsize
    with (
        path.open("rb") as source,
        _opened(folder / _TRAINING, counts.tokens * width) as training,
        _opened(folder / _HELD_OUT, counts.held_out_tokens * width) as held_out,
    ):
        source.seek(counts.offset)
        while counts.offset < size:
            texts, counts = _one_chunk(source, counts, chunk_bytes)
            kept: list[str] = []
            apart: list[str] = []
            for text in texts:
                out = is_held_out(text, identity["held_out_share"], identity["seed"])
                (apart if out else kept).append(text)
            cut, cut_apart = pieces.cut(kept), pieces.cut(apart)
            unknown = sum(int((part == pieces.unknown).sum()) for part in (cut, cut_apart))
            for target, content in ((training, cut), (held_out, cut_apart)):
                target.write(content.tobytes())
                target.flush()
                os.fsync(target.fileno())
            counts = replace(
                counts,
                texts=counts.texts + len(kept),
                held_out_texts=counts.held_out_texts + len(apart),
                tokens=counts.tokens + len(cut),
                held_out_tokens=counts.held_out_tokens + len(cut_apart),
                unknown=counts.unknown + unknown,
            )
            write_json(folder / _STATE, {"identity": identity, "counts": asdict(counts)})
            rate = (counts.offset - first) / max(time.monotonic() - started, 1e-9)
            if counts.offset < size:
                say(
                    f"{path.name}: {counts.offset / size:.0%} of {size / 1e6:,.0f} MB cut into "
                    f"pieces, {time_left((size - counts.offset) / rate)} left"
                )
    return counts


def _one_chunk(
    source: BinaryIO, counts: TextCounts, chunk_bytes: int
) -> tuple[list[str], TextCounts]:
    """Texts of the next chunk, and the counts of lines after it."""
    texts: list[str] = []
    offset, lines = counts.offset, counts.lines
    blank, malformed = counts.blank, counts.malformed
    named = list(counts.malformed_lines)
    end = offset + chunk_bytes
    for line, ends in read_lines(source):
        offset += len(line)
        text = decode_line(line)
        if text is None:
            malformed += 1
            if len(named) < _LINES_NAMED:
                named.append(lines + 1)
        elif text:
            texts.append(text)
        else:
            blank += 1
        lines += ends
        if offset >= end:
            break
    changed = replace(
        counts,
        offset=offset,
        lines=lines,
        blank=blank,
        malformed=malformed,
        malformed_lines=tuple(named),
    )
    return texts, changed


def _earlier_counts(folder: Path, identity: dict[str, Any]) -> TextCounts:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if state["identity"] != identity:
            return TextCounts()
        counts = state["counts"]
        return TextCounts(**counts | {"malformed_lines": tuple(counts["malformed_lines"])})
    except (OSError, ValueError, KeyError, TypeError):
        return TextCounts()


def _opened(path: Path, size: int) -> BinaryIO:
    """Open for writing at ``size``: what an interrupted run wrote beyond it is dropped."""
    if not path.exists():
        path.touch()
    target = path.open("r+b")
    target.truncate(size)
    target.seek(size)
    return target


def _mapped(path: Path, dtype: Any, length: int) -> NDArray[np.unsignedinteger[Any]]:
    if not length:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=(length,))


def _character_boundary(line: bytes) -> int:
    """Where the last whole UTF-8 character ends; the end of what is no UTF-8."""
    for back in range(1, min(4, len(line)) + 1):
        byte = line[-back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue
        width = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        return len(line) - back if width > back and back < len(line) else len(line)
    return len(line)
