"""A machine's part of a training of toys: python -m … ENCODER WORK NODES; see test_tuning."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from lyrics_model.tuning import tune
from lyrics_model.tuning_specification import (
    TuningConfiguration,
    TuningSpecification,
    label_sets_of,
    parse_sources,
)
from tests.lyrics_model.toy_labels import read_toys


def main() -> None:
    """Tune, and tell the folder."""
    encoder, work, nodes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    sources = parse_sources("kote,goemotions-en")
    specification = TuningSpecification(
        encoder, "architecture2", label_sets_of(sources), max_tokens=32, dropout=0.05
    )
    configuration = TuningConfiguration(
        sources,
        epochs=20,
        batch=8,
        learning_rate=1e-2,
        patience=20,
        nodes=nodes,
        strategy="ddp" if nodes > 1 else "auto",
    )
    folder = tune(
        specification,
        configuration,
        work,
        read=lambda given: read_toys(given),
        say=lambda line: print(line, file=sys.stderr),
    )
    print(folder)


if __name__ == "__main__":
    main()
