"""A sound model that reads log-mels alone: six weighted sums of the bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio_model.windows import FrontEnd
from data_prep.model_folder import ModelCard, write_card
from data_prep.taxonomy import EMOTIONS

FRONT_END = FrontEnd(pitch=None)


def write_mel_model(folder: Path, front_end: FrontEnd = FRONT_END) -> Path:
    """A model folder whose logits are the means of eight neighbouring bands, over ten."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir()
    n_mels, n_frames = front_end.input_shapes["log_mel"]
    weights = np.zeros((n_mels, 6), dtype=np.float32)
    for band in range(n_mels):
        weights[band, band * 6 // n_mels] = 0.1 * 6 / n_mels
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["log_mel"], ["means"], axes=[2], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["sums"]),
            helper.make_node("Unsqueeze", ["sums", "axis"], ["logits"]),
        ],
        "mel model",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["batch", n_mels, n_frames])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1, 6])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    labels = {"six": EMOTIONS}
    write_card(folder, ModelCard("audio", "mels", labels, {"six": 1.0}, front_end.features()))
    return folder
