"""Memory that a service does not need any more is given back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

MAPPED_FROM: Final = 1 << 20
"""Bytes from which an array has pages of its own, which are gone when it is."""
ARENAS: Final = 1
"""Pools of smaller pieces that threads share; as the default many threads have one each."""

# Of glibc's malloc.h.
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def give_back_at_once() -> None:
    """Keep no freed arrays and few pools, where the C library is glibc; elsewhere do nothing.

    As it is, glibc raises the size from which arrays have pages of their own to that of the
    largest array that was freed, and keeps what becomes free among others.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, ARENAS)
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)
