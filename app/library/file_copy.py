"""A file that is changed without ever being half changed.

The change is made to a copy beside it, which takes its place in one step. The copy has the
permissions, owner and extended attributes of the file; where it cannot have them, or where
taking its place would part names of one file, nothing is done.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import InputError


class FileCopy:
    """A copy beside a file; make one with :func:`copy_beside`.

    Attributes
    ----------
    path
        Of the copy, to be changed.
    """

    def __init__(self, path: Path, target: Path, before: os.stat_result) -> None:
        self.path = path
        self._target = target
        self._before = before

    def finish(self) -> os.stat_result:
        """See that what was written is on the disk; gives size and time of the copy."""
        with self.path.open("r+b") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno())

    def take_place(self) -> None:
        """Put the copy in the place of the file.

        Raises
        ------
        InputError
            If the file was changed meanwhile.
        OSError
            If it cannot be replaced; it is as it was.
        """
        if _stamp(self._target.stat()) != _stamp(self._before):
            raise InputError("the file was changed by another program meanwhile: try again")
        self.path.replace(self._target)
        with contextlib.suppress(OSError):  # where folders cannot be opened, files alone are safe
            folder = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextmanager
def copy_beside(path: Path) -> Iterator[FileCopy]:
    """A copy of a file, or of what a link leads to, which is gone at the end of the block.

    Raises
    ------
    InputError
        If the file is read-only or has several names, or the copy cannot be made alike.
    """
    target = Path(os.path.realpath(path))
    try:
        before = check_replaceable(target)
        handle, name = tempfile.mkstemp(prefix=".maeum-", suffix=".tmp", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"the file cannot be written: {error.strerror or error}") from error
    copy = Path(name)
    try:
        shutil.copyfile(target, copy)
        shutil.copystat(target, copy)
        _keep_owner(copy, before)
        yield FileCopy(copy, target, before)
    except OSError as error:
        raise InputError(f"the file cannot be written: {error.strerror or error}") from error
    finally:
        copy.unlink(missing_ok=True)


def check_replaceable(path: Path) -> os.stat_result:
    """Refuse a file that must not be replaced.

    Raises
    ------
    InputError
        If it is read-only, has several names, or is none.
    OSError
        If it is not there.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError("it is not a file: nothing was written")
    if not status.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise InputError("the file is read-only: nothing was written")
    if status.st_nlink > 1:
        raise InputError(
            f"the file has {status.st_nlink} names (hard links), which writing would part: "
            "nothing was written"
        )
    return status


def _keep_owner(copy: Path, before: os.stat_result) -> None:
    if not hasattr(os, "chown"):
        return
    made = copy.stat()
    if (made.st_uid, made.st_gid) == (before.st_uid, before.st_gid):
        return
    try:
        os.chown(copy, before.st_uid, before.st_gid)
        copy.chmod(stat.S_IMODE(before.st_mode))  # a change of owner may take bits away
    except PermissionError as error:
        raise InputError(
            "the file belongs to another user or group, which writing would change: "
            "nothing was written"
        ) from error


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
