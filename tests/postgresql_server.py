"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket, gone afterwards."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ACCOUNTS = ("postgres", "nobody")

_count = itertools.count()


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


def _account() -> str | None:
    """Whom the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    import pwd

    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip(f"PostgreSQL does not run as root, and there is none of {', '.join(ACCOUNTS)}")


@contextmanager
def postgresql_server() -> Iterator[str]:
    """A server without a password; gives a URL with ``{}`` for the name of a database."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install 'psycopg[binary]'")
    programs, account = _programs(), _account()
    folder = Path(tempfile.mkdtemp(prefix="maeum-pg-"))  # short, as a socket's path must be
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs / program, "-D", data, *arguments],
            user=account,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{program}: {done.stderr}")

    try:
        if account is not None:
            shutil.chown(folder, account)
        run("initdb", "--username=maeum", "--auth=trust", "--encoding=UTF8", "--no-sync")
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        log = str(folder / "log")
        run("pg_ctl", "start", "--wait", "--silent", f"--log={log}", f"--options={settings}")
        try:
            yield f"postgresql+psycopg://maeum@/{{}}?host={folder}"
        finally:
            run("pg_ctl", "stop", "--wait", "--silent", "--mode=immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """URL of an empty database on a server."""
    import psycopg

    name = f"songs{next(_count)}"
    address = server.format("postgres").replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.format(name)
