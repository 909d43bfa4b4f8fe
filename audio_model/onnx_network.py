"""Opens the networks of a sound model for onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.errors import ModelFolderError

if TYPE_CHECKING:
    import onnxruntime


def open_network(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session of a network on the processor.

    Parameters
    ----------
    threads
        Within one operation.

    Raises
    ------
    ModelFolderError
        If the file is not there or not a network.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no public root
        raise ModelFolderError(
            f"{path} cannot be loaded: {str(error).splitlines()[0]}; export the model again"
        ) from error
