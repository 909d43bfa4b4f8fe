"""A file whose changes take effect all at once, or not at all.

HDF5 changes its index in many small writes; a process killed between two of them,
or within one, leaves a file that cannot be read. Here the library writes to an
object in between. What it adds behind the end of the committed file goes to the file
at once, since nothing refers to it yet. What it changes before that end is kept
in memory; :meth:`CommittedFile.commit` writes it to a log beside the file
(``.NAME.log``, with a checksum), and only then to the file. Whoever opens the file
next finds either a whole log, and takes what it says, or a broken one, and a file
that nothing was done to. The order of writes is kept through a power cut as well.
A log is taken only for the file it was written for: each byte of the file's first
page must be that of before or that of after the commit, and the file no shorter.

The one who writes holds a lock on the log, readers share one on the file while
they read its index, and a commit waits for them. The system frees both when a process
ends in whatever way.

Only files with a superblock of version 2 (``libver=("v108", "v108")``) will do:
later ones carry a mark of being written, which outlives a process that is killed.
Its layout: HDF5 File Format Specification, II.A.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from data_prep.errors import InputError

_PAGE: Final = 4096
_MAGIC: Final = b"maeum log 1\n"
_HEAD: Final = struct.Struct("<12s32sQQQ")
"""Magic, hash of the rest, size of the file, and lengths of the rest's two parts."""
_ENTRY: Final = struct.Struct("<QI")  # offset in the file, number of bytes
_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n\x02\x08\x08"
_END_FIELD: Final = slice(28, 36)
_SUPERBLOCK: Final = 48


class CommittedFile(io.RawIOBase):
    """A file object for ``h5py.File(..., libver=("v108", "v108"))``.

    Parameters
    ----------
    path
        An HDF5 file that exists.
    writable
        Open it for writing; else for reading.

    Raises
    ------
    InputError
        If it is to be written, and another process writes it or it has no superblock
        of version 2.
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        super().__init__()
        self._path = path
        self._writable = writable
        self._log_path = path.with_name(f".{path.name}.log")
        self._log: int | None = None
        self._position = 0
        self._end = 0  # of what is committed
        self._highest = 0  # end of what was written behind that
        self._pages: dict[int, bytearray] = {}
        self._file = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            if writable:
                self._log = self._own_log()
                self._write_pages(_read_log(self._log, self._first_page(), self._size()))
                self._end = self._committed_end()
            else:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(self._file, fcntl.LOCK_SH)
                self._pages = self._log_of_another()
        except BaseException:
            self.close()
            raise

    def commit(self) -> None:
        """Let everything that was written take effect."""
        if self._log is None:
            raise io.UnsupportedOperation("the file is open for reading")
        if self._pages:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                # the last commit's pages, whose log goes now, and what this one refers to
                os.fdatasync(self._file)
                _write_log(self._log, self._pages, self._first_page(), self._size())
                self._write_pages(self._pages)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
            self._pages = {}
        self._end = max(self._committed_end(), self._highest)

    def finish(self) -> None:
        """Commit and close, and remove the log."""
        self.commit()
        os.fdatasync(self._file)
        self._log_path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close; what was not committed is gone."""
        if not self.closed:
            os.close(self._file)
            if self._log is not None:
                os.close(self._log)
        super().close()

    def readable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._writable

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Current position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the current position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size()}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read from the current position."""
        view = memoryview(buffer).cast("B")
        start = self._position
        n_read = os.preadv(self._file, [view], start)
        for number in range(start // _PAGE, (start + n_read - 1) // _PAGE + 1):
            page = self._pages.get(number)
            if page is not None:
                first = max(start, number * _PAGE)
                part = page[first - number * _PAGE : start + n_read - number * _PAGE]
                view[first - start : first - start + len(part)] = part
        self._position += n_read
        return n_read

    def write(self, data: Any) -> int:
        """Write at the current position."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self._position < self._end:
            number, at = divmod(self._position, _PAGE)
            part = view[done : done + min(_PAGE - at, self._end - self._position)]
            page = self._pages.get(number)
            if page is None:
                stop = min(_PAGE, self._end - number * _PAGE)
                page = self._pages[number] = bytearray(os.pread(self._file, stop, number * _PAGE))
            page[at : at + len(part)] = part
            done += len(part)
            self._position += len(part)
        while done < len(view):
            n_written = os.pwrite(self._file, view[done:], self._position)
            done += n_written
            self._position += n_written
            self._highest = max(self._highest, self._position)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Make the file longer; the library never needs it shorter."""
        wanted = self._position if size is None else size
        if wanted > self._size():
            os.ftruncate(self._file, wanted)
        return wanted

    def _size(self) -> int:
        return os.fstat(self._file).st_size

    def _committed_end(self) -> int:
        """The end of the file as its superblock says."""
        self.seek(0)
        block = self.read(_SUPERBLOCK)
        if block is None or len(block) < _SUPERBLOCK or not block.startswith(_SIGNATURE):
            raise InputError(
                f"{self._path} was made or changed by another program: nothing can be added to it"
            )
        return int.from_bytes(block[_END_FIELD], "little")

    def _first_page(self) -> bytes:
        return os.pread(self._file, _PAGE, 0)

    def _write_pages(self, pages: dict[int, bytearray]) -> None:
        for number, page in pages.items():
            os.pwrite(self._file, page, number * _PAGE)

    def _own_log(self) -> int:
        busy = InputError(f"{self._path} is being written by another run: wait for it to end")
        log = os.open(self._log_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # whoever had it may have removed it between the two calls above
            if os.fstat(log).st_nlink == 0:
                raise busy
        except BaseException as error:
            os.close(log)
            if isinstance(error, BlockingIOError):
                raise busy from None
            raise
        return log

    def _log_of_another(self) -> dict[int, bytearray]:
        """What a commit was to change that may not have been finished."""
        try:
            log = os.open(self._log_path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        try:
            return _read_log(log, self._first_page(), self._size())
        finally:
            os.close(log)


def _write_log(log: int, pages: dict[int, bytearray], first_page: bytes, file_size: int) -> None:
    parts: list[bytes | bytearray] = [first_page]
    for number, page in pages.items():
        parts += [_ENTRY.pack(number, len(page)), page]
    body = b"".join(parts)
    digest, n_first = hashlib.sha256(body).digest(), len(first_page)
    content = _HEAD.pack(_MAGIC, digest, file_size, n_first, len(body) - n_first) + body
    written = 0
    while written < len(content):
        written += os.pwrite(log, content[written:], written)
    os.fsync(log)


def _read_log(log: int, first_page: bytes, file_size: int) -> dict[int, bytearray]:
    """Pages of a log; none if it is broken, or of another file."""
    head = os.pread(log, _HEAD.size, 0)
    if len(head) < _HEAD.size:
        return {}
    magic, digest, least_size, n_first, n_rest = _HEAD.unpack(head)
    body = os.pread(log, min(n_first + n_rest, os.fstat(log).st_size), _HEAD.size)
    if magic != _MAGIC or file_size < least_size or hashlib.sha256(body).digest() != digest:
        return {}
    pages: dict[int, bytearray] = {}
    at = n_first
    while at < len(body):
        number, size = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        pages[number] = bytearray(body[at : at + size])
        at += size
    before = body[:n_first]
    after = bytes(pages.get(0, before)).ljust(n_first, b"\0")
    # a page may have been written in part when the power was cut
    known = zip(first_page, before, after, strict=False)
    return pages if all(byte in (old, new) for byte, old, new in known) else {}
