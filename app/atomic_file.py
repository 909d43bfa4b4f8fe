"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import InputError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place at the end of the block.

    If the block raises, the temporary file is removed and ``path`` is untouched.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written, or ``path`` is a folder.
    """
    check_writable(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; the result is as public as any other new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Refuse a place where no file can be written, before any work is done.

    Raises
    ------
    InputError
        As for :func:`atomic_file`.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written: no permission in {path.parent}")


def check_folder(folder: Path | None) -> Path | None:
    """The folder itself, which is or can be one to write into; as a callback of options.

    Raises
    ------
    InputError
        If it, or what it would lie in, is a file or may not be written.
    """
    if folder is None:
        return None
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise InputError(f"{folder} cannot be a folder: {there} is a file")
    if not os.access(there, os.W_OK):
        raise InputError(f"{folder} cannot be written: no permission in {there}")
    return folder


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written: {error.strerror or error}")
