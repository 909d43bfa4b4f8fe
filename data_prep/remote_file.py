"""Files of other file systems, by URL: S3 and what speaks like it, and others that pyarrow reaches.

``s3://bucket/folder``; an S3-compatible store is named behind it, as pyarrow has it:
``s3://bucket/folder?endpoint_override=host:9000&scheme=http``. Keys come from where AWS's own
tools take them (``AWS_ACCESS_KEY_ID`` and so on). What is kept and told of a file is
``s3://bucket/folder/song.mp3``, without keys and without what stands behind the question mark.

A :class:`RemoteFile` has of :class:`pathlib.Path` what reading songs asks of it.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import quote, unquote

from data_prep.errors import InputError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True)
class RemoteStatus:
    """As :func:`os.stat` tells: size in bytes, and time of change in nanoseconds."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True)
class RemoteFile:
    """A file or folder.

    Attributes
    ----------
    filesystem
        That it is on.
    scheme
        Of its URL.
    path
        As the file system names it.
    status
        Size and time, where they are known from a listing.
    """

    filesystem: FileSystem = field(repr=False)
    scheme: str
    path: str
    status: RemoteStatus | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot."""
        return PurePosixPath(self.path).suffix

    @property
    def parent(self) -> RemoteFile:
        """The folder that it is in."""
        return replace(self, path=str(PurePosixPath(self.path).parent), status=None)

    def __truediv__(self, inside: str) -> RemoteFile:
        joined = posixpath.normpath(posixpath.join(self.path, inside))
        return replace(self, path=joined, status=None)

    def absolute(self) -> RemoteFile:
        """The file itself."""
        return self

    def exists(self) -> bool:
        """Whether there is a file or folder; raises as :meth:`stat`."""
        return bool(self._info().type.name != "NotFound")

    def is_file(self) -> bool:
        """Whether it is a file; raises as :meth:`stat`."""
        return bool(self._info().type.name == "File")

    def is_dir(self) -> bool:
        """Whether it is a folder; raises as :meth:`stat`."""
        return bool(self._info().type.name == "Directory")

    def stat(self) -> RemoteStatus:
        """Size and time of change.

        Raises
        ------
        OSError
            If there is no such file, or the file system does not answer.
        """
        if self.status is not None:
            return self.status
        info = self._info()
        if info.type.name != "File":
            raise FileNotFoundError(2, "there is no such file", str(self))
        return _status(info)

    def open(self, mode: str = "rb") -> BinaryIO:
        """Its bytes, to be read anywhere; raises as :meth:`stat`."""
        assert mode == "rb", "nothing is written there"
        try:
            return cast(BinaryIO, self.filesystem.open_input_file(self.path))
        except OSError as error:
            raise _plain(error, self) from error

    def read_bytes(self) -> bytes:
        """All of its bytes; raises as :meth:`stat`."""
        with self.open() as file:
            return file.read()

    def files(self) -> list[RemoteFile]:
        """Every file below a folder, by path.

        Raises
        ------
        InputError
            If it cannot be listed.
        """
        from pyarrow.fs import FileSelector

        try:
            listed = self.filesystem.get_file_info(FileSelector(self.path, recursive=True))
        except OSError as error:
            raise InputError(f"{self} cannot be listed: {_plain(error, self).strerror}") from error
        found = [
            replace(self, path=info.path, status=_status(info))
            for info in listed
            if info.type.name == "File"
        ]
        return sorted(found, key=lambda file: file.path)

    def _info(self) -> FileInfo:
        try:
            return self.filesystem.get_file_info(self.path)
        except OSError as error:
            raise _plain(error, self) from error


SongPath = Path | RemoteFile
"""A file of a song, wherever it is."""


def is_url(given: str) -> bool:
    """Whether something names a file by URL."""
    return _URL.match(given) is not None


def place_of_file(given: str | Path) -> SongPath:
    """The file or folder that a path or URL names; whether there is one is not asked.

    Raises
    ------
    InputError
        If pyarrow knows no such file system, or the URL is none.
    """
    matched = _URL.match(str(given))
    if matched is None:
        return Path(given)
    from pyarrow.fs import LocalFileSystem

    scheme = matched["scheme"].lower()
    address, mark, query = str(given)[matched.end() :].partition("?")
    host, _, path = address.rstrip("/").partition("/")
    folder, _, name = quote(path, safe="/%").rpartition("/")
    try:
        filesystem, place = _reached(f"{scheme}://{host}/{folder}{mark}{query}")
    except (OSError, ValueError, NotImplementedError) as error:
        told = f"{scheme}://{host.rpartition('@')[2]}/{path}"
        reason = " ".join(str(error).split())
        if "?" in reason or "@" in reason:  # it repeats the URL, and with it what may be secret
            reason = "that is no address"
        raise InputError(f"{told} cannot be used: {reason}") from error
    place = f"{place.rstrip('/')}/{unquote(name)}".rstrip("/")
    if isinstance(filesystem, LocalFileSystem):
        return Path(place)
    return RemoteFile(filesystem, scheme, place)


@lru_cache(maxsize=64)
def _reached(url: str) -> tuple[FileSystem, str]:
    """File system and path of a folder; for the songs of a table it is the same again and again."""
    from pyarrow.fs import FileSystem

    filesystem, path = FileSystem.from_uri(url)
    return filesystem, str(path)


@contextmanager
def at_hand(file: SongPath) -> Iterator[Path]:
    """A file as one of this machine: itself, or a copy that is gone afterwards.

    What is raised within names the file, not the copy.

    Raises
    ------
    InputError
        If a file elsewhere cannot be read.
    """
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="maeum-copy-") as folder:
        copy = Path(folder) / f"copy{file.suffix}"
        try:
            with file.open() as source, copy.open("wb") as target:
                copyfileobj(cast(Any, source), target, _AT_ONCE)
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
        with told_of(file, copy):
            yield copy


@contextmanager
def told_of(file: object, copy: Path) -> Iterator[None]:
    """What is raised about a copy names the file."""
    try:
        yield
    except InputError as error:
        error.args = (str(error).replace(str(copy), str(file)),)
        raise


def _status(info: FileInfo) -> RemoteStatus:
    return RemoteStatus(int(info.size or 0), int(info.mtime_ns or 0))


def _plain(error: OSError, file: RemoteFile) -> OSError:
    """An error of a file system as one of ours: of one line, and about the file."""
    if error.errno is not None:
        return type(error)(error.errno, error.strerror or str(error), str(file))
    return OSError(5, " ".join(str(error).split()), str(file))
