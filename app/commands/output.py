"""What commands print on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_json(content: Any) -> None:
    """JSON, a key a line."""
    print_lines([json.dumps(content, ensure_ascii=False, indent=1)])


def print_lines(lines: Sequence[str]) -> None:
    """Lines as they are."""
    sys.stdout.write("\n".join(lines) + "\n")
