"""The folder of data sets that lies outside the repository.

No data set is part of the project. ``MAEUM_DATA`` names the folder they lie in;
without it, ``shared/data`` beside the repository is read. What is expected
where is said in each reader's docstring (``data_prep.readers``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from data_prep.errors import MissingDataError

VARIABLE: Final = "MAEUM_DATA"

SOURCES: Final[dict[str, str]] = {
    "text/kote": "https://github.com/searle-j/KOTE",
    "text/kpoem": "https://doi.org/10.5281/zenodo.15181396",
    "text/goemotions_en": (
        "https://github.com/google-research/google-research/tree/master/goemotions"
    ),
    "text/goemotions_ko": "https://github.com/monologg/GoEmotions-Korean",
    "text/nsmc": "https://github.com/e9t/nsmc",
    "audio/ravdess_song": "https://doi.org/10.5281/zenodo.1188976",
    "audio/emotify": "http://www2.projects.science.uu.nl/memotion/emotifydata/",
    "audio/emopia": "https://doi.org/10.5281/zenodo.5090631",
    "songs/jamendo": "https://github.com/f90/jamendolyrics",
    "songs/cc_songs": "https://github.com/UltraStar-Deluxe/songs",
}
"""Where each data set can be downloaded, by its place in the folder."""


def data_root() -> Path:
    """The data folder, whether it exists or not."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    return Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def require(relative: str) -> Path:
    """Path of a file or folder below the data folder.

    Parameters
    ----------
    relative
        Path with forward slashes, e.g. ``"text/kote/train.tsv"``.

    Raises
    ------
    MissingDataError
        If it is not there. The message names the path, ``MAEUM_DATA`` and the
        place the data set can be had from.
    """
    path = data_root() / relative
    if path.exists():
        return path
    source = SOURCES.get("/".join(relative.split("/")[:2]))
    hint = f" It can be had from {source}." if source else ""
    raise MissingDataError(
        f"{path} is missing: set {VARIABLE} to the folder that holds {relative} "
        f"(now {os.environ.get(VARIABLE) or 'not set'}).{hint}"
    )
