"""Opens networks of model folders for onnxruntime: on the processor, or on a graphics card."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from data_prep.errors import InputError, ModelFolderError

if TYPE_CHECKING:
    import onnxruntime

GPU: Final = "MAEUM_GPU"
"""Set to 1, networks run on a graphics card; answers then differ in their last digits."""

_CUDA: Final = "CUDAExecutionProvider"
_CPU: Final = "CPUExecutionProvider"


def execution_providers() -> list[str]:
    """What networks run on, the first that can.

    Raises
    ------
    InputError
        If a graphics card is asked for, and this installation has no use for one.
    """
    if os.environ.get(GPU, "") in ("", "0"):
        return [_CPU]
    import onnxruntime

    if _CUDA not in onnxruntime.get_available_providers():
        raise InputError(
            f"{GPU} is set, and onnxruntime is here without CUDA: install onnxruntime-gpu in its "
            "place, or leave it out"
        )
    return [_CUDA, _CPU]


def open_network(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session of a network.

    Parameters
    ----------
    threads
        Within one operation on the processor; 0 for as many as there are cores.

    Raises
    ------
    ModelFolderError
        If the file is not there or not a network.
    InputError
        As :func:`execution_providers`.
    """
    import onnxruntime

    providers = execution_providers()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no public root
        raise ModelFolderError(
            f"{path} cannot be loaded: {str(error).splitlines()[0]}; export the model again"
        ) from error
