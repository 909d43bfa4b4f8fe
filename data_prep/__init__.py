"""Vocabulary, on-disk formats, dataset readers, splits and metrics of maeum.

Imports no model. Everything that reads or writes a file format lives here.
"""

import os

# onnxruntime sends events about its use to its maker unless it reads this when it is imported.
# It stands here because all that imports onnxruntime imports this package first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
