"""A store that speaks as much of S3 as reading needs, over a folder: each bucket a folder in it.

Lists (version 2), heads, and gets parts of objects. What is asked is counted.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Store:
    """A running store.

    Attributes
    ----------
    folder
        Where its buckets are.
    query
        Behind a URL of one of them.
    asked
        Method and key → how often.
    """

    folder: Path
    query: str
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def url(self, key: str) -> str:
        """Of a bucket, folder or object."""
        return f"s3://{key}?{self.query}"


@contextmanager
def s3_store(folder: Path) -> Iterator[Store]:
    """A store over a folder, on this machine."""

    class Handler(_Handler):
        root: ClassVar[Path] = folder
        asked: ClassVar[Counter[tuple[str, str]]] = Counter()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"127.0.0.1:{server.server_address[1]}"
    try:
        query = f"endpoint_override={address}&scheme=http&region=us-east-1"
        yield Store(folder, query, Handler.asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    root: ClassVar[Path]
    asked: ClassVar[Counter[tuple[str, str]]]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._object(with_content=False)

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list-type" in query:
            self._list(query)
        else:
            self._object(with_content=True)

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).strip("/")

    def _object(self, *, with_content: bool) -> None:
        self.asked[self.command, self._key] += 1
        path = self.root / self._key
        if not path.is_file():
            # a bucket is there; a folder is none of S3's
            self._answer(200 if "/" not in self._key and path.is_dir() else 404, b"", {})
            return
        status, content = path.stat(), path.read_bytes()
        headers = {
            "ETag": f'"{status.st_mtime_ns:x}"',
            "Last-Modified": format_datetime(datetime.fromtimestamp(status.st_mtime, UTC), True),
            "Accept-Ranges": "bytes",
        }
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if part is not None:
            begin, end = int(part[1]), int(part[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
            self._answer(206, content[begin : end + 1], headers, with_content=with_content)
            return
        self._answer(200, content, headers, with_content=with_content)

    def _list(self, query: dict[str, list[str]]) -> None:
        bucket, prefix = self._key, query.get("prefix", [""])[0]
        self.asked["LIST", f"{bucket}/{prefix}"] += 1
        keys = sorted(
            path.relative_to(self.root / bucket).as_posix()
            for path in (self.root / bucket).rglob("*")
            if path.is_file()
        )
        found = [key for key in keys if key.startswith(prefix)]
        contents, folders = [], set()
        for key in found:
            inside = key[len(prefix) :]
            if "delimiter" in query and "/" in inside:
                folders.add(prefix + inside.partition("/")[0] + "/")
                continue
            status = (self.root / bucket / key).stat()
            time = datetime.fromtimestamp(status.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            contents.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{time}</LastModified>"
                f"<ETag>&quot;0&quot;</ETag><Size>{status.st_size}</Size></Contents>"
            )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders
        )
        content = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
            f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(contents) + len(folders)}</KeyCount><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>false</IsTruncated>{''.join(contents)}{common}</ListBucketResult>"
        )
        self._answer(200, content.encode(), {"Content-Type": "application/xml"})

    def _answer(
        self, status: int, content: bytes, headers: dict[str, str], *, with_content: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            self.wfile.write(content)
