"""Work of tests in processes of their own, which may be killed.

They come from a server process without threads: a fork of the test run itself would
inherit the locks of its thread pools, and wait for them for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["audio_model.mel_preparation", "data_prep.mel_store_writer", "fusion.rescoring"]
)


def exit_status(function: Callable[..., object], *arguments: object) -> int:
    """Exit status of a function, in a process of its own; negative for the signal that ended it.

    The function and its arguments are pickled: it must be one of a module.
    """
    child = _SERVER.Process(target=function, args=arguments)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def die_at(owner: Any, name: str, call: int) -> None:
    """Let this process be killed when a method is called for the ``call``-th time."""
    real, n_left = getattr(owner, name), [call]

    def dying(*arguments: object, **named: object) -> object:
        n_left[0] -= 1
        if n_left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    setattr(owner, name, dying)
