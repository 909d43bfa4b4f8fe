"""What is searched of a large catalogue, made by a process of its own.

Whoever answers questions meanwhile is not held up by it and does not grow. Of the processes of
a service, and of all services of a machine that share a catalogue, one makes it and the others
wait for it: a lock beside it, which the system frees when its holder ends in whatever way.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from contextlib import ExitStack
from typing import Any, Final

from filelock import FileLock

from app.child_process import end_with_parent
from data_prep.catalogue import Catalogue
from data_prep.errors import CatalogueError, MaeumError
from fusion.catalogue_shelf import CatalogueShelf
from fusion.settings import FusionSettings
from fusion.shelf_folder import ShelfFolder, index_place

LOCK: Final = ".lock"
NICENESS: Final = 10
"""How far the process stands back for those that answer, 0 to 19."""


def make_shelf(catalogue_url: str, settings: FusionSettings, *, with_hygiene: bool = False) -> None:
    """See to it that what is searched of a catalogue, as it is now, is kept on disk.

    Where it cannot be kept there, nothing is done.

    Parameters
    ----------
    catalogue_url
        Path or URL.
    settings
        Fusion settings.
    with_hygiene
        Also which songs hygiene keeps; that of the state before is made in any case.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be read.
    """
    with Catalogue.open(catalogue_url, read_only=True) as catalogue, ExitStack() as stack:
        place = index_place(catalogue.name)
        try:
            place.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(place / LOCK))
        except (OSError, NotImplementedError):
            return
        folder = _folder(catalogue, settings)
        if folder.is_there and (folder.hygiene() is not None or not with_hygiene):
            return  # another was quicker
        print(f"maeum: preparing {catalogue.name} for searching", file=sys.stderr, flush=True)
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=_make, args=(catalogue_url, settings.to_dict(), with_hygiene)
        )
        process.start()
        try:
            process.join()
        finally:
            process.kill()
            process.join()
        if process.exitcode:
            raise CatalogueError(f"{catalogue.name}: what is searched of it could not be made")


def _folder(catalogue: Catalogue, settings: FusionSettings) -> ShelfFolder:
    return ShelfFolder(catalogue.name, catalogue.revision(), settings.hash)


def _make(catalogue_url: str, settings: dict[str, Any], with_hygiene: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that started us
    end_with_parent()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    fusion = FusionSettings.from_dict(settings)
    try:
        with Catalogue.open(catalogue_url, read_only=True) as catalogue:
            measures, has_hygiene = _folder(catalogue, fusion).asked_for()
            shelf = CatalogueShelf(catalogue, fusion)
            for measure in measures:
                shelf.index(measure)
            if has_hygiene or with_hygiene:
                shelf.hygiene()
    except MaeumError as error:
        sys.exit(f"maeum: {error}")
