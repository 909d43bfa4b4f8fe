"""Processes that are started to do something beside the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """Have this process end when the one that started it does, even if that is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was started by another"
    threading.Thread(target=_end_with, args=[parent.sentinel], daemon=True).start()


def _end_with(parent: int) -> None:
    wait([parent])
    os._exit(1)
