"""The project's errors.

One root, so that a caller (the command line, the HTTP API) can turn every
expected failure into one clear message; anything else is a bug and surfaces as
a traceback.
"""

from __future__ import annotations


class MaeumError(Exception):
    """Root of every expected failure. The message is meant for the user."""


class InputError(MaeumError):
    """A file, text, table or option given by the user cannot be used."""


class ModelFolderError(MaeumError):
    """A model folder is missing, incomplete, or does not fit this version."""


class IndexFolderError(MaeumError):
    """A saved search index is missing, damaged, or does not fit this version."""


class CatalogueError(MaeumError):
    """A catalogue cannot be opened, read or written."""


class MissingDataError(MaeumError):
    """A data set that lies outside the repository is not where it should be."""


class MissingExtraError(MaeumError):
    """A command needs packages of an optional extra that is not installed."""

    def __init__(self, feature: str, extra: str = "train") -> None:
        super().__init__(
            f"{feature} needs packages that are not installed: run `pip install 'maeum[{extra}]'`"
        )


def explain(error: Exception) -> str:
    """What to write down for one input of many that failed.

    Raises
    ------
    MaeumError
        The error itself, if it concerns the whole run: the model, the catalogue
        or the installation.
    """
    if isinstance(error, ModelFolderError | CatalogueError | MissingExtraError):
        raise error
    if isinstance(error, MaeumError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"
