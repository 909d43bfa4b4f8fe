"""Failures of single inputs in a run over many: collected, summed up, written to a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.atomic_file import atomic_file
from data_prep.errors import explain as explain

_SHOWN: Final = 5


@dataclass(frozen=True)
class Failure:
    """One input that could not be used.

    Attributes
    ----------
    where
        File, or table and row.
    id
        The input's own id, where it has one.
    error
        What is wrong with it.
    """

    where: str
    id: str | None
    error: str

    def to_json(self) -> dict[str, Any]:
        """One line of ``--errors FILE``."""
        return {"where": self.where, "id": self.id, "error": self.error}


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Write ``--errors FILE``: one JSON object per line, an empty file for none."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for failure in failures:
            text = json.dumps(failure.to_json(), ensure_ascii=False)
            lines.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")


def show_failures(failures: Sequence[Failure], errors_file: Path | None) -> None:
    """The first failures on standard error, and where the others are."""
    for failure in failures[:_SHOWN]:
        print(f"  {failure.where}: {failure.error}", file=sys.stderr)
    rest = len(failures) - _SHOWN
    if rest > 0:
        where = f"all are in {errors_file}" if errors_file else "--errors FILE lists all"
        print(f"  and {rest:,} more; {where}", file=sys.stderr)
