"""The demo catalogue, and which catalogue a command reads when none is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from data_prep.catalogue import VARIABLE, default_catalogue_path

DEMO_CATALOGUE: Final = Path(__file__).resolve().parent / "demo" / "catalogue.db"
"""Facts and emotion vectors of real songs; comes with the package, never written to."""


def catalogue_to_read(url: str | None) -> str:
    """The catalogue named, else ``MAEUM_CATALOGUE``, else the user's own, else the demo."""
    named = url or os.environ.get(VARIABLE)
    if named:
        return named
    own = default_catalogue_path()
    return str(own if own.is_file() else DEMO_CATALOGUE)


def catalogue_to_write(url: str | None) -> str:
    """The catalogue named, else ``MAEUM_CATALOGUE``, else the user's own; never the demo."""
    return url or os.environ.get(VARIABLE) or str(default_catalogue_path())
